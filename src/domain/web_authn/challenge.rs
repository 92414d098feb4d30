//! The challenge of a registration: what it was given for.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::web_authn::registration::relying_party_mismatch;
use crate::domain::web_authn::{REGISTRATION_SECONDS, RelyingParty};

/// A registration between its two calls. It is the content of the challenge itself, sealed, so that nothing is written
/// until a browser has made a passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationChallenge {
    /// A random id that is spent by the registration.
    pub nonce: Uuid,
    /// The user who registers a passkey.
    pub sub: Sub,
    /// The client of the access token.
    pub client_id: ClientId,
    /// The relying party that the passkey is made for.
    pub relying_party_id: String,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// What a registration is completed with.
#[derive(Clone, Copy, Debug)]
pub struct Completing<'a> {
    /// The user of the access token.
    pub sub: Sub,
    /// The client of the access token.
    pub client_id: &'a ClientId,
    /// The relying party of the pool now, if it has one.
    pub party: Option<RelyingParty<'a>>,
    /// When it is completed.
    pub at: Timestamp,
}

impl RegistrationChallenge {
    /// A challenge for a user, through a client.
    pub fn new(nonce: Uuid, sub: Sub, client_id: &ClientId, party: &RelyingParty<'_>, at: Timestamp) -> Self {
        let expires_at = at.plus_seconds(REGISTRATION_SECONDS);
        Self { nonce, sub, client_id: client_id.clone(), relying_party_id: party.id.to_owned(), expires_at }
    }

    /// The relying party for which this registration is completed, if it fits.
    pub fn check<'a>(&self, completing: Completing<'a>) -> Result<RelyingParty<'a>, Error> {
        if self.sub != completing.sub || completing.at >= self.expires_at {
            return Err(Self::not_found());
        }
        if self.client_id != *completing.client_id {
            let message = "The registration was started through another app client.";
            return Err(Error::new(Exception::WebAuthnClientMismatchException, message));
        }
        completing.party.filter(|party| party.id == self.relying_party_id).ok_or_else(relying_party_mismatch)
    }

    /// The refusal of a challenge that is none, or that is over.
    pub fn not_found() -> Error {
        Error::new(Exception::WebAuthnChallengeNotFoundException, "No registration waits for this challenge.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, refusal};
    use crate::domain::web_authn::testing::party;

    #[test]
    fn a_challenge_is_of_its_user_client_party_and_time() {
        let (app, other) = (ClientId::new("app"), ClientId::new("other"));
        let challenge = RegistrationChallenge::new(Uuid::nil(), JANE, &app, &party("example.com"), at(0));
        let now = Completing { sub: JANE, client_id: &app, party: Some(party("example.com")), at: at(299) };
        assert_eq!(challenge.check(now).unwrap(), party("example.com"));
        let refused = |completing| refusal(challenge.check(completing)).0;
        let (not_found, mismatch) =
            (Exception::WebAuthnChallengeNotFoundException, Exception::WebAuthnRelyingPartyMismatchException);
        assert_eq!(refused(Completing { sub: Sub(Uuid::nil()), ..now }), not_found);
        assert_eq!(refused(Completing { at: at(300), ..now }), not_found);
        let elsewhere = Completing { client_id: &other, ..now };
        assert_eq!(refused(elsewhere), Exception::WebAuthnClientMismatchException);
        assert_eq!(refused(Completing { party: Some(party("example.org")), ..now }), mismatch);
        assert_eq!(refused(Completing { party: None, ..now }), mismatch);
    }
}
