//! The passkeys of whoever signs in: those that are asked for, and what the answer proves.

use crate::app::auth::sign_in::SignIn;
use crate::app::web_authn::sealed;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::auth::session::{ChallengeSession, ProvedPasskey};
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::web_authn::{Assertion, Credential, Described, Fault, RelyingParty, request_options};
use crate::store::commit::{OperationalRow, PasskeyUse};
use crate::store::keys::PoolKeys;

/// A passkey that has signed.
pub struct Signed {
    /// What it proves.
    pub proved: ProvedPasskey,
    /// The row that uses its counter.
    pub used: OperationalRow,
}

/// The options for the browser, by which a passkey of the user is asked for. `None` if the user has none, and the caller may
/// learn that.
pub fn options(sign_in: SignIn<'_>, session: &ChallengeSession, named: Sub) -> Result<Option<String>, Error> {
    let pool = sign_in.pool();
    let party = party(sign_in)?;
    let user = sign_in.found.user.as_ref().filter(|_| party.signs_in(&pool.state));
    let credentials = user.map(|user| sealed::made_for(party.id, &pool.id, user)).transpose()?.unwrap_or_default();
    let made_up = made_up(&pool.keys, named);
    let transports = ["hybrid", "internal"].map(str::to_owned);
    let allowed: Vec<_> = match credentials.is_empty() {
        false => credentials.iter().map(Credential::described).collect(),
        true if sign_in.client.state.hides_users() => vec![Described { id: &made_up, transports: &transports }],
        true => return Ok(None),
    };
    let milliseconds = session.expires_at.0 - sign_in.at.0;
    Ok(Some(request_options(&party, &challenge(&pool.keys, session), &allowed, milliseconds)))
}

/// What an assertion proves: which of the user's passkeys has signed the challenge of the session.
pub fn signed(
    sign_in: SignIn<'_>,
    session: &ChallengeSession,
    assertion: &Assertion,
) -> Result<Result<Signed, Fault>, Error> {
    let pool = sign_in.pool();
    let party = party(sign_in)?;
    let id = sealed::id_of(&pool.keys, assertion.credential_id());
    let user = sign_in.found.user.as_ref().filter(|_| party.signs_in(&pool.state));
    let Some((user, passkey)) = user.and_then(|user| Some((user, user.state.passkey(id)?))) else {
        return Ok(Err(Fault::Wrong));
    };
    let (sub, credential) = (user.state.sub, sealed::open(&pool.id, user, passkey)?);
    let verified = assertion.verify(&party, (sub, &credential), &challenge(&pool.keys, session));
    Ok(verified.map(|proof| Signed {
        proved: ProvedPasskey { id, user_verified: proof.user_verified },
        used: OperationalRow::PasskeyUsed(PasskeyUse { sub, passkey: id, counter: proof.counter }),
    }))
}

/// The relying party of the pool for whoever signs in, where users can begin by a passkey.
fn party<'a>(sign_in: SignIn<'a>) -> Result<RelyingParty<'a>, Error> {
    let pool = &sign_in.pool().state;
    let party = RelyingParty::of(pool).filter(|_| FirstFactor::available(pool).contains(&FirstFactor::WebAuthn));
    // The pool may have changed since the challenge.
    let party = party.ok_or_else(Error::invalid_session)?;
    Ok(party.for_user(sign_in.found.user.as_ref().is_some_and(|user| user.state.mfa.passkeys)))
}

/// What the passkey has to sign. It follows from the session, so that the session need not hold it.
fn challenge(keys: &PoolKeys, session: &ChallengeSession) -> Vec<u8> {
    keys.keyed_hash("passkey challenge", &[&session.nonce.to_string()])
}

/// The id of a credential that nobody has. It is the same each time that the name is given.
fn made_up(keys: &PoolKeys, named: Sub) -> Vec<u8> {
    keys.keyed_hash("made-up passkey", &[&named.to_string()])
}
