# The function, the URL that CI calls, and the timer that compares CI's jobs with the
# records.

locals {
  # Every variable of the function. One that is empty is left out, and the function takes
  # its default.
  settings = {
    RECORD_BUCKET       = var.record_bucket
    RECORD_REGION       = var.region
    RECORD_PREFIX       = var.record_prefix
    CALLBACK_TOKEN      = var.callback_token
    CALLBACK_AUTH       = var.callback_auth
    TAG_MD5             = length(var.tag_buckets) > 0 ? "true" : "false"
    MD5_TAG_KEY         = var.md5_tag_key
    TAG_BUCKETS         = join(",", distinct([for media in var.tag_buckets : media.bucket]))
    COS_ENDPOINT        = var.cos_endpoint
    MAX_BODY_BYTES      = tostring(var.max_body_bytes)
    LOG_LEVEL           = var.log_level
    RECONCILE_BUCKETS   = join(",", [for media in var.reconcile_buckets : "${media.bucket}@${coalesce(media.region, var.region)}"])
    RECONCILE_TYPES     = join(",", var.reconcile_types)
    RECONCILE_WORKFLOWS = join(",", var.reconcile_workflows)
    RECONCILE_DAYS      = tostring(var.reconcile_days)
    CI_ENDPOINT         = var.ci_endpoint
  }
}

resource "tencentcloud_scf_function" "callback" {
  name        = var.name
  namespace   = "default"
  description = "Keeps what Cloud Infinite calls back as records in COS"

  func_type = "Event"
  runtime   = "Go1"  # the provider's own default is Python
  handler   = "main" # the name of the executable in the zip
  zip_file  = var.zip_file

  # In MB: the worst body of MAX_BODY_BYTES takes up to 128. In seconds: the platform's
  # default of 3 would end a callback that meets one slow answer of COS.
  mem_size = 128
  timeout  = 30

  role              = tencentcloud_cam_role.function.name
  enable_public_net = true # COS and CI are reached by their public names
  environment       = { for name, value in local.settings : name => value if value != "" }

  cls_logset_id = tencentcloud_cls_logset.function.id
  cls_topic_id  = tencentcloud_cls_topic.function.id

  # Without the policy the first callbacks would be answered 500.
  depends_on = [tencentcloud_cam_role_policy_attachment_by_name.function, tencentcloud_cos_bucket.records]

  lifecycle {
    precondition {
      condition     = nonsensitive((var.callback_token == "") != (var.callback_auth == ""))
      error_message = "Set callback_token, or callback_auth to none: one of them and not both."
    }

    precondition {
      condition     = alltrue([for run in var.reconcile_workflows : contains(concat([""], var.reconcile_buckets[*].bucket), try(split("@", run)[1], ""))])
      error_message = "Name in reconcile_buckets each bucket that reconcile_workflows names."
    }

    precondition {
      condition     = nonsensitive(length(jsonencode(local.settings)) < 4096)
      error_message = "The platform takes 4 KB of environment variables: name fewer buckets, types or workflows."
    }
  }
}

resource "tencentcloud_scf_trigger" "url" {
  function_name = tencentcloud_scf_function.callback.name
  namespace     = tencentcloud_scf_function.callback.namespace
  type          = "http" # the function URL; it takes no trigger_name
  enable        = "OPEN"

  # The alias that follows $LATEST until someone points it elsewhere: the URL in CI's
  # settings stays the same through deployments and rollbacks.
  qualifier = "$DEFAULT"

  trigger_desc = jsonencode({
    AuthType = "NONE" # CI signs nothing, so CAM would refuse every callback; the token is the check
    NetConfig = {
      EnableExtranet = true # CI calls from the Internet
      EnableIntranet = false
    }
  })
}

resource "tencentcloud_scf_trigger" "reconcile" {
  function_name = tencentcloud_scf_function.callback.name
  namespace     = tencentcloud_scf_function.callback.namespace
  type          = "timer"
  trigger_name  = "reconcile"
  enable        = length(var.reconcile_buckets) > 0 ? "OPEN" : "CLOSE"
  qualifier     = "$DEFAULT"

  # The bare expression, not JSON around it: that is how the provider reads it back.
  trigger_desc = var.reconcile_cron
}
