//! DeleteUserAttributes.

use crate::app::caller::Caller;
use crate::app::user::attribute_change::{Change, fresh_codes};
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::domain::trigger::Texts;
use crate::domain::user::delete_user_attributes as rules;
use crate::proto::v1::{DeleteUserAttributesRequest, DeleteUserAttributesResponse};

/// Deletes attributes of the access token's user.
pub async fn delete_user_attributes(
    app: &App,
    caller: &Caller,
    request: &DeleteUserAttributesRequest,
) -> Result<DeleteUserAttributesResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let (pool, user, client) = (&signed_in.pool, &signed_in.user, &signed_in.client.state);
    let decision = rules::delete_user_attributes(&pool.state, client, &user.state, &request.user_attribute_names);
    let origin = signed_in.origin(caller);
    let (client_id, metadata) = (Some(&signed_in.client_id), &Texts::new());
    let change = Change { pool, user, origin: &origin, client_id, metadata, at: app.clock.now() };
    change.settle(app, caller, decision, &fresh_codes(app), |_| DeleteUserAttributesResponse {}).await
}
