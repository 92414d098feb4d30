//! Codes in the place of passwords in scenarios.

use userpool::proto::v1::*;

use super::client::Refusal;
use super::pool::{Pool, email_pool, parameters, texts};

/// A pool whose users may begin by a code.
pub fn with_codes() -> CreateUserPoolRequest {
    let sign_in_policy =
        Some(SignInPolicyType { allowed_first_auth_factors: texts(&["PASSWORD", "EMAIL_OTP", "SMS_OTP"]) });
    let policies = Some(UserPoolPolicyType { sign_in_policy, ..Default::default() });
    CreateUserPoolRequest { policies, ..email_pool() }
}

/// A client with the choice, which hides who exists if this is `ENABLED`.
pub fn choosing_client(existence: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..Default::default()
    }
}

/// A pool whose users may begin by a code, with such a client.
pub async fn pool_with_codes(existence: &str) -> Pool {
    Pool::create_with(with_codes(), choosing_client(existence)).await
}

/// The beginning of a sign-in by choice.
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

/// Asks for a code by e-mail.
pub async fn by_email(pool: &Pool, name: &str) -> Result<InitiateAuthResponse, Refusal> {
    pool.api.call(begin_request(pool, name, &[("PREFERRED_CHALLENGE", "EMAIL_OTP")])).await
}

/// The answer by a code to EMAIL_OTP or SMS_OTP.
pub fn answer(pool: &Pool, name: &str, session: &str, (medium, code): (&str, &str)) -> RespondToAuthChallengeRequest {
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some(format!("{medium}_OTP")),
        session: Some(session.to_owned()),
        challenge_responses: parameters(&[("USERNAME", name), (&format!("{medium}_OTP_CODE"), code)]),
        ..Default::default()
    }
}
