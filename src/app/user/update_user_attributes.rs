//! UpdateUserAttributes.

use crate::app::caller::Caller;
use crate::app::user::attribute_change::{Change, fresh_codes};
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure, shapes};
use crate::domain::user::codes::Delivery;
use crate::domain::user::update_user_attributes as rules;
use crate::proto::v1::{UpdateUserAttributesRequest, UpdateUserAttributesResponse};

/// Sets attributes of the access token's user, and sends codes to addresses that have to be verified.
pub async fn update_user_attributes(
    app: &App,
    caller: &Caller,
    request: &UpdateUserAttributesRequest,
) -> Result<UpdateUserAttributesResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let (pool, user, codes) = (&signed_in.pool, &signed_in.user, fresh_codes(app));
    let decision = rules::update_user_attributes(
        &pool.state,
        &signed_in.client.state,
        &user.state,
        &request.user_attributes,
        &codes,
    );
    let origin = signed_in.origin(caller);
    let change = Change {
        pool,
        user,
        origin: &origin,
        client_id: Some(&signed_in.client_id),
        metadata: &request.client_metadata,
        at: app.clock.now(),
    };
    change.settle(app, caller, decision, &codes, answer).await
}

fn answer(deliveries: &[Delivery]) -> UpdateUserAttributesResponse {
    let shown = deliveries.iter().map(|(medium, address)| shapes::code_delivery(*medium, address));
    UpdateUserAttributesResponse { code_delivery_details_list: shown.collect() }
}
