//! CreateGroup.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::domain::group::create_group as rules;
use crate::domain::ids::{GroupId, UserPoolId};
use crate::proto::v1::{CreateGroupRequest, CreateGroupResponse};
use crate::store::commit::{Commit, Counted, NewGroup};
use crate::store::read::Wanted;

/// Creates a group, whose name must be new in its pool.
pub async fn create_group(
    app: &App,
    caller: &Caller,
    request: &CreateGroupRequest,
) -> Result<CreateGroupResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let wanted = Wanted { group: Some(request.group_name()), ..Wanted::default() };
    let found = app.store.read(&pool_id, None, wanted).await?;
    let decision = rules::create_group(found.group.as_ref().map(|group| &group.state), request.clone());
    let (pool, id) = (&found.pool, GroupId(app.random.uuid()));
    let commit = Commit::about(pool, &caller.developer_origin(), app.clock.now())
        .decided_from(pool, None)
        .at_most(app.settings.counts.groups_per_pool, Counted::Groups);
    let settlement = commit.decided_showing(&NewGroup(id), decision, |group| {
        Ok(CreateGroupResponse { group: Some(shapes::group(&pool_id, group)) })
    });
    app.store.settle(settlement).await
}
