//! VerifySoftwareToken.

use crate::app::caller::Caller;
use crate::app::mfa::whose::Whose;
use crate::app::{App, Failure, software_tokens};
use crate::domain::second_factor::SecondFactor;
use crate::domain::user::verify_software_token as rules;
use crate::proto::v1::{VerifySoftwareTokenRequest, VerifySoftwareTokenResponse};
use crate::store::commit::OperationalRow;

/// Lets an authenticator app count, once it has shown a right code.
pub async fn verify_software_token(
    app: &App,
    caller: &Caller,
    request: &VerifySoftwareTokenRequest,
) -> Result<VerifySoftwareTokenResponse, Failure> {
    let at = app.clock.now();
    let whose = Whose::of(app, request.access_token.as_deref(), request.session.as_deref(), at).await?;
    let (pool, user) = whose.user();
    let pending = user.state.pending_software_token.as_ref();
    let secret = pending.map(|sealed| software_tokens::open_secret(&pool.id, user, sealed)).transpose()?;
    let command = rules::VerifySoftwareToken {
        secret: secret.as_deref(),
        code: request.user_code(),
        friendly_device_name: request.friendly_device_name.as_deref(),
        signs_in: whose.signs_in(),
        at,
    };
    let decision = rules::verify_software_token(&pool.state, &user.state, &command);
    // A code that has set the app up signs nobody in.
    let used = match (decision.accepted(), pending) {
        (Some(step), Some(sealed)) => Some(software_tokens::step_once(pool, user, sealed, *step)?),
        _ => None,
    };
    let session = whose.next_session(app, |proofs| proofs.with_second_factor(SecondFactor::SoftwareToken), at)?;
    let answer = VerifySoftwareTokenResponse { status: Some("SUCCESS".to_owned()), session };
    let commit = whose.commit(caller, at).operational(used.map(OperationalRow::StepSpent));
    app.store.settle(commit.decided(user, decision.map(|_| answer))).await
}
