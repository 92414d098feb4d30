//! The assertion of a passkey at a sign-in: what a browser is asked for, and whether a passkey of the user has signed it.

use serde_json::{Value, json};
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AuthenticationState, Credential as Verifier, CredentialV3, PublicKeyCredential, UserVerificationPolicy,
};

use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::web_authn::{Credential, Described, RelyingParty, encoded};

/// The options for a browser that signs in, as text.
pub fn request_options(
    party: &RelyingParty<'_>,
    challenge: &[u8],
    allowed: &[Described<'_>],
    milliseconds: i64,
) -> String {
    let allowed: Vec<_> = allowed.iter().map(|allowed| allowed.to_json()).collect();
    let options = json!({
        "challenge": encoded(challenge),
        "timeout": milliseconds,
        "rpId": party.id,
        "allowCredentials": allowed,
        "userVerification": party.verification(),
    });
    options.to_string()
}

/// What a browser gives to prove that the user has a passkey.
#[derive(Clone, Debug)]
pub struct Assertion(PublicKeyCredential);

/// What a passkey has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The counter of its signatures; 0 if it does not count.
    pub counter: u32,
    /// Whether the authenticator has verified the user.
    pub user_verified: bool,
}

/// Why an assertion proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No passkey of the user has signed it, or not this, or not as it was asked for.
    Wrong,
    /// It is signed, and the counter of the passkey has not gone up.
    Copied,
}

impl Assertion {
    /// Reads what `PublicKeyCredential.toJSON()` gives, as text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or_else(|| Error::invalid_parameter("CREDENTIAL must be an assertion as JSON."))
    }

    fn read(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let response = &json["response"];
        let verified = json!({
            "id": json["id"],
            "rawId": json["rawId"],
            "type": json["type"],
            "response": {
                "authenticatorData": response["authenticatorData"],
                "clientDataJSON": response["clientDataJSON"],
                "signature": response["signature"],
                "userHandle": response["userHandle"],
            },
        });
        serde_json::from_value(verified).ok().map(Self)
    }

    /// The id of the credential that is said to have signed.
    pub fn credential_id(&self) -> &[u8] {
        self.0.get_credential_id()
    }

    /// Verifies that this credential of the user has signed the challenge for the relying party.
    pub fn verify(
        &self,
        party: &RelyingParty<'_>,
        (sub, credential): (Sub, &Credential),
        challenge: &[u8],
    ) -> Result<Proof, Fault> {
        let is_other = |handle: &[u8]| !handle.is_empty() && handle != sub.0.as_bytes();
        if credential.relying_party_id != party.id || self.0.get_user_unique_id().is_some_and(is_other) {
            return Err(Fault::Wrong);
        }
        let state = state(party, challenge).map_err(|_| Fault::Wrong)?;
        let verified = party.core().authenticate_single_credential(&self.0, &state, &verifier(credential));
        let verified = verified.map_err(|error| match error {
            WebauthnError::CredentialPossibleCompromise => Fault::Copied,
            _ => Fault::Wrong,
        })?;
        Ok(Proof { counter: verified.counter(), user_verified: verified.user_verified() })
    }
}

/// What the library would have kept since it was asked for the options.
fn state(party: &RelyingParty<'_>, challenge: &[u8]) -> Result<AuthenticationState, serde_json::Error> {
    serde_json::from_value(json!({
        "credentials": [],
        "policy": party.verification(),
        "challenge": encoded(challenge),
        "appid": null,
        "allow_backup_eligible_upgrade": false,
    }))
}

/// The credential in the library's form. Whether the user must be verified follows from the pool alone: a key that has done so
/// once, where it was only preferred, need not do so again.
fn verifier(credential: &Credential) -> Verifier {
    let plain = CredentialV3 {
        cred_id: credential.id.clone(),
        cred: credential.key.clone(),
        counter: credential.counter,
        verified: false,
        registration_policy: UserVerificationPolicy::Preferred,
    };
    let (backup_eligible, backup_state) = (credential.backup_eligible, credential.backed_up);
    Verifier { backup_eligible, backup_state, ..plain.into() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::testing::{JANE, refusal};
    use crate::domain::web_authn::Attestation;
    use crate::domain::web_authn::authenticator::Authenticator;
    use crate::domain::web_authn::testing::{CHALLENGE, ORIGIN, party};

    fn registered(authenticator: &Authenticator) -> Credential {
        let made = authenticator.attestation("example.com", ORIGIN, CHALLENGE);
        Attestation::parse(&made).unwrap().verify(&party("example.com")).unwrap()
    }

    fn judged(signed: &Value, credential: &Credential, party: &RelyingParty<'_>) -> Result<Proof, Fault> {
        Assertion::parse(&signed.to_string()).unwrap().verify(party, (JANE, credential), CHALLENGE)
    }

    #[test]
    fn the_options_name_the_passkeys_of_the_user() {
        let credential = Credential { transports: vec!["usb".to_owned()], ..registered(&Authenticator::new()) };
        let options = request_options(&party("example.com"), CHALLENGE, &[credential.described()], 180_000);
        let options: Value = serde_json::from_str(&options).unwrap();
        let allowed = json!([{ "type": "public-key", "id": encoded(&credential.id), "transports": ["usb"] }]);
        assert_eq!((&options["allowCredentials"], &options["rpId"]), (&allowed, &"example.com".into()));
        assert_eq!((&options["challenge"], &options["timeout"]), (&json!(encoded(CHALLENGE)), &180_000.into()));
    }

    #[test]
    fn the_key_that_was_registered_signs() {
        let authenticator = Authenticator::new();
        let credential = registered(&authenticator);
        let signed = authenticator.assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes()));
        let proof = judged(&signed, &credential, &party("example.com")).unwrap();
        assert_eq!(proof, Proof { counter: 0, user_verified: true });
        let counting = Authenticator::new().counting(7);
        let credential = registered(&counting);
        let signed = counting.counting(8).assertion("example.com", ORIGIN, CHALLENGE, None);
        assert_eq!(judged(&signed, &credential, &party("example.com")).unwrap().counter, 8);
    }

    #[test]
    fn a_key_of_rs256_signs_as_well() {
        let (authenticator, other) = (Authenticator::rs256(), Authenticator::rs256());
        let credential = registered(&authenticator);
        let written = serde_json::to_vec(&credential).unwrap();
        let credential = serde_json::from_slice(&written).unwrap();
        let party = party("example.com");
        let signed = |by: &Authenticator| by.assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes()));
        let mut given = signed(&authenticator);
        let proof = judged(&given, &credential, &party);
        assert_eq!(proof, Ok(Proof { counter: 0, user_verified: true }));
        given["response"]["signature"] = signed(&other)["response"]["signature"].take();
        assert_eq!(judged(&given, &credential, &party), Err(Fault::Wrong));
    }

    #[test]
    fn another_key_challenge_page_party_or_user_is_wrong() {
        let (authenticator, other) = (Authenticator::new(), Authenticator::new());
        let credential = registered(&authenticator);
        let party = party("example.com");
        let mut by_another = other.assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes()));
        by_another["rawId"] = json!(encoded(&credential.id));
        for signed in [
            by_another,
            other.assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes())),
            authenticator.assertion("example.com", ORIGIN, b"another challenge", Some(JANE.0.as_bytes())),
            authenticator.assertion("example.com", "https://evil.org", CHALLENGE, Some(JANE.0.as_bytes())),
            authenticator.assertion("evil.org", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes())),
            authenticator.assertion("example.com", ORIGIN, CHALLENGE, Some(Uuid::from_u128(9).as_bytes())),
            authenticator.attestation("example.com", ORIGIN, CHALLENGE),
        ] {
            let Ok(assertion) = Assertion::parse(&signed.to_string()) else { continue };
            let judged = assertion.verify(&party, (JANE, &credential), CHALLENGE);
            assert_eq!(judged, Err(Fault::Wrong), "{signed}");
        }
        let signed = authenticator.assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes()));
        let elsewhere = Credential { relying_party_id: "example.org".to_owned(), ..credential };
        assert_eq!(judged(&signed, &elsewhere, &party), Err(Fault::Wrong));
    }

    #[test]
    fn user_verification_is_demanded_where_it_is_required() {
        let authenticator = Authenticator::new();
        let credential = registered(&authenticator);
        let unverified =
            authenticator.without_verification().assertion("example.com", ORIGIN, CHALLENGE, Some(JANE.0.as_bytes()));
        assert!(!judged(&unverified, &credential, &party("example.com")).unwrap().user_verified);
        let required = RelyingParty { verifies_users: true, ..party("example.com") };
        assert_eq!(judged(&unverified, &credential, &required), Err(Fault::Wrong));
    }

    #[test]
    fn a_counter_that_does_not_go_up_tells_of_a_copy() {
        let authenticator = Authenticator::new().counting(7);
        let credential = registered(&authenticator);
        for counter in [7, 6, 0] {
            let signed = authenticator.clone().counting(counter).assertion("example.com", ORIGIN, CHALLENGE, None);
            assert_eq!(judged(&signed, &credential, &party("example.com")), Err(Fault::Copied), "{counter}");
        }
    }

    #[test]
    fn what_is_no_assertion_is_refused_as_a_parameter() {
        for wrong in ["", "{}", "no JSON", r#"{"id":"AA","rawId":"AA","type":"public-key","response":{}}"#] {
            assert_eq!(refusal(Assertion::parse(wrong).map(drop)).1, "CREDENTIAL must be an assertion as JSON.");
        }
    }
}
