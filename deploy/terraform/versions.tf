# For Terraform and OpenTofu. The provider is pinned to the version whose arguments the
# test beside this file knows; there is no lock file, as the two tools would each write
# another.

terraform {
  required_version = ">= 1.6"

  required_providers {
    tencentcloud = {
      source  = "tencentcloudstack/tencentcloud"
      version = "1.83.25"
    }
  }
}

# The keys come from TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY in the
# environment, or from the credentials that `tccli configure` has stored.
provider "tencentcloud" {
  region = var.region
}
