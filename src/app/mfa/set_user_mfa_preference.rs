//! SetUserMFAPreference.

use crate::app::caller::Caller;
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::domain::user::set_mfa_preference as rules;
use crate::proto::v1::{SetUserMfaPreferenceRequest, SetUserMfaPreferenceResponse};
use crate::store::commit::Commit;

/// Turns second factors of the access token's user on and off, and prefers one.
pub async fn set_user_mfa_preference(
    app: &App,
    caller: &Caller,
    request: &SetUserMfaPreferenceRequest,
) -> Result<SetUserMfaPreferenceResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let choices = rules::choices_of!(request);
    let decision = rules::set_mfa_preference(&signed_in.pool.state, &signed_in.user.state, &choices);
    let commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), app.clock.now());
    app.store.settle(commit.decided(&signed_in.user, decision).map(|()| SetUserMfaPreferenceResponse {})).await
}
