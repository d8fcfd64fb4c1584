# One Kennel host. The instance may be replaced at any time, by a newer AMI for one: the tenants are on the data volume, which
# this module never destroys. How to use it is in README.md.

data "aws_subnet" "this" {
  id = var.subnet_id
}

locals {
  tags = merge(var.tags, { Name = var.name })
}

module "user_data" {
  source = "./user-data"

  host_name     = var.name
  operator_keys = var.operator_keys
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Kennel host ${var.name}"
  vpc_id      = data.aws_subnet.this.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.this.id
  description       = "Pages of tenants"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  for_each = toset(var.operator_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "The operators' API"
  ip_protocol       = "tcp"
  from_port         = 8443
  to_port           = 8443
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
}

# What tenants may reach is decided on the host, tenant by tenant (docs/egress.md).
resource "aws_vpc_security_group_egress_rule" "all" {
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.this.id
  description       = "The host decides"
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
}

resource "aws_ebs_volume" "data" {
  availability_zone = data.aws_subnet.this.availability_zone
  type              = "gp3"
  size              = var.data_size
  encrypted         = true
  kms_key_id        = var.data_key
  tags              = merge(local.tags, { Name = "${var.name}-data" })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_instance" "this" {
  ami                    = var.ami
  instance_type          = var.instance_type
  subnet_id              = var.subnet_id
  key_name               = var.key_name
  vpc_security_group_ids = [aws_security_group.this.id]
  user_data              = module.user_data.text
  tags                   = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  # The AMI would bring an empty data volume of its own. The host waits for ours (docs/aws-host.md, "Disks").
  ephemeral_block_device {
    device_name = "/dev/sdf"
    no_device   = true
  }

  lifecycle {
    precondition {
      condition     = var.key_name != null || length(var.operator_keys) > 0
      error_message = "Nobody could sign in: give operator_keys or key_name."
    }
  }
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.data.id
  instance_id = aws_instance.this.id

  # A stop is a clean shutdown: programs end, the volume is unmounted. Detaching pulls the plug.
  stop_instance_before_detaching = true
}

resource "aws_eip" "this" {
  count = var.elastic_ip ? 1 : 0

  domain = "vpc"
  tags   = local.tags
}

# On its own, so that the address stays when the instance goes.
resource "aws_eip_association" "this" {
  count = var.elastic_ip ? 1 : 0

  allocation_id = aws_eip.this[0].id
  instance_id   = aws_instance.this.id
}
