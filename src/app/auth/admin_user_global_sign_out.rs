//! AdminUserGlobalSignOut.

use crate::app::caller::Caller;
use crate::app::{App, Failure, admin_user::named_user};
use crate::domain::user::global_sign_out as rules;
use crate::proto::v1::{AdminUserGlobalSignOutRequest, AdminUserGlobalSignOutResponse};
use crate::store::commit::Commit;

/// Ends all sessions of a user.
pub async fn admin_user_global_sign_out(
    app: &App,
    caller: &Caller,
    request: &AdminUserGlobalSignOutRequest,
) -> Result<AdminUserGlobalSignOutResponse, Failure> {
    let (pool, user) = named_user::named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::global_sign_out(&user.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminUserGlobalSignOutResponse {})).await
}
