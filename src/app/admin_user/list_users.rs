//! ListUsers.

use crate::app::caller::Caller;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure, shapes};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user::list_users as rules;
use crate::proto::v1::{ListUsersRequest, ListUsersResponse, UserType};
use crate::store::pages::List;
use crate::store::read::Wanted;
use crate::store::users::Position;

/// Lists the users of a pool, or those that match a filter.
pub async fn list_users(app: &App, _: &Caller, request: &ListUsersRequest) -> Result<ListUsersResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let filter = rules::parse_filter(request.filter())?;
    rules::check_attributes_to_get(&pool.state.schema, &request.attributes_to_get)?;
    let search = rules::search(filter.as_ref(), &pool.name_rules);
    let filter = filter.map(|filter| filter.to_string()).unwrap_or_default();
    let list = List { pool: Some(&pool), operation: "ListUsers", filter: &filter };
    let after = Position::of(app.store.page_begins(list, request.pagination_token.as_deref())?)?;
    let size = page_size(request.limit);
    let users = app.store.list_users(&id, &search, after, size + 1).await?;
    let (users, pagination_token) = page(&app.store, list, users, size, |listed| listed.position.to_string());
    let shown = users.into_iter().map(|listed| {
        let user = shapes::user(&pool.state, &listed.user);
        Ok(UserType { attributes: rules::attributes_to_get(user.attributes, &request.attributes_to_get)?, ..user })
    });
    Ok(ListUsersResponse { users: shown.collect::<Result<_, Error>>()?, pagination_token })
}
