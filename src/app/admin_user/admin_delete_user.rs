//! AdminDeleteUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::user::deletion::deletion;
use crate::app::{App, Failure};
use crate::proto::v1::{AdminDeleteUserRequest, AdminDeleteUserResponse};

/// Deletes a user: its key is destroyed, so that none of its personal data can be read.
pub async fn admin_delete_user(
    app: &App,
    caller: &Caller,
    request: &AdminDeleteUserRequest,
) -> Result<AdminDeleteUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let (commit, decision) = deletion(app, &pool, &user, &caller.developer_origin()).await?;
    app.store.settle(commit.decided(&user, decision).map(|()| AdminDeleteUserResponse {})).await
}
