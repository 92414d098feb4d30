//! UpdateUserPool.

use crate::app::caller::Caller;
use crate::app::user_pool::mfa_mode;
use crate::app::{App, Failure};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::{settings, update_user_pool as rules};
use crate::proto::v1::{UpdateUserPoolRequest, UpdateUserPoolResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Changes the settings of a pool.
pub async fn update_user_pool(
    app: &App,
    caller: &Caller,
    request: &UpdateUserPoolRequest,
) -> Result<UpdateUserPoolResponse, Failure> {
    mfa_mode::may_be(app, request.mfa_configuration.as_deref()).await?;
    settings::check_user_migration(request.lambda_config.as_ref(), app.settings.sends_passwords)?;
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let decision = rules::update_user_pool(&pool.state, request.clone());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&pool, decision).map(|()| UpdateUserPoolResponse {})).await
}
