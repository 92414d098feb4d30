//! AdminSetUserSettings.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::set_mfa_preference as rules;
use crate::proto::v1::{AdminSetUserSettingsRequest, AdminSetUserSettingsResponse};
use crate::store::commit::Commit;

/// Turns a user's SMS codes on or off.
pub async fn admin_set_user_settings(
    app: &App,
    caller: &Caller,
    request: &AdminSetUserSettingsRequest,
) -> Result<AdminSetUserSettingsResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let choice = rules::choice_of_settings(&request.mfa_options)?;
    let decision = rules::set_mfa_preference(&pool.state, &user.state, &choice.into());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminSetUserSettingsResponse {})).await
}
