resource "aws_cognito_user_pool_client" "default" {
  name         = var.changed ? "terraform changed" : "terraform default"
  user_pool_id = aws_cognito_user_pool.default.id
}

# Every argument whose feature is built or stored.
resource "aws_cognito_user_pool_client" "full" {
  name            = "terraform full"
  user_pool_id    = aws_cognito_user_pool.full.id
  generate_secret = true

  access_token_validity  = var.changed ? 20 : 30
  id_token_validity      = 1
  refresh_token_validity = 7
  token_validity_units {
    access_token  = "minutes"
    id_token      = "hours"
    refresh_token = "days"
  }
  auth_session_validity = var.changed ? 4 : 5

  allowed_oauth_flows                  = ["code"]
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_scopes                 = var.changed ? ["openid"] : ["openid", "email"]
  callback_urls                        = ["https://app.example.com/in", "http://127.0.0.1:3000/in", "http://[::1]:3000/in"]
  default_redirect_uri                 = "https://app.example.com/in"
  logout_urls                          = ["https://app.example.com/out"]
  supported_identity_providers         = ["COGNITO"]

  enable_propagate_additional_user_context_data = false
  enable_token_revocation                       = var.changed
  explicit_auth_flows                           = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"]
  prevent_user_existence_errors                 = var.changed ? "LEGACY" : "ENABLED"
  read_attributes                               = ["email", "family_name", "custom:plan"]
  write_attributes                              = ["family_name", "custom:plan"]

  refresh_token_rotation {
    feature                    = "ENABLED"
    retry_grace_period_seconds = var.changed ? 0 : 10
  }

  analytics_configuration {
    application_id   = "d70b2ba36a8c4dc5a04a0451a31a1e12"
    external_id      = "external"
    role_arn         = "arn:aws:iam::123456789012:role/analytics"
    user_data_shared = var.changed
  }

  # The API does not show whether a secret was generated, so an import would replace the client.
  lifecycle {
    ignore_changes = [generate_secret]
  }
}

# Lists that are empty on purpose.
resource "aws_cognito_user_pool_client" "empty" {
  name                = "terraform empty"
  user_pool_id        = aws_cognito_user_pool.default.id
  explicit_auth_flows = []
  read_attributes     = []
  write_attributes    = []
  callback_urls       = []

  refresh_token_validity = var.changed ? 60 : 30
}
