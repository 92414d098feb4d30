//! ResendConfirmationCode.

use crate::app::caller::Caller;
use crate::app::clients::{NamedThroughClient, named_through_client};
use crate::app::sign_up::sign_up::CODE_SECONDS;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::user::codes;
use crate::domain::user::confirm_sign_up::SentCode;
use crate::domain::user::resend_confirmation_code as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ResendConfirmationCodeRequest, ResendConfirmationCodeResponse};
use crate::store::commit::{Commit, OperationalRow};
use crate::store::metadata::ActorKind;

/// Sends an unconfirmed user another code; the one before is of no use any more.
pub async fn resend_confirmation_code(
    app: &App,
    caller: &Caller,
    request: ResendConfirmationCodeRequest,
) -> Result<ResendConfirmationCodeResponse, Error> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request, &pool_id, &client_id))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &ResendConfirmationCodeRequest,
    pool_id: &UserPoolId,
    client_id: &ClientId,
) -> Result<ResendConfirmationCodeResponse, Failure> {
    let (username, secret_hash) = (request.username(), request.secret_hash.as_deref());
    let NamedThroughClient { found, client } =
        named_through_client(app, pool_id, client_id, username, secret_hash, CodePurpose::SignUp).await?;
    let Some(user) = found.user else {
        if !client.state.hides_users() {
            return Err(Error::no_such_user().into());
        }
        return Ok(response(rules::simulated_delivery(&found.pool.state, request.username())));
    };
    let at = app.clock.now();
    let code = app.random.code();
    let decision = rules::resend_confirmation_code(&found.pool.state, client_id, &user.state, &code);
    let delivery = decision.answer?;
    let (sent, window_began) = codes::one_more(found.code.as_ref(), at)?;
    let sub = user.state.sub;
    let purpose = CodePurpose::SignUp;
    let hash = found.pool.keys.keyed_hash("code", &[&sub.to_string(), purpose.as_str_name(), &code]);
    let attribute = delivery.0.attribute().to_owned();
    let expires_at = at.plus_seconds(CODE_SECONDS);
    let row = OperationalRow::Code {
        sub,
        purpose,
        code: SentCode { hash, attribute, attempts: 0, expires_at, sent, window_began },
        sent_before: found.code.as_ref().map(|before| before.sent),
    };
    let origin = caller.origin(ActorKind::AppClient, client_id.to_string(), None);
    let commit = Commit::new(pool_id, &found.pool.keys, &found.pool.name_rules, &origin, at)
        .user(&user, decision.events)
        .activity(sub, &user.key, decision.activity)
        .messages(sub, &user.key, decision.messages)
        .operational([row]);
    app.store.commit(commit).await?;
    Ok(response(delivery))
}

fn response((medium, address): rules::Delivery) -> ResendConfirmationCodeResponse {
    ResendConfirmationCodeResponse { code_delivery_details: Some(shapes::code_delivery(medium, &address)) }
}
