variable "ami" {
  description = "What `kennel ami publish` printed."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami))
    error_message = "An AMI's id is like ami-03c6ef372fe94f82a."
  }
}

variable "name" {
  description = "Name of the host, and of what belongs to it in AWS."
  type        = string
}

variable "operator_keys" {
  description = "Public keys of operators, lines of .pub files."
  type        = list(string)
  default     = []
}

variable "key_name" {
  description = "An EC2 key pair of the type ed25519 whose owner may sign in too."
  type        = string
  default     = null
}

variable "subnet_id" {
  description = "Subnet of the instance; the volume is made in its availability zone."
  type        = string
}

variable "operator_cidrs" {
  description = "From where the operator's API may be reached, such as [\"203.0.113.7/32\"]."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Name networks, such as 203.0.113.7/32; the API is not for everybody."
  }
}

variable "instance_type" {
  description = "Nitro, x86-64, with NitroTPM."
  type        = string
  default     = "t3.small"
}

variable "data_size" {
  description = "GiB of the data volume. Make it larger at any time: the host's file system follows when it boots next."
  type        = number
  default     = 8

  validation {
    condition     = var.data_size >= 1 && floor(var.data_size) == var.data_size
    error_message = "Whole GiB, at least 1."
  }
}

variable "data_key" {
  description = "ARN of the KMS key of the data volume; the account's default key for EBS when null."
  type        = string
  default     = null
}

variable "elastic_ip" {
  description = "Give it an address that stays when the instance is replaced."
  type        = bool
  default     = true
}

variable "tags" {
  description = "More tags."
  type        = map(string)
  default     = {}
}
