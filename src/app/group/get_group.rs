//! GetGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group;
use crate::app::{App, Failure, shapes};
use crate::proto::v1::{GetGroupRequest, GetGroupResponse};

/// Shows a group of a pool, by its name.
pub async fn get_group(app: &App, _: &Caller, request: &GetGroupRequest) -> Result<GetGroupResponse, Failure> {
    let (pool, group) = named_group(app, request.user_pool_id(), request.group_name()).await?;
    Ok(GetGroupResponse { group: Some(shapes::group(&pool.id, &group.state)) })
}
