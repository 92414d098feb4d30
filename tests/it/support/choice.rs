//! Sign-ins by a first factor of the caller's choice in scenarios.

use userpool::proto::v1::*;

use super::pool::{Pool, email_pool, parameters, texts};

/// A pool that verifies e-mail addresses, whose users can begin with these factors.
pub fn beginning_with(factors: &[&str]) -> CreateUserPoolRequest {
    let sign_in_policy = Some(SignInPolicyType { allowed_first_auth_factors: texts(factors) });
    let policies = Some(UserPoolPolicyType { sign_in_policy, ..Default::default() });
    CreateUserPoolRequest { policies, ..email_pool() }
}

/// A client for the choice and for the flow by password, which hides who exists if this is `ENABLED`.
pub fn choosing_client(existence: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..Default::default()
    }
}

/// The beginning of a sign-in by choice, to be sent as it is or changed.
pub fn begin_request(pool: &Pool, name: &str, more: &[(&str, &str)]) -> InitiateAuthRequest {
    let mut auth_parameters = parameters(more);
    auth_parameters.insert("USERNAME".into(), name.into());
    InitiateAuthRequest {
        auth_flow: Some("USER_AUTH".into()),
        client_id: Some(pool.client_id.clone()),
        auth_parameters,
        ..Default::default()
    }
}
