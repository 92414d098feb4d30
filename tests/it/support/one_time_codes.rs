//! Codes in the place of passwords in scenarios.

use userpool::proto::v1::*;

use super::choice::{begin_request, beginning_with, choosing_client};
use super::client::Refusal;
use super::pool::{Pool, parameters};

/// A pool whose users may begin by a code.
pub fn with_codes() -> CreateUserPoolRequest {
    beginning_with(&["PASSWORD", "EMAIL_OTP", "SMS_OTP"])
}

/// A pool whose users may begin by a code, with a client that hides who exists if this is `ENABLED`.
pub async fn pool_with_codes(existence: &str) -> Pool {
    Pool::create_with(with_codes(), choosing_client(existence)).await
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
