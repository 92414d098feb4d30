//! GetUser.

use crate::app::caller::Caller;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure, shapes};
use crate::proto::v1::{GetUserRequest, GetUserResponse};

/// Shows the access token's user, with the attributes that the client may read.
pub async fn get_user(app: &App, _: &Caller, request: &GetUserRequest) -> Result<GetUserResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let user = &signed_in.user.state;
    Ok(GetUserResponse {
        username: Some(user.username().to_owned()),
        user_attributes: shapes::user_attributes(&signed_in.pool.state, user, Some(&signed_in.client.state)),
        mfa_options: shapes::mfa_options(user),
        preferred_mfa_setting: shapes::preferred_mfa(user),
        user_mfa_setting_list: shapes::mfa_settings(user),
    })
}
