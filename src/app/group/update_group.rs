//! UpdateGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::decision::replay;
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::domain::group::update_group as rules;
use crate::domain::ids::StreamId;
use crate::proto::v1::{UpdateGroupRequest, UpdateGroupResponse};
use crate::store::commit::Commit;

/// Changes the settings of a group and shows it.
pub async fn update_group(
    app: &App,
    caller: &Caller,
    request: UpdateGroupRequest,
) -> Result<UpdateGroupResponse, Error> {
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request))
}

async fn attempt(app: &App, caller: &Caller, request: &UpdateGroupRequest) -> Result<UpdateGroupResponse, Failure> {
    let (pool, group) = named_group(app, request.user_pool_id(), request.group_name()).await?;
    let decision = rules::update_group(&group.state, request.clone());
    decision.answer?;
    let (stream, at) = (StreamId::group(group.state.id), app.clock.now());
    let events = decision.events.iter().map(|event| (event, at));
    let after = replay::<Group>(Some(group.state.clone()), &stream, events).ok_or_else(Error::no_such_group)?;
    let answer = UpdateGroupResponse { group: Some(shapes::group(&pool.id, &after)) };
    if !decision.events.is_empty() {
        let commit = Commit::new(&pool.id, &pool.keys, &pool.name_rules, &caller.developer_origin(), at);
        app.store.commit(commit.group(&group, decision.events).answering(&answer)).await?;
    }
    Ok(answer)
}
