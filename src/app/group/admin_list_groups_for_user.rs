//! AdminListGroupsForUser.

use crate::app::caller::Caller;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure, shapes};
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{AdminListGroupsForUserRequest, AdminListGroupsForUserResponse};
use crate::store::pages::List;
use crate::store::read::Wanted;

/// Lists the groups that a user is in, in the order of their names.
pub async fn admin_list_groups_for_user(
    app: &App,
    _: &Caller,
    request: &AdminListGroupsForUserRequest,
) -> Result<AdminListGroupsForUserResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let name = app.store.pool_hint(&pool_id).await?.name_rules.normalise(request.username());
    let wanted = Wanted { name: Some(&name), groups: true, ..Wanted::default() };
    let found = app.store.read(&pool_id, None, wanted).await?;
    let user = found.user.ok_or_else(Error::no_such_user)?;
    let filter = user.state.sub.to_string();
    let list = List { pool: Some(&found.pool), operation: "AdminListGroupsForUser", filter: &filter };
    let after = app.store.page_begins(list, request.next_token.as_deref())?;
    let size = page_size(request.limit);
    let mut groups: Vec<Group> = found.groups;
    groups.retain(|group| after.as_ref().is_none_or(|after| group.name > *after));
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    let (groups, next_token) = page(&app.store, list, groups, size, |group| group.name.clone());
    let groups = groups.iter().map(|group| shapes::group(&pool_id, group)).collect();
    Ok(AdminListGroupsForUserResponse { groups, next_token })
}
