//! DeleteUser.

use crate::app::caller::Caller;
use crate::app::user::deletion::deletion;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::proto::v1::{DeleteUserRequest, DeleteUserResponse};

/// Deletes the access token's user: its key is destroyed, so that none of its personal data can be read.
pub async fn delete_user(
    app: &App,
    caller: &Caller,
    request: &DeleteUserRequest,
) -> Result<DeleteUserResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let origin = signed_in.origin(caller);
    let (commit, decision) = deletion(app, &signed_in.pool, &signed_in.user, &origin).await?;
    app.store.settle(commit.decided(&signed_in.user, decision).map(|()| DeleteUserResponse {})).await
}
