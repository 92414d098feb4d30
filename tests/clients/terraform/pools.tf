resource "aws_cognito_user_pool" "default" {
  name = "terraform default"
  tags = var.changed ? { team = "people" } : {}
}

resource "aws_cognito_user_pool" "by_address" {
  name                     = "terraform by address"
  username_attributes      = ["email", "phone_number"]
  auto_verified_attributes = ["email"]

  email_verification_message = var.changed ? "Changed: {####}" : "Code: {####}"
  email_verification_subject = "A code"
  sms_verification_message   = "SMS: {####}"

  password_policy {
    minimum_length = var.changed ? 14 : 12
  }

  username_configuration {
    case_sensitive = false
  }
}

# Every block and argument whose feature is built or stored.
resource "aws_cognito_user_pool" "full" {
  name                     = "terraform full"
  alias_attributes         = ["email", "preferred_username"]
  auto_verified_attributes = var.changed ? ["email", "phone_number"] : ["email"]
  deletion_protection      = var.changed ? "INACTIVE" : "ACTIVE"
  mfa_configuration        = "OPTIONAL"
  user_pool_tier           = "ESSENTIALS"

  sms_authentication_message = var.changed ? "Changed: {####}" : "Sign in: {####}"

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = var.changed ? 2 : 1
    }
    recovery_mechanism {
      name     = "verified_phone_number"
      priority = var.changed ? 1 : 2
    }
  }

  admin_create_user_config {
    allow_admin_create_user_only = var.changed
    invite_message_template {
      email_subject = "Come in"
      email_message = "Your name is {username}, your password {####}"
      sms_message   = "{username} {####}"
    }
  }

  device_configuration {
    challenge_required_on_new_device      = true
    device_only_remembered_on_user_prompt = var.changed
  }

  email_configuration {
    email_sending_account  = "DEVELOPER"
    from_email_address     = "App <app@example.com>"
    reply_to_email_address = var.changed ? "changed@example.com" : "reply@example.com"
    source_arn             = "arn:aws:ses:us-east-1:123456789012:identity/app@example.com"
    configuration_set      = "set"
  }

  email_mfa_configuration {
    message = "Sign in by {####}"
    subject = "Sign in"
  }

  lambda_config {
    post_confirmation              = var.changed ? "arn:aws:lambda:us-east-1:123456789012:function:welcome" : null
    define_auth_challenge          = "arn:aws:lambda:us-east-1:123456789012:function:define"
    create_auth_challenge          = "arn:aws:lambda:us-east-1:123456789012:function:create"
    verify_auth_challenge_response = "arn:aws:lambda:us-east-1:123456789012:function:verify"
    pre_token_generation_config {
      lambda_arn     = "arn:aws:lambda:us-east-1:123456789012:function:claims"
      lambda_version = var.changed ? "V3_0" : "V2_0"
    }
  }

  password_policy {
    minimum_length                   = var.changed ? 10 : 9
    require_lowercase                = true
    require_numbers                  = false
    require_symbols                  = var.changed
    require_uppercase                = true
    temporary_password_validity_days = var.changed ? 2 : 3
  }

  schema {
    name                = "family_name"
    attribute_data_type = "String"
    mutable             = true
    required            = true
    string_attribute_constraints {
      min_length = 1
      max_length = 64
    }
  }
  schema {
    name                = "plan"
    attribute_data_type = "String"
    mutable             = true
    string_attribute_constraints {
      min_length = 2
      max_length = 9
    }
  }
  schema {
    name                = "level"
    attribute_data_type = "Number"
    mutable             = true
    number_attribute_constraints {
      min_value = 1
      max_value = 5
    }
  }
  schema {
    name                     = "note"
    attribute_data_type      = "String"
    developer_only_attribute = true
    mutable                  = false
    string_attribute_constraints {}
  }
  schema {
    name                = "member"
    attribute_data_type = "Boolean"
    mutable             = true
  }
  # Attributes can be added.
  dynamic "schema" {
    for_each = var.changed ? ["since"] : []
    content {
      name                = schema.value
      attribute_data_type = "DateTime"
      mutable             = true
    }
  }

  sign_in_policy {
    allowed_first_auth_factors = var.changed ? ["PASSWORD", "WEB_AUTHN"] : ["PASSWORD", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN"]
  }

  sms_configuration {
    external_id    = "external"
    sns_caller_arn = "arn:aws:iam::123456789012:role/sms"
    sns_region     = "us-east-1"
  }

  software_token_mfa_configuration {
    enabled = true
  }

  user_attribute_update_settings {
    attributes_require_verification_before_update = ["email"]
  }

  user_pool_add_ons {
    advanced_security_mode = var.changed ? "OFF" : "AUDIT"
  }

  username_configuration {
    case_sensitive = false
  }

  verification_message_template {
    default_email_option  = "CONFIRM_WITH_LINK"
    email_message         = "Code: {####}"
    email_message_by_link = var.changed ? "Changed: {##here##}" : "Follow {##this link##}"
    email_subject         = "A code"
    email_subject_by_link = "A link"
    sms_message           = "SMS: {####}"
  }

  web_authn_configuration {
    relying_party_id  = "example.com"
    user_verification = var.changed ? "required" : "preferred"
  }

  tags = {
    team  = "identity"
    stage = var.changed ? "live" : "test"
  }
}
