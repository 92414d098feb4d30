//! CreateGroup.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::decision::replay;
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::domain::group::create_group as rules;
use crate::domain::ids::{GroupId, StreamId, UserPoolId};
use crate::proto::v1::{CreateGroupRequest, CreateGroupResponse};
use crate::store::commit::{Commit, Counted};
use crate::store::read::Wanted;

/// Creates a group.
pub async fn create_group(
    app: &App,
    caller: &Caller,
    request: CreateGroupRequest,
) -> Result<CreateGroupResponse, Error> {
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request))
}

async fn attempt(app: &App, caller: &Caller, request: &CreateGroupRequest) -> Result<CreateGroupResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let wanted = Wanted { group: Some(request.group_name()), ..Wanted::default() };
    let found = app.store.read(&pool_id, None, wanted).await?;
    let decision = rules::create_group(found.group.as_ref().map(|group| &group.state), request.clone());
    decision.answer?;
    let (id, at) = (GroupId(app.random.uuid()), app.clock.now());
    let group = replay::<Group>(None, &StreamId::group(id), decision.events.iter().map(|event| (event, at)));
    let group = group.ok_or_else(|| Error::internal("a group that was created does not exist"))?;
    let answer = CreateGroupResponse { group: Some(shapes::group(&pool_id, &group)) };
    let commit = Commit::new(&pool_id, &found.pool.keys, &found.pool.name_rules, &caller.developer_origin(), at)
        .decided_from(&found.pool, None)
        .new_group(id, decision.events)
        .at_most(app.settings.counts.groups_per_pool, Counted::Groups)
        .answering(&answer);
    app.store.commit(commit).await?;
    Ok(answer)
}
