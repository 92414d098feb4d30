//! AdminUpdateUserAttributes.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::user::attribute_change::{Change, fresh_codes};
use crate::app::{App, Failure};
use crate::domain::user::admin_update_user_attributes as rules;
use crate::proto::v1::{AdminUpdateUserAttributesRequest, AdminUpdateUserAttributesResponse};

/// Sets attributes of a user, and sends codes to addresses that have to be verified.
pub async fn admin_update_user_attributes(
    app: &App,
    caller: &Caller,
    request: &AdminUpdateUserAttributesRequest,
) -> Result<AdminUpdateUserAttributesResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let codes = fresh_codes(app);
    let decision = rules::admin_update_user_attributes(&pool.state, &user.state, &request.user_attributes, &codes);
    let origin = caller.developer_origin();
    let change = Change {
        pool: &pool,
        user: &user,
        origin: &origin,
        client_id: None,
        metadata: &request.client_metadata,
        at: app.clock.now(),
    };
    change.settle(app, caller, decision, &codes, |_| AdminUpdateUserAttributesResponse {}).await
}
