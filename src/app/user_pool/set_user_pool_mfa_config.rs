//! SetUserPoolMfaConfig.

use crate::app::caller::Caller;
use crate::app::user_pool::mfa_mode;
use crate::app::{App, Failure, shapes};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::set_user_pool_mfa_config as rules;
use crate::proto::v1::{SetUserPoolMfaConfigRequest, SetUserPoolMfaConfigResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Sets the MFA settings of a pool and shows them.
pub async fn set_user_pool_mfa_config(
    app: &App,
    caller: &Caller,
    request: &SetUserPoolMfaConfigRequest,
) -> Result<SetUserPoolMfaConfigResponse, Failure> {
    mfa_mode::may_be(app, request.mfa_configuration.as_deref()).await?;
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let decision = rules::set_user_pool_mfa_config(&pool.state, request.clone());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided_showing(&pool, decision, |pool| Ok(answer(pool)))).await
}

fn answer(pool: &UserPool) -> SetUserPoolMfaConfigResponse {
    let shown = shapes::mfa_config(pool);
    SetUserPoolMfaConfigResponse {
        sms_mfa_configuration: shown.sms_mfa_configuration,
        software_token_mfa_configuration: shown.software_token_mfa_configuration,
        email_mfa_configuration: shown.email_mfa_configuration,
        mfa_configuration: shown.mfa_configuration,
        web_authn_configuration: shown.web_authn_configuration,
    }
}
