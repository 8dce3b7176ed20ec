locals {
  # What the platform says of the trigger; that the address is its NetConfig.ExtranetUrl
  # is not documented.
  extranet_url = try(jsondecode(tencentcloud_scf_trigger.url.trigger_attribute).NetConfig.ExtranetUrl, "")
  address      = local.extranet_url == "" ? "" : "https://${trimsuffix(trimprefix(local.extranet_url, "https://"), "/")}/"
  newest_token = reverse(split(",", var.callback_token))[0]
}

output "function_url" {
  description = "The function's address. Empty where the platform does not tell it: see the SCF console, the function, Function URL."
  value       = local.address
}

output "callback_url" {
  description = "The address to enter in CI, with the newest token: terraform output -raw callback_url"
  value       = var.callback_token == "" ? local.address : "${local.address}?token=${urlencode(trimspace(local.newest_token))}"
  sensitive   = true
}

output "record_bucket" {
  description = "Where the records are."
  value       = tencentcloud_cos_bucket.records.bucket
}

output "log_topic" {
  description = "The id of the log topic, to search it and to put alarms on it."
  value       = tencentcloud_cls_topic.function.id
}
