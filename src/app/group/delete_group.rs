//! DeleteGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group;
use crate::app::{App, Failure};
use crate::domain::group::delete_group::{self as rules, Members};
use crate::proto::v1::{DeleteGroupRequest, DeleteGroupResponse};
use crate::store::commit::Commit;

/// Deletes a group. It must be empty, unless the server's setting allows otherwise.
pub async fn delete_group(
    app: &App,
    caller: &Caller,
    request: &DeleteGroupRequest,
) -> Result<DeleteGroupResponse, Failure> {
    let (pool, group) = named_group(app, request.user_pool_id(), request.group_name()).await?;
    let members = if app.settings.delete_groups_with_members {
        Members::Irrelevant
    } else if app.store.has_members(&pool.id, group.state.id).await? {
        Members::Some
    } else {
        Members::None
    };
    let decision = rules::delete_group(&group.state, members);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    let commit = if members == Members::None { commit.without_members(group.state.id) } else { commit };
    app.store.settle(commit.decided(&group, decision).map(|()| DeleteGroupResponse {})).await
}
