//! AdminAddUserToGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group_and_user;
use crate::app::{App, Failure};
use crate::domain::user::admin_add_user_to_group as rules;
use crate::proto::v1::{AdminAddUserToGroupRequest, AdminAddUserToGroupResponse};
use crate::store::commit::Commit;

/// Adds a user to a group.
pub async fn admin_add_user_to_group(
    app: &App,
    caller: &Caller,
    request: &AdminAddUserToGroupRequest,
) -> Result<AdminAddUserToGroupResponse, Failure> {
    let (found, group, user) =
        named_group_and_user(app, request.user_pool_id(), request.group_name(), request.username()).await?;
    let living = found.groups.iter().map(|group| group.id).collect();
    let decision =
        rules::admin_add_user_to_group(&user.state, &group.state, &living, app.settings.counts.groups_per_user);
    let commit = Commit::about(&found.pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.in_group(&group).decided(&user, decision).map(|()| AdminAddUserToGroupResponse {})).await
}
