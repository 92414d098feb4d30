//! DeleteWebAuthnCredential.

use crate::app::caller::Caller;
use crate::app::web_authn::owner::owner;
use crate::app::web_authn::sealed::id_of;
use crate::app::{App, Failure};
use crate::domain::user::delete_web_authn_credential as rules;
use crate::domain::web_authn::decoded;
use crate::proto::v1::{DeleteWebAuthnCredentialRequest, DeleteWebAuthnCredentialResponse};
use crate::store::commit::{Commit, OperationalRow};

/// Deletes a passkey of the access token's user.
pub async fn delete_web_authn_credential(
    app: &App,
    caller: &Caller,
    request: &DeleteWebAuthnCredentialRequest,
) -> Result<DeleteWebAuthnCredentialResponse, Failure> {
    let signed_in = owner(app, request.access_token()).await?;
    let (pool, user) = (&signed_in.pool, &signed_in.user);
    // What is no base64url is no passkey either.
    let id = id_of(&pool.keys, &decoded(request.credential_id()).unwrap_or_default());
    let decision = rules::delete_web_authn_credential(&user.state, id);
    let commit = Commit::about(pool, &signed_in.origin(caller), app.clock.now())
        .operational([OperationalRow::PasskeyForgotten(id)]);
    let answer = decision.map(|()| DeleteWebAuthnCredentialResponse {});
    app.store.settle(commit.decided(user, answer)).await
}
