//! GetUserAttributeVerificationCode.

use crate::app::caller::Caller;
use crate::app::codes::{self, NewCode};
use crate::app::user::signed_in::{signed_in_with, verified};
use crate::app::wording::Wording;
use crate::app::{App, Failure, shapes};
use crate::domain::source::Source;
use crate::domain::trigger::custom_message;
use crate::domain::user::codes::{Delivery, verification};
use crate::domain::user::get_user_attribute_verification_code as rules;
use crate::domain::user::verify_user_attribute::medium_of;
use crate::proto::v1::{GetUserAttributeVerificationCodeRequest, GetUserAttributeVerificationCodeResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Sends the access token's user a code that verifies an address.
pub async fn get_user_attribute_verification_code(
    app: &App,
    caller: &Caller,
    request: &GetUserAttributeVerificationCodeRequest,
) -> Result<GetUserAttributeVerificationCodeResponse, Failure> {
    let token = verified(app, request.access_token()).await?;
    let medium = medium_of(request.attribute_name())?;
    let purpose = verification(medium);
    let wanted = Wanted { code: Some(purpose), ..Wanted::default() };
    let signed_in = signed_in_with(app, &token, wanted).await?;
    let (pool, user, sub) = (&signed_in.pool, &signed_in.user, signed_in.user.state.sub);
    let (at, code, before) = (app.clock.now(), app.random.code(), signed_in.code.as_ref());
    let decision = rules::get_user_attribute_verification_code(&pool.state, &user.state, medium, &code);
    let mut rows = Vec::new();
    if let Some(delivery) = decision.accepted() {
        let (source, network) = (Source::Familiar, None);
        let new = NewCode { sub, purpose, delivery, code: &code, before, source, network, at };
        rows.push(new.row(&pool.keys)?);
        rows.extend(codes::spent(codes::address_limit(app, &pool.keys, source, delivery).into_iter().collect()));
    }
    let wording = Wording {
        source: custom_message::VERIFY_USER_ATTRIBUTE,
        pool,
        client_id: Some(&signed_in.client_id),
        shown: None,
        metadata: &request.client_metadata,
    };
    let decision = wording.of(app, caller, (sub, Some(&user.state)), decision, at).await?;
    let commit = Commit::about(pool, &signed_in.origin(caller), at).operational(rows);
    app.store.settle(commit.decided(user, decision).map(answer)).await
}

fn answer((medium, address): Delivery) -> GetUserAttributeVerificationCodeResponse {
    let code_delivery_details = Some(shapes::code_delivery(medium, &address));
    GetUserAttributeVerificationCodeResponse { code_delivery_details }
}
