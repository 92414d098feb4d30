//! GetUserAuthFactors.

use crate::app::caller::Caller;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure, shapes};
use crate::domain::auth::first_factor::FirstFactor;
use crate::proto::v1::{GetUserAuthFactorsRequest, GetUserAuthFactorsResponse};

/// Lists the factors by which the access token's user can sign in.
pub async fn get_user_auth_factors(
    app: &App,
    _: &Caller,
    request: &GetUserAuthFactorsRequest,
) -> Result<GetUserAuthFactorsResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let (pool, user) = (&signed_in.pool.state, &signed_in.user.state);
    let configured = FirstFactor::configured(pool, user);
    Ok(GetUserAuthFactorsResponse {
        username: Some(user.username().to_owned()),
        preferred_mfa_setting: shapes::preferred_mfa(user),
        user_mfa_setting_list: shapes::mfa_settings(user),
        configured_user_auth_factors: configured.into_iter().map(str::to_owned).collect(),
    })
}
