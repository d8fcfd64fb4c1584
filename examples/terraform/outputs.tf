output "instance_id" {
  description = "For `aws ec2 get-console-output`, which shows the API's certificate fingerprint."
  value       = aws_instance.this.id
}

output "address" {
  description = "Where tenants' pages and the API are."
  value       = var.elastic_ip ? aws_eip.this[0].public_ip : aws_instance.this.public_ip
}

output "data_volume" {
  description = "The volume with the tenants."
  value       = aws_ebs_volume.data.id
}

output "next" {
  description = "What to type next."
  value       = "kennel host add ${var.name} https://${var.elastic_ip ? aws_eip.this[0].public_ip : aws_instance.this.public_ip}:8443"
}
