//! ResendConfirmationCode.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof};
use crate::app::codes::NewCode;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::user::codes::Delivery;
use crate::domain::user::resend_confirmation_code as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ResendConfirmationCodeRequest, ResendConfirmationCodeResponse};

/// Sends an unconfirmed user another code; the one before is of no use any more.
pub async fn resend_confirmation_code(
    app: &App,
    caller: &Caller,
    request: ResendConfirmationCodeRequest,
) -> Result<ResendConfirmationCodeResponse, Error> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::SignUp).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &by_name))
}

async fn attempt(app: &App, caller: &Caller, by_name: &ByName<'_>) -> Result<ResendConfirmationCodeResponse, Failure> {
    let named = by_name.read(app).await?;
    let found = &named.found;
    let Some(user) = &found.user else {
        if !named.client.state.hides_users() {
            return Err(Error::no_such_user().into());
        }
        return Ok(response(&rules::simulated_delivery(&found.pool.state, by_name.username)));
    };
    let (at, code) = (app.clock.now(), app.random.code());
    let decision = rules::resend_confirmation_code(&found.pool.state, &by_name.client_id, &user.state, &code);
    let delivery = decision.answer?;
    let (sub, purpose, before) = (user.state.sub, by_name.purpose, found.code.as_ref());
    let row = NewCode { sub, purpose, delivery: &delivery, code: &code, before, at }.row(&found.pool.keys)?;
    let commit = named
        .commit(&by_name.origin(caller), at, decision.events, decision.activity)
        .messages(sub, &user.key, decision.messages)
        .operational([row]);
    app.store.commit(commit).await?;
    Ok(response(&delivery))
}

fn response((medium, address): &Delivery) -> ResendConfirmationCodeResponse {
    ResendConfirmationCodeResponse { code_delivery_details: Some(shapes::code_delivery(*medium, address)) }
}
