# The function's log, in a topic of its own: the platform's default topic keeps seven
# days, and its index does not know the fields of the function's lines.

locals {
  # The fields of the function's JSON lines, and of SCF's own, that can be searched and
  # counted, each with its type. tags, outcomes and results are no scalars: their JSON is
  # indexed as text.
  log_fields = {
    SCF_Duration    = "long"
    SCF_MemUsage    = "double"
    SCF_RequestId   = "text"
    SCF_StatusCode  = "long"
    bodyBytes       = "long"
    bucket          = "text"
    checked         = "long"
    ciRequests      = "long"
    code            = "text"
    complete        = "text"
    cosRequests     = "long"
    created         = "text"
    durationMs      = "double"
    endTime         = "text"
    error           = "text"
    id              = "text"
    job             = "text"
    jobs            = "long"
    kind            = "text"
    level           = "text"
    method          = "text"
    msg             = "text"
    outcome         = "text"
    outcomes        = "text"
    pending         = "long"
    queue           = "text"
    reason          = "text"
    recorded        = "long"
    rejected        = "text"
    repaired        = "long"
    replaced        = "long"
    requestId       = "text"
    results         = "text"
    source          = "text"
    stack           = "text"
    state           = "text"
    status          = "long"
    tag             = "text"
    tagReason       = "text"
    tags            = "text"
    timer           = "text"
    type            = "text"
    unauthenticated = "text"
    unknown         = "long"
    version         = "text"
    warnings        = "text"
    was             = "text"
  }

  # Each character parts words. Not - and /, which are in ids and keys.
  tokenizer = "@&?|#()='\",;:<>[]{} \n\t\r"
}

resource "tencentcloud_cls_logset" "function" {
  logset_name = var.name
}

resource "tencentcloud_cls_topic" "function" {
  logset_id  = tencentcloud_cls_logset.function.id
  topic_name = var.name
  period     = var.log_days
}

resource "tencentcloud_cls_index" "function" {
  topic_id = tencentcloud_cls_topic.function.id

  rule {
    full_text {
      case_sensitive = false
      contain_z_h    = true
      tokenizer      = local.tokenizer
    }

    key_value {
      case_sensitive = false

      dynamic "key_values" {
        for_each = local.log_fields

        content {
          key = key_values.key

          value {
            type        = key_values.value
            sql_flag    = true
            contain_z_h = key_values.value == "text"
            tokenizer   = key_values.value == "text" ? local.tokenizer : null
          }
        }
      }
    }
  }
}
