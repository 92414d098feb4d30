//! ListUsersInGroup.

use crate::app::caller::Caller;
use crate::app::group::named_group::named_group;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure, shapes};
use crate::proto::v1::{ListUsersInGroupRequest, ListUsersInGroupResponse};
use crate::store::pages::List;
use crate::store::users::Position;

/// Lists the members of a group, in the order of their `sub`s.
pub async fn list_users_in_group(
    app: &App,
    _: &Caller,
    request: &ListUsersInGroupRequest,
) -> Result<ListUsersInGroupResponse, Failure> {
    let (pool, group) = named_group(app, request.user_pool_id(), request.group_name()).await?;
    // By the group's id: a page token of a deleted group is not valid for a new group of the same name.
    let filter = group.state.id.to_string();
    let list = List { pool: Some(&pool), operation: "ListUsersInGroup", filter: &filter };
    let after = Position::of(app.store.page_begins(list, request.next_token.as_deref())?)?;
    let size = page_size(request.limit);
    let members = app.store.list_members(&pool.id, group.state.id, after, size + 1).await?;
    let (members, next_token) = page(&app.store, list, members, size, |member| member.position.to_string());
    let users = members.iter().map(|member| shapes::user(&pool.state, &member.user)).collect();
    Ok(ListUsersInGroupResponse { users, next_token })
}
