//! ListGroups.

use crate::app::caller::Caller;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure, shapes};
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{ListGroupsRequest, ListGroupsResponse};
use crate::store::pages::List;
use crate::store::read::Wanted;

/// Lists the groups of a pool, in the order of their names.
pub async fn list_groups(app: &App, _: &Caller, request: &ListGroupsRequest) -> Result<ListGroupsResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let list = List { pool: Some(&pool), operation: "ListGroups", filter: "" };
    let after = app.store.page_begins(list, request.next_token.as_deref())?;
    let size = page_size(request.limit);
    let groups = app.store.list_groups(&id, after.as_deref(), size + 1).await?;
    let (groups, next_token) = page(&app.store, list, groups, size, |group| group.name.clone());
    Ok(ListGroupsResponse { groups: groups.iter().map(|group| shapes::group(&id, group)).collect(), next_token })
}
