//! GetUserPoolMfaConfig.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{GetUserPoolMfaConfigRequest, GetUserPoolMfaConfigResponse};
use crate::store::read::Wanted;

/// Shows the MFA settings of a pool.
pub async fn get_user_pool_mfa_config(
    app: &App,
    _: &Caller,
    request: &GetUserPoolMfaConfigRequest,
) -> Result<GetUserPoolMfaConfigResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    Ok(shapes::mfa_config(&pool.state))
}
