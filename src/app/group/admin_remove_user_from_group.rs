//! AdminRemoveUserFromGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group_and_user;
use crate::app::{App, Failure};
use crate::domain::user::admin_remove_user_from_group as rules;
use crate::proto::v1::{AdminRemoveUserFromGroupRequest, AdminRemoveUserFromGroupResponse};
use crate::store::commit::Commit;

/// Removes a user from a group.
pub async fn admin_remove_user_from_group(
    app: &App,
    caller: &Caller,
    request: &AdminRemoveUserFromGroupRequest,
) -> Result<AdminRemoveUserFromGroupResponse, Failure> {
    let (found, group, user) =
        named_group_and_user(app, request.user_pool_id(), request.group_name(), request.username()).await?;
    let decision = rules::admin_remove_user_from_group(&user.state, &group.state);
    let commit = Commit::about(&found.pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminRemoveUserFromGroupResponse {})).await
}
