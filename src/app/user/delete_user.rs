//! DeleteUser.

use crate::app::caller::Caller;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::domain::user::delete_user as rules;
use crate::proto::v1::{DeleteUserRequest, DeleteUserResponse};
use crate::store::commit::Commit;

/// Deletes the access token's user: its key is destroyed, so that none of its personal data can be read.
pub async fn delete_user(
    app: &App,
    caller: &Caller,
    request: &DeleteUserRequest,
) -> Result<DeleteUserResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let decision = rules::delete_user(&signed_in.user.state);
    let commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), app.clock.now());
    app.store.settle(commit.decided(&signed_in.user, decision).map(|()| DeleteUserResponse {})).await
}
