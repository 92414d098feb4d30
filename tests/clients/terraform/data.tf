data "aws_cognito_user_pools" "all" {
  name       = aws_cognito_user_pool.full.name
  depends_on = [aws_cognito_user_pool.full]
}

data "aws_cognito_user_pool" "full" {
  user_pool_id = aws_cognito_user_pool.full.id
}

data "aws_cognito_user_pool_clients" "default" {
  user_pool_id = aws_cognito_user_pool.default.id
  depends_on   = [aws_cognito_user_pool_client.default, aws_cognito_user_pool_client.empty]
}

data "aws_cognito_user_pool_client" "full" {
  user_pool_id = aws_cognito_user_pool.full.id
  client_id    = aws_cognito_user_pool_client.full.id
}

data "aws_cognito_user_group" "full" {
  user_pool_id = aws_cognito_user_pool.full.id
  name         = aws_cognito_user_group.full.name
}

data "aws_cognito_user_groups" "all" {
  user_pool_id = aws_cognito_user_pool.full.id
  depends_on   = [aws_cognito_user_group.plain, aws_cognito_user_group.full]
}

data "aws_cognito_user_pool_signing_certificate" "full" {
  user_pool_id = aws_cognito_user_pool.full.id
}

output "read" {
  value = {
    pools           = data.aws_cognito_user_pools.all.ids
    mfa             = data.aws_cognito_user_pool.full.mfa_configuration
    attributes      = length(data.aws_cognito_user_pool.full.schema_attributes)
    clients         = sort(data.aws_cognito_user_pool_clients.default.client_names)
    callback_urls   = data.aws_cognito_user_pool_client.full.callback_urls
    description     = data.aws_cognito_user_group.full.description
    groups          = sort([for group in data.aws_cognito_user_groups.all.groups : group.group_name])
    has_certificate = data.aws_cognito_user_pool_signing_certificate.full.certificate != ""
  }
}
