# What differs between deployments. The settings of the function itself have the names of
# its environment variables in small letters; the README of the repository says what each
# is for.

variable "region" {
  description = "Where the function runs and the record bucket lies, such as ap-guangzhou."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z0-9]+)+$", var.region))
    error_message = "A region has the form ap-guangzhou."
  }
}

variable "name" {
  description = "Name of the function, its role, its policy and its log set. Another one for a second function in one account."
  type        = string
  default     = "ci-callback"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$", var.name))
    error_message = "A name has 2 to 60 letters, digits, - and _, begins with a letter and ends with a letter or digit."
  }
}

variable "zip_file" {
  description = "The function's zip, named after its contents. zip.sh builds it and writes this variable into zip.auto.tfvars."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("-[0-9a-f]{16}[.]zip$", var.zip_file))
    error_message = "The name must hold the hash of the contents, as zip.sh makes it: the provider compares nothing but the name, so that a new zip under an old name would never be deployed."
  }
}

variable "record_bucket" {
  description = "The bucket for the records, <name>-<appid>. It is made here, and must not exist yet."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[0-9]{5,12}$", var.record_bucket)) && !can(regex("examplebucket-", var.record_bucket))
    error_message = "Name a bucket of your own, <name>-<appid>, the name of up to 50 small letters, digits and hyphens, the AppID of 5 to 12 digits."
  }
}

variable "record_prefix" {
  description = "Put before the key of every record as it is, slash and all."
  type        = string
  default     = "ci/"
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*$", var.record_prefix))
    error_message = "A prefix is made of letters, digits, . _ - and slashes, and does not begin with a slash."
  }

  validation {
    condition     = var.record_prefix != ""
    error_message = "It is not empty: the function would write below its default, ci/, and the policy and the lifecycle rules would not fit."
  }

  validation {
    condition     = !can(regex("(^|/)[.]{1,2}/", var.record_prefix))
    error_message = "A prefix has no segment . or .., which no key of a record may have."
  }

  validation {
    condition     = length(var.record_prefix) <= 476
    error_message = "A prefix has at most 476 characters: the keys of records leave room for no more."
  }
}

variable "callback_token" {
  description = "The token of the callback URL, at least 16 characters (openssl rand -hex 16). Several, comma-separated, while rotating: the new one last."
  type        = string
  default     = ""
  nullable    = false
  sensitive   = true

  validation {
    condition     = var.callback_token == "" || alltrue([for token in split(",", var.callback_token) : length(trimspace(token)) >= 16])
    error_message = "Each token must have at least 16 characters."
  }

  validation {
    condition     = !can(regex("[…<>]", var.callback_token))
    error_message = "A token with …, < or > is a placeholder of the documentation: make one with openssl rand -hex 16."
  }
}

variable "callback_auth" {
  description = "none accepts callbacks without a token. Leave it empty and set callback_token."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = contains(["", "none"], var.callback_auth)
    error_message = "It is none or empty."
  }
}

variable "tag_buckets" {
  description = "Buckets of media whose new objects are tagged with their MD5, each with a region (the function's by default) and a prefix (all objects by default). With none, nothing is tagged."
  type = list(object({
    bucket = string
    region = optional(string)
    prefix = optional(string, "")
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for media in var.tag_buckets : can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[0-9]{5,12}$", media.bucket)) && !can(regex("examplebucket-", media.bucket))])
    error_message = "A bucket is one of your own, <name>-<appid>, such as media-1250000000: a name of up to 50 small letters, digits and hyphens, an AppID of 5 to 12 digits."
  }

  validation {
    condition     = alltrue([for media in var.tag_buckets : media.region == null || can(regex("^[a-z]+(-[a-z0-9]+)+$", media.region))])
    error_message = "A region has the form ap-guangzhou."
  }

  validation {
    condition     = alltrue([for media in var.tag_buckets : can(regex("^([^/*]|[^/*][^*]*)?$", media.prefix))])
    error_message = "A prefix does not begin with a slash, and has no asterisk: one is put behind it."
  }
}

variable "md5_tag_key" {
  description = "The key of the tag with the MD5."
  type        = string
  default     = "md5"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9\\p{Han} +_=/.:@-]{1,127}$", var.md5_tag_key))
    error_message = "The key of a tag has 1 to 127 letters, digits, spaces or any of + - _ = / . : @."
  }
}

variable "reconcile_buckets" {
  description = "Buckets of media whose jobs are compared with the records by the timer, each with a region (the function's by default). With none, the timer is closed."
  type = list(object({
    bucket = string
    region = optional(string)
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for media in var.reconcile_buckets : can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[0-9]{5,12}$", media.bucket)) && !can(regex("examplebucket-", media.bucket))])
    error_message = "A bucket is one of your own, <name>-<appid>, such as media-1250000000: a name of up to 50 small letters, digits and hyphens, an AppID of 5 to 12 digits."
  }

  validation {
    condition     = alltrue([for media in var.reconcile_buckets : media.region == null || can(regex("^[a-z]+(-[a-z0-9]+)+$", media.region))])
    error_message = "A region has the form ap-guangzhou."
  }

  validation {
    condition     = length(distinct([for media in var.reconcile_buckets : media.bucket])) == length(var.reconcile_buckets)
    error_message = "A bucket is named twice."
  }
}

variable "reconcile_cron" {
  description = "When the timer fires: seven fields, seconds first. https://www.tencentcloud.com/document/product/583/9708"
  type        = string
  default     = "0 */10 * * * * *"
  nullable    = false

  validation {
    condition     = length(split(" ", var.reconcile_cron)) == 7
    error_message = "A cron expression of SCF has seven fields: second, minute, hour, day, month, weekday, year."
  }
}

variable "reconcile_types" {
  description = "The types of jobs to compare, such as Transcode. With none, all that CI can list."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for type in var.reconcile_types : can(regex("^[A-Za-z0-9]{1,64}$", type))])
    error_message = "A type has 1 to 64 letters and digits: Transcode."
  }
}

variable "reconcile_workflows" {
  description = "Workflows whose runs are compared too, each <id>, or <id>@<bucket> for one bucket alone."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for run in var.reconcile_workflows : can(regex("^[A-Za-z0-9_-]{1,64}(@[a-z0-9-]+)?$", run))])
    error_message = "A workflow is <id> or <id>@<bucket>, the id of 1 to 64 letters, digits, _ and -."
  }
}

variable "reconcile_days" {
  description = "How many days back the first comparison looks."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = contains(range(1, 31), var.reconcile_days)
    error_message = "It is a whole number of days from 1 to 30: CI keeps jobs for about a month."
  }
}

variable "cos_endpoint" {
  description = "Template of COS's address. Empty: the public one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cos_endpoint == "" || can(regex("^https://[{]bucket[}]([.]([a-z0-9-]|[{]region[}])+)*[.][a-z0-9]+(:[0-9]+)?/*$", var.cos_endpoint))
    error_message = "An address has the form https://{bucket}.cos.{region}.myqcloud.com: {bucket} first, a domain last, small letters, and no path."
  }
}

variable "ci_endpoint" {
  description = "Template of CI's address. Empty: the public one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.ci_endpoint == "" || can(regex("^https://[{]bucket[}]([.]([a-z0-9-]|[{]region[}])+)*[.][a-z0-9]+(:[0-9]+)?/*$", var.ci_endpoint))
    error_message = "An address has the form https://{bucket}.ci.{region}.myqcloud.com: {bucket} first, a domain last, small letters, and no path."
  }
}

variable "max_body_bytes" {
  description = "Larger callbacks are refused."
  type        = number
  default     = 6291456
  nullable    = false

  validation {
    condition     = var.max_body_bytes > 0 && var.max_body_bytes <= 6291456 && floor(var.max_body_bytes) == var.max_body_bytes
    error_message = "It is a whole number, more than 0 and at most 6291456: the platform takes no more."
  }
}

variable "log_level" {
  description = "What the function logs: debug, info, warn or error."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "It is debug, info, warn or error."
  }
}

variable "log_days" {
  description = "How many days the log is kept; 3640 keeps it for good."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.log_days >= 1 && (var.log_days <= 3600 || var.log_days == 3640) && floor(var.log_days) == var.log_days
    error_message = "It is a whole number of days from 1 to 3600, or 3640."
  }
}

variable "rejected_days" {
  description = "How many days a body that was not understood is kept; 0 keeps it for good."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.rejected_days >= 0 && floor(var.rejected_days) == var.rejected_days
    error_message = "It is a whole number of days, 0 or more."
  }
}

variable "history_days" {
  description = "How many days a replaced version of a record is kept; 0 keeps it for good."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.history_days >= 0 && floor(var.history_days) == var.history_days
    error_message = "It is a whole number of days, 0 or more."
  }
}

variable "role_service" {
  description = "The service that may take on the role. The console shows it as \"product service - scf.qcloud.com\"."
  type        = string
  default     = "scf.qcloud.com"
  nullable    = false
}
