//! AdminDeleteUserAttributes.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::user::attribute_change::{Change, fresh_codes};
use crate::app::{App, Failure};
use crate::domain::trigger::Texts;
use crate::domain::user::admin_delete_user_attributes as rules;
use crate::proto::v1::{AdminDeleteUserAttributesRequest, AdminDeleteUserAttributesResponse};

/// Deletes attributes of a user.
pub async fn admin_delete_user_attributes(
    app: &App,
    caller: &Caller,
    request: &AdminDeleteUserAttributesRequest,
) -> Result<AdminDeleteUserAttributesResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::admin_delete_user_attributes(&pool.state, &user.state, &request.user_attribute_names);
    let origin = caller.developer_origin();
    let metadata = &Texts::new();
    let change = Change { pool: &pool, user: &user, origin: &origin, client_id: None, metadata, at: app.clock.now() };
    change.settle(app, caller, decision, &fresh_codes(app), |_| AdminDeleteUserAttributesResponse {}).await
}
