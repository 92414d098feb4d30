//! CompleteWebAuthnRegistration.

use serde_json::Value;

use crate::app::caller::Caller;
use crate::app::user::signed_in::SignedIn;
use crate::app::web_authn::owner::{owner_with, token};
use crate::app::web_authn::sealed;
use crate::app::{App, Failure};
use crate::domain::auth::session::Nonce;
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::user::complete_web_authn_registration as rules;
use crate::domain::user::passkeys::claim;
use crate::domain::web_authn::{Attestation, Completing, RegistrationChallenge, RelyingParty, check_enabled};
use crate::proto::document;
use crate::proto::v1::{CompleteWebAuthnRegistrationRequest, CompleteWebAuthnRegistrationResponse};
use crate::store::commit::{Commit, OperationalRow};
use crate::store::error::StoreError;
use crate::store::read::Wanted;
use crate::tokens::registration_challenge;

/// Keeps the passkey that a browser has made.
pub async fn complete_web_authn_registration(
    app: &App,
    caller: &Caller,
    request: &CompleteWebAuthnRegistrationRequest,
) -> Result<CompleteWebAuthnRegistrationResponse, Failure> {
    let (at, token) = (app.clock.now(), token(app, request.access_token()).await?);
    let given = request.credential.as_ref().map(document::to_object).unwrap_or_default();
    let attestation = Attestation::parse(&Value::Object(given));
    let hint = app.store.pool_hint(&token.pool_id).await?;
    let id = attestation.as_ref().map(|attestation| sealed::id_of(&hint.keys, attestation.credential_id()));
    let claims: Vec<_> = id.as_ref().map(|id| claim(*id)).into_iter().collect();
    let signed_in = owner_with(app, &token, Wanted { taken: &claims, ..Wanted::default() }).await?;
    let (pool, user) = (&signed_in.pool, &signed_in.user);
    check_enabled(&pool.state)?;
    let attestation = attestation?;
    let (begun, party) = begun(app, &signed_in, &attestation, at).await?;
    let id = sealed::id_of(&pool.keys, attestation.credential_id());
    let credential = sealed::seal(app, &pool.id, user, &attestation.verify(&party)?)?;
    let (is_taken, most) = (!signed_in.taken.is_empty(), app.settings.counts.passkeys_per_user);
    let command = rules::CompleteWebAuthnRegistration { id, credential, is_taken, most };
    let decision = rules::complete_web_authn_registration(&user.state, command);
    let spent = Nonce { id: begun.nonce, sub: begun.sub, expires_at: begun.expires_at };
    let commit = Commit::about(pool, &signed_in.origin(caller), at)
        .decided_from(pool, None)
        .operational([OperationalRow::NonceSpent(spent)]);
    let answer = decision.map(|()| CompleteWebAuthnRegistrationResponse {});
    app.store.settle(commit.decided(user, answer)).await.map_err(|failure| match failure {
        Failure::Store(StoreError::Spent) => RegistrationChallenge::not_found().into(),
        failure => failure,
    })
}

/// The registration that is completed, which was not completed before, and its relying party.
async fn begun<'a>(
    app: &App,
    signed_in: &'a SignedIn,
    attestation: &Attestation,
    at: Timestamp,
) -> Result<(RegistrationChallenge, RelyingParty<'a>), Failure> {
    let (pool, challenge) = (&signed_in.pool, attestation.challenge());
    let begun = registration_challenge::open(&pool.id, &pool.keys, challenge);
    let begun = begun.ok_or_else(RegistrationChallenge::not_found)?;
    let party = begun.check(Completing {
        sub: signed_in.user.state.sub,
        client_id: &signed_in.client_id,
        party: RelyingParty::of(&pool.state),
        at,
    })?;
    if app.store.is_nonce_spent(&pool.id, begun.nonce).await? {
        return Err(Error::into(RegistrationChallenge::not_found()));
    }
    Ok((begun, party))
}
