//! AdminGetUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::proto::v1::{AdminGetUserRequest, AdminGetUserResponse};

/// Shows a user to an administrator, by name, alias or `sub`.
pub async fn admin_get_user(
    app: &App,
    _: &Caller,
    request: &AdminGetUserRequest,
) -> Result<AdminGetUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let user = user.state;
    Ok(AdminGetUserResponse {
        username: Some(user.username().to_owned()),
        user_attributes: shapes::user_attributes(&pool.state, &user, None),
        user_create_date: Some(user.created_at.into()),
        user_last_modified_date: Some(user.modified_at.into()),
        enabled: Some(user.enabled),
        user_status: Some(user.status.name().to_owned()),
        mfa_options: shapes::mfa_options(&user),
        preferred_mfa_setting: shapes::preferred_mfa(&user),
        user_mfa_setting_list: shapes::mfa_settings(&user),
    })
}
