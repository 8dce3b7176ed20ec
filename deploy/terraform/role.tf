# The execution role, whose permissions are the function's only credentials, and its
# policy: the one that `go run ./scripts/doctor -policy` prints for the same settings.

locals {
  statements = [
    {
      effect   = "allow"
      action   = ["name/cos:PutObject", "name/cos:GetObject"]
      resource = ["qcs::cos:${var.region}:uid/${local.app_id}:${var.record_bucket}/${var.record_prefix}*"]
    },
    {
      effect = "allow"
      action = ["name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"]
      resource = [for media in var.tag_buckets :
        "qcs::cos:${coalesce(media.region, var.region)}:uid/${regex("[0-9]+$", media.bucket)}:${media.bucket}/${media.prefix}*"
      ]
    },
    {
      effect   = "allow"
      action   = ["ci:DescribeMediaJob", "ci:DescribeMediaJobs"]
      resource = [for media in var.reconcile_buckets : local.ci_resources[media.bucket]]
    },
    {
      effect = "allow"
      action = ["ci:DescribeMediaWorkflowExecutions"]
      resource = [for media in var.reconcile_buckets : local.ci_resources[media.bucket]
        if length([for run in var.reconcile_workflows : run if contains(["", media.bucket], try(split("@", run)[1], ""))]) > 0
      ]
    },
  ]

  # What CI keeps about the jobs of a bucket.
  # https://cloud.tencent.com/document/product/460/104297
  ci_resources = { for media in var.reconcile_buckets :
    media.bucket => "qcs::ci:${coalesce(media.region, var.region)}:uid/${regex("[0-9]+$", media.bucket)}:bucket/${media.bucket}/*"
  }

  app_id = regex("[0-9]+$", var.record_bucket)
}

resource "tencentcloud_cam_role" "function" {
  name        = var.name
  description = "What the function ci-callback may do on COS and CI"

  document = jsonencode({
    version = "2.0"
    statement = [{
      effect    = "allow"
      action    = ["name/sts:AssumeRole"]
      principal = { service = [var.role_service] }
    }]
  })
}

resource "tencentcloud_cam_policy" "function" {
  name        = var.name
  description = "Write and read records; tag and compare where that is asked for"

  document = jsonencode({
    version   = "2.0"
    statement = [for statement in local.statements : statement if length(statement.resource) > 0]
  })
}

resource "tencentcloud_cam_role_policy_attachment_by_name" "function" {
  role_name   = tencentcloud_cam_role.function.name
  policy_name = tencentcloud_cam_policy.function.name
}
