//! AdminSetUserMFAPreference.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::set_mfa_preference as rules;
use crate::proto::v1::{AdminSetUserMfaPreferenceRequest, AdminSetUserMfaPreferenceResponse};
use crate::store::commit::Commit;

/// Turns a user's second factors on and off, and prefers one.
pub async fn admin_set_user_mfa_preference(
    app: &App,
    caller: &Caller,
    request: &AdminSetUserMfaPreferenceRequest,
) -> Result<AdminSetUserMfaPreferenceResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let choices = rules::choices_of!(request);
    let decision = rules::set_mfa_preference(&pool.state, &user.state, &choices);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminSetUserMfaPreferenceResponse {})).await
}
