//! UpdateGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group;
use crate::app::{App, Failure, shapes};
use crate::domain::group::update_group as rules;
use crate::proto::v1::{UpdateGroupRequest, UpdateGroupResponse};
use crate::store::commit::Commit;

/// Changes the settings of a group and shows it.
pub async fn update_group(
    app: &App,
    caller: &Caller,
    request: &UpdateGroupRequest,
) -> Result<UpdateGroupResponse, Failure> {
    let (pool, group) = named_group(app, request.user_pool_id(), request.group_name()).await?;
    let decision = rules::update_group(&group.state, request.clone());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    let settlement = commit.decided_showing(&group, decision, |group| {
        Ok(UpdateGroupResponse { group: Some(shapes::group(&pool.id, group)) })
    });
    app.store.settle(settlement).await
}
