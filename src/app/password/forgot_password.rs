//! ForgotPassword.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof};
use crate::app::codes::NewCode;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::user::forgot_password as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ForgotPasswordRequest, ForgotPasswordResponse};

/// Sends a user a code with which it can choose another password.
///
/// Where the client hides who exists, everybody who gets no code is answered, counted and recorded as if there were one.
pub async fn forgot_password(
    app: &App,
    caller: &Caller,
    request: ForgotPasswordRequest,
) -> Result<ForgotPasswordResponse, Error> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::ForgotPassword).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &by_name))
}

async fn attempt(app: &App, caller: &Caller, by_name: &ByName<'_>) -> Result<ForgotPasswordResponse, Failure> {
    let named = by_name.read(app).await?;
    let (found, sub) = (&named.found, named.sub());
    let (at, code) = (app.clock.now(), app.random.code());
    let user = found.user.as_ref();
    let asked = rules::ForgotPassword {
        username: by_name.username,
        hides_users: named.client.state.hides_users(),
        code: &code,
    };
    let decision = rules::forgot_password(&found.pool.state, user.map(|user| &user.state), &asked);
    let forgotten = decision.answer?;
    let new = NewCode {
        sub,
        purpose: by_name.purpose,
        delivery: &forgotten.delivery,
        code: &code,
        before: found.code.as_ref(),
        at,
    };
    let row = if forgotten.is_sent { new.row(&found.pool.keys)? } else { new.withheld_row(app)? };
    let mut commit = named.commit(&by_name.origin(caller), at, decision.events, decision.activity).operational([row]);
    if let Some(user) = user {
        commit = commit.messages(sub, &user.key, decision.messages);
    }
    app.store.commit(commit).await?;
    let (medium, address) = &forgotten.delivery;
    Ok(ForgotPasswordResponse { code_delivery_details: Some(shapes::code_delivery(*medium, address)) })
}
