//! GetUserAttributeVerificationCode.

use crate::app::caller::Caller;
use crate::app::codes::{self, NewCode};
use crate::app::user::signed_in::{signed_in_with, verified};
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::message::Medium;
use crate::domain::source::Source;
use crate::domain::user::codes::verification;
use crate::domain::user::get_user_attribute_verification_code as rules;
use crate::domain::user::verify_user_attribute::medium_of;
use crate::proto::v1::{GetUserAttributeVerificationCodeRequest, GetUserAttributeVerificationCodeResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;
use crate::tokens::access_token::AccessToken;

/// Sends the user of an access token a code that proves an address.
pub async fn get_user_attribute_verification_code(
    app: &App,
    caller: &Caller,
    request: GetUserAttributeVerificationCodeRequest,
) -> Result<GetUserAttributeVerificationCodeResponse, Error> {
    let token = verified(app, request.access_token()).await?;
    let medium = medium_of(request.attribute_name())?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &token, medium))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    token: &AccessToken,
    medium: Medium,
) -> Result<GetUserAttributeVerificationCodeResponse, Failure> {
    let purpose = verification(medium);
    let wanted = Wanted { code: Some(purpose), ..Wanted::default() };
    let signed_in = signed_in_with(app, token, wanted).await?;
    let (pool, user, sub) = (&signed_in.pool, &signed_in.user, signed_in.user.state.sub);
    let (at, code, before) = (app.clock.now(), app.random.code(), signed_in.code.as_ref());
    let decision = rules::get_user_attribute_verification_code(&pool.state, &user.state, medium, &code);
    let delivery = decision.answer?;
    let (source, network) = (Source::Familiar, None);
    let row =
        NewCode { sub, purpose, delivery: &delivery, code: &code, before, source, network, at }.row(&pool.keys)?;
    let limit = codes::address_limit(app, &pool.keys, source, &delivery);
    let commit = Commit::new(&pool.id, &pool.keys, &pool.name_rules, &signed_in.origin(caller), at)
        .user(user, decision.events)
        .activity(sub, &user.key, decision.activity)
        .messages(sub, &user.key, decision.messages)
        .operational([row])
        .operational(codes::spent(limit.into_iter().collect()));
    app.store.commit(commit).await?;
    let (medium, address) = &delivery;
    let code_delivery_details = Some(shapes::code_delivery(*medium, address));
    Ok(GetUserAttributeVerificationCodeResponse { code_delivery_details })
}
