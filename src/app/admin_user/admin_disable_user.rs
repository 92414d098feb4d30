//! AdminDisableUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::admin_disable_user as rules;
use crate::proto::v1::{AdminDisableUserRequest, AdminDisableUserResponse};
use crate::store::commit::Commit;

/// Bars a user from signing in and ends all of its sessions.
pub async fn admin_disable_user(
    app: &App,
    caller: &Caller,
    request: &AdminDisableUserRequest,
) -> Result<AdminDisableUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::admin_disable_user(&user.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminDisableUserResponse {})).await
}
