//! AssociateSoftwareToken.

use crate::app::caller::Caller;
use crate::app::mfa::whose::Whose;
use crate::app::{App, Failure, software_tokens};
use crate::domain::error::{Error, Exception};
use crate::domain::totp;
use crate::domain::user::associate_software_token as rules;
use crate::proto::v1::{AssociateSoftwareTokenRequest, AssociateSoftwareTokenResponse};

/// Makes the secret for an authenticator app. It is told this once, and kept sealed.
pub async fn associate_software_token(
    app: &App,
    caller: &Caller,
    request: &AssociateSoftwareTokenRequest,
) -> Result<AssociateSoftwareTokenResponse, Failure> {
    let at = app.clock.now();
    let whose = Whose::of(app, request.access_token.as_deref(), request.session.as_deref(), at).await;
    let whose = whose.map_err(|failure| failure.map_refusal(as_listed))?;
    let (pool, user) = whose.user();
    let secret = app.random.bytes();
    let sealed = software_tokens::seal_secret(app, &pool.id, user, &secret);
    let decision = rules::associate_software_token(&pool.state, sealed);
    let session = whose.next_session(app, |proofs| proofs, at)?;
    let answer = AssociateSoftwareTokenResponse { secret_code: Some(totp::base32(secret)), session };
    app.store.settle(whose.commit(caller, at).decided(user, decision.map(|()| answer))).await
}

/// A refusal in Cognito's list for this operation: it has no exceptions for the state of the user.
fn as_listed(error: Error) -> Error {
    let unlisted = [Exception::PasswordResetRequiredException, Exception::UserNotFoundException];
    match unlisted.contains(&error.exception) {
        true => Error { exception: Exception::NotAuthorizedException, ..error },
        false => error,
    }
}
