//! SetUserSettings.

use crate::app::caller::Caller;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::domain::user::set_mfa_preference as rules;
use crate::proto::v1::{SetUserSettingsRequest, SetUserSettingsResponse};
use crate::store::commit::Commit;

/// Turns SMS codes of the access token's user on or off.
pub async fn set_user_settings(
    app: &App,
    caller: &Caller,
    request: &SetUserSettingsRequest,
) -> Result<SetUserSettingsResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let choice = rules::choice_of_settings(&request.mfa_options)?;
    let decision = rules::set_mfa_preference(&signed_in.pool.state, &signed_in.user.state, &choice.into());
    let commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), app.clock.now());
    app.store.settle(commit.decided(&signed_in.user, decision).map(|()| SetUserSettingsResponse {})).await
}
