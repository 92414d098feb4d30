# Every resource of userpool that Terraform's provider for AWS knows and that is built here. Later features add theirs.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "endpoint" {
  description = "Where the server's HTTP listener is."
  type        = string
}

variable "changed" {
  description = "Whether everything that can be changed has its second value."
  type        = bool
  default     = false
}

# Region and key pair come from the environment.
provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    cognitoidp = var.endpoint
  }
}
