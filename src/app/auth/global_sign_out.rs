//! GlobalSignOut.

use crate::app::caller::Caller;
use crate::app::user::signed_in::{revoked, signed_in};
use crate::app::{App, Failure};
use crate::domain::error::{Error, Exception};
use crate::domain::user::global_sign_out as rules;
use crate::proto::v1::{GlobalSignOutRequest, GlobalSignOutResponse};
use crate::store::commit::Commit;

/// Ends all sessions of the access token's user.
pub async fn global_sign_out(
    app: &App,
    caller: &Caller,
    request: &GlobalSignOutRequest,
) -> Result<GlobalSignOutResponse, Failure> {
    // The operation has no "user not found": the token of a deleted user is answered as revoked.
    let gone = |error: Error| error.unless(Exception::UserNotFoundException, |_| revoked());
    let signed_in = signed_in(app, request.access_token()).await.map_err(|failure| failure.map_refusal(gone))?;
    let decision = rules::global_sign_out(&signed_in.user.state);
    let commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), app.clock.now());
    app.store.settle(commit.decided(&signed_in.user, decision).map(|()| GlobalSignOutResponse {})).await
}
