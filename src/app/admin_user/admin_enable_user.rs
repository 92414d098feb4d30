//! AdminEnableUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::admin_enable_user as rules;
use crate::proto::v1::{AdminEnableUserRequest, AdminEnableUserResponse};
use crate::store::commit::Commit;

/// Lets a disabled user sign in again.
pub async fn admin_enable_user(
    app: &App,
    caller: &Caller,
    request: &AdminEnableUserRequest,
) -> Result<AdminEnableUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::admin_enable_user(&user.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminEnableUserResponse {})).await
}
