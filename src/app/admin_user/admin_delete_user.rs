//! AdminDeleteUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::delete_user as rules;
use crate::proto::v1::{AdminDeleteUserRequest, AdminDeleteUserResponse};
use crate::store::commit::Commit;

/// Deletes a user: its key is destroyed, so that none of its personal data can be read.
pub async fn admin_delete_user(
    app: &App,
    caller: &Caller,
    request: &AdminDeleteUserRequest,
) -> Result<AdminDeleteUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::delete_user(&user.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminDeleteUserResponse {})).await
}
