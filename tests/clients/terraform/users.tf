resource "aws_cognito_user_group" "plain" {
  name         = "plain"
  user_pool_id = aws_cognito_user_pool.full.id
}

resource "aws_cognito_user_group" "full" {
  name         = "full"
  user_pool_id = aws_cognito_user_pool.full.id
  description  = var.changed ? "may write" : "may read"
  precedence   = var.changed ? 2 : 1
  role_arn     = "arn:aws:iam::123456789012:role/readers"
}

resource "aws_cognito_user" "rosa" {
  user_pool_id = aws_cognito_user_pool.full.id
  username     = "rosa"
  enabled      = !var.changed
  attributes = {
    email          = "rosa@example.com"
    email_verified = true
    family_name    = "Rosales"
    plan           = var.changed ? "silver" : "gold"
  }
  password       = var.changed ? "Correct-Horse-2" : "Correct-Horse-1"
  message_action = "SUPPRESS"
}

resource "aws_cognito_user" "invited" {
  user_pool_id = aws_cognito_user_pool.by_address.id
  username     = "invited@example.com"
  attributes = {
    email = "invited@example.com"
  }
  desired_delivery_mediums = ["EMAIL"]
}

resource "aws_cognito_user_in_group" "rosa" {
  user_pool_id = aws_cognito_user_pool.full.id
  username     = aws_cognito_user.rosa.username
  group_name   = aws_cognito_user_group.full.name
}
