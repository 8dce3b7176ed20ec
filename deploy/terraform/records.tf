# The record bucket: private, and never versioned.
#
# The function relies on COS's create-only write, which has no effect in a bucket that
# ever had versioning (https://www.tencentcloud.com/document/product/436/19883). So
# versioning_enable stands nowhere here: where the provider finds a difference in it, it
# sends "Suspended", and a suspended bucket is a versioned one for good.

locals {
  # Keys that may go after some days, each prefix with its number of days. Records stay.
  expiring = {
    rejected = var.rejected_days
    history  = var.history_days
    doctor   = 1 # what the doctor wrote and could not take away
  }
}

resource "tencentcloud_cos_bucket" "records" {
  bucket = var.record_bucket
  acl    = "private"

  dynamic "lifecycle_rules" {
    for_each = { for folder, days in local.expiring : folder => days if days > 0 }

    content {
      id            = lifecycle_rules.key
      filter_prefix = "${var.record_prefix}${lifecycle_rules.key}/"

      expiration {
        days = lifecycle_rules.value
      }
    }
  }

  lifecycle {
    prevent_destroy = true # the records are in it
    ignore_changes  = [versioning_enable]

    postcondition {
      condition     = !self.versioning_enable
      error_message = "The record bucket has versioning, where create-only writes have no effect. It cannot be taken back: docs/runbook.md has the way out."
    }
  }
}
