//! AdminGetUser.

use crate::app::caller::Caller;
use crate::app::{App, shapes};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{AdminGetUserRequest, AdminGetUserResponse};
use crate::store::read::Wanted;

/// Shows a user to an administrator, by name, alias or `sub`.
pub async fn admin_get_user(
    app: &App,
    _: &Caller,
    request: AdminGetUserRequest,
) -> Result<AdminGetUserResponse, Error> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let name = app.store.pool_hint(&pool_id).await?.name_rules.normalise(request.username());
    let found = app.store.read(&pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await?;
    let user = found.user.ok_or_else(Error::no_such_user)?.state;
    Ok(AdminGetUserResponse {
        username: Some(user.username().to_owned()),
        user_attributes: shapes::user_attributes(&found.pool.state, &user, None),
        user_create_date: Some(user.created_at.into()),
        user_last_modified_date: Some(user.modified_at.into()),
        enabled: Some(user.enabled),
        user_status: Some(user.status.name().to_owned()),
        ..AdminGetUserResponse::default()
    })
}
