# The user-data of a Kennel host, from variables that are held against the same rules as docs/user-data.schema.json. It needs
# no provider, so that it can be tried without an account:
#
#   terraform init && terraform apply -var host_name=edge1 -var 'operator_keys=["ssh-ed25519 …"]'
#   terraform output -raw text | kennel user-data check -

terraform {
  required_version = ">= 1.5"
}

variable "host_name" {
  description = "What the host is called; by its private DNS name when empty."
  type        = string
  default     = ""

  validation {
    condition = var.host_name == "" || (
      length(var.host_name) <= 64 &&
      can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$", var.host_name))
    )
    error_message = "Use labels of a-z, 0-9 and '-' joined by dots, 64 characters at most."
  }
}

variable "operator_keys" {
  description = "Public keys of operators, lines of .pub files. May be empty where the instance has an ed25519 key pair."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for key in var.operator_keys :
      can(regex("^\\s*ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}(\\s.*)?\\s*$", key))
    ])
    error_message = "Each has to be the one line of a .pub file of an ed25519 key (ssh-keygen -t ed25519)."
  }
}

locals {
  # Strings and lists of strings are written alike in JSON and in TOML.
  host     = var.host_name == "" ? [] : ["[host]", "name = ${jsonencode(var.host_name)}", ""]
  operator = ["[operator]", "ssh_keys = ${jsonencode([for key in var.operator_keys : trimspace(key)])}", ""]
}

output "text" {
  description = "The document."
  value       = join("\n", concat(local.host, local.operator))

  precondition {
    condition     = length(join("\n", concat(local.host, local.operator))) <= 16384
    error_message = "User-data may have 16384 bytes at most: name fewer operators."
  }
}
