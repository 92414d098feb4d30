//! The registration of a passkey: what a browser is asked to make, and what is kept of it.

use serde_json::{Map, Value, json};
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    COSEAlgorithm, RegisterPublicKeyCredential, RegistrationState, RequestRegistrationExtensions,
};

use crate::domain::error::{Error, Exception};
use crate::domain::ids::Sub;
use crate::domain::web_authn::{Credential, Described, REGISTRATION_SECONDS, RelyingParty, challenge_in, encoded};

/// The kinds of keys that a passkey may have, the preferred one first: those of Cognito.
const ALGORITHMS: [COSEAlgorithm; 2] = [COSEAlgorithm::ES256, COSEAlgorithm::RS256];
/// The ways of reaching an authenticator that the standard names.
const TRANSPORTS: [&str; 6] = ["ble", "hybrid", "internal", "nfc", "smart-card", "usb"];
/// The ways of attaching one.
const ATTACHMENTS: [&str; 2] = ["platform", "cross-platform"];
/// The most bytes of what is kept of a credential: more than an id of 1,023 bytes and a key of 8,192 bits need.
const MOST_BYTES: usize = 4_096;
/// What a passkey is called: nothing that a browser tells says more about it.
const NAME: &str = "Passkey";

/// The user for whom a passkey is made.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// What the authenticator keeps beside the key: nothing that tells of the person.
    pub sub: Sub,
    /// The user name, which browsers show.
    pub username: &'a str,
    /// A name that people like better, or the user name.
    pub display_name: &'a str,
}

/// The options for a browser that makes a passkey.
pub fn creation_options(
    party: &RelyingParty<'_>,
    user: NewUser<'_>,
    challenge: &[u8],
    known: &[Described<'_>],
) -> Map<String, Value> {
    let keys = ALGORITHMS.map(|algorithm| json!({ "type": "public-key", "alg": algorithm as i32 }));
    let known: Vec<_> = known.iter().map(|known| known.to_json()).collect();
    let options = [
        ("challenge", json!(encoded(challenge))),
        ("rp", json!({ "id": party.id, "name": party.name })),
        (
            "user",
            json!({
                "id": encoded(user.sub.0.as_bytes()), "name": user.username, "displayName": user.display_name,
            }),
        ),
        ("pubKeyCredParams", json!(keys)),
        ("timeout", json!(REGISTRATION_SECONDS * 1_000)),
        ("excludeCredentials", json!(known)),
        (
            "authenticatorSelection",
            json!({
                "residentKey": "required", "requireResidentKey": true, "userVerification": party.verification(),
            }),
        ),
        ("attestation", json!("none")),
    ];
    options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A new credential as a browser gives it.
#[derive(Clone, Debug)]
pub struct Attestation {
    credential: RegisterPublicKeyCredential,
    challenge: Vec<u8>,
    attachment: Option<String>,
    transports: Vec<String>,
}

impl Attestation {
    /// Reads what `PublicKeyCredential.toJSON()` gives.
    pub fn parse(json: &Value) -> Result<Self, Error> {
        Self::read(json).ok_or_else(malformed)
    }

    fn read(json: &Value) -> Option<Self> {
        let response = &json["response"];
        // Only what is verified is passed on; what extensions say is not.
        let verified = json!({
            "id": json["id"],
            "rawId": json["rawId"],
            "type": json["type"],
            "response": {
                "attestationObject": response["attestationObject"],
                "clientDataJSON": response["clientDataJSON"],
            },
        });
        let known = |among: &[&str], text: &Value| text.as_str().filter(|text| among.contains(text)).map(str::to_owned);
        let mut transports: Vec<_> = response["transports"].as_array().into_iter().flatten().collect();
        transports.truncate(TRANSPORTS.len());
        Some(Self {
            challenge: challenge_in(&response["clientDataJSON"])?,
            credential: serde_json::from_value(verified).ok()?,
            attachment: known(&ATTACHMENTS, &json["authenticatorAttachment"]),
            transports: transports.into_iter().filter_map(|transport| known(&TRANSPORTS, transport)).collect(),
        })
    }

    /// The id of the credential, as the browser says.
    pub fn credential_id(&self) -> &[u8] {
        &self.credential.raw_id
    }

    /// The challenge that the browser was given, as it says.
    pub fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// The credential, if it was made for this relying party and meets what was asked for.
    pub fn verify(self, party: &RelyingParty<'_>) -> Result<Credential, Error> {
        let state = self.state(party).map_err(Error::internal)?;
        let made = party.core().register_credential(&self.credential, &state, None).map_err(refusal)?;
        // The id that was claimed is compared with the one in what the authenticator has made.
        if made.cred_id != self.credential.raw_id {
            return Err(malformed());
        }
        let credential = Credential {
            id: made.cred_id,
            key: made.cred,
            counter: made.counter,
            backup_eligible: made.backup_eligible,
            backed_up: made.backup_state,
            relying_party_id: party.id.to_owned(),
            name: NAME.to_owned(),
            attachment: self.attachment,
            transports: self.transports,
        };
        let bytes = serde_json::to_vec(&credential).map_err(Error::internal)?.len();
        if bytes > MOST_BYTES { Err(not_supported("it is too large")) } else { Ok(credential) }
    }

    /// What the library would have kept since the start.
    fn state(&self, party: &RelyingParty<'_>) -> Result<RegistrationState, serde_json::Error> {
        let none = RequestRegistrationExtensions {
            cred_protect: None,
            uvm: None,
            cred_props: None,
            min_pin_length: None,
            hmac_create_secret: None,
        };
        serde_json::from_value(json!({
            "policy": party.verification(),
            // Whether the user has the credential already is asked by the rules, of all users.
            "exclude_credentials": [],
            "challenge": encoded(&self.challenge),
            "credential_algorithms": ALGORITHMS,
            "require_resident_key": true,
            "authenticator_attachment": null,
            "extensions": none,
            "allow_synchronised_authenticators": true,
        }))
    }
}

fn malformed() -> Error {
    Error::invalid_parameter("Credential must be a new credential as JSON.")
}

fn not_supported(reason: &str) -> Error {
    let message = format!("The credential is not supported: {reason}.");
    Error::new(Exception::WebAuthnCredentialNotSupportedException, message)
}

fn refusal(error: WebauthnError) -> Error {
    let refused = match error {
        WebauthnError::InvalidRPOrigin | WebauthnError::CredentialCrossOrigin => Error::new(
            Exception::WebAuthnOriginNotAllowedException,
            "The origin of the credential is not allowed for the relying party.",
        ),
        WebauthnError::InvalidRPIDHash => relying_party_mismatch(),
        WebauthnError::UserNotVerified => not_supported("it has not verified the user"),
        WebauthnError::UserNotPresent => not_supported("the user was not present"),
        WebauthnError::CredentialAlteredAlgFromRequest
        | WebauthnError::COSEKeyInvalidType
        | WebauthnError::COSEKeyInvalidAlgorithm
        | WebauthnError::COSEKeyEDUnsupported
        | WebauthnError::COSEKeyECDSAInvalidCurve
        | WebauthnError::COSEKeyECDSAXYInvalid
        | WebauthnError::COSEKeyRSANEInvalid
        | WebauthnError::COSEKeyEDDSAInvalidCurve
        | WebauthnError::COSEKeyEDDSAXInvalid => {
            not_supported("its kind of key is not among those that were asked for")
        }
        WebauthnError::InvalidClientDataType
        | WebauthnError::MissingAttestationCredentialData
        | WebauthnError::ParseBase64Failure(_)
        | WebauthnError::ParseCBORFailure(_)
        | WebauthnError::ParseJSONFailure(_)
        | WebauthnError::ParseNOMFailure
        | WebauthnError::ParseInsufficientBytesAvailable => malformed(),
        WebauthnError::AttestationNotSupported => not_supported("the form of its attestation is not known"),
        _ => not_supported("it can't be verified"),
    };
    Error { cause: Some(Box::new(error)), ..refused }
}

/// The refusal of a credential that was made for another relying party.
pub(super) fn relying_party_mismatch() -> Error {
    Error::new(Exception::WebAuthnRelyingPartyMismatchException, "The credential is for another relying party.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, refusal as told};
    use crate::domain::web_authn::authenticator::Authenticator;
    use crate::domain::web_authn::testing::{CHALLENGE, ORIGIN, party};

    fn verified(json: &Value, party: &RelyingParty<'_>) -> Result<Credential, Error> {
        Attestation::parse(json).and_then(|attestation| attestation.verify(party))
    }

    #[test]
    fn the_options_ask_for_a_key_that_browsers_can_find_by_themselves() {
        let user = NewUser { sub: JANE, username: "jane", display_name: "Jane" };
        let transports = ["internal".to_owned()];
        let known = Described { id: b"known", transports: &transports };
        let options = Value::Object(creation_options(&party("example.com"), user, CHALLENGE, &[known]));
        assert_eq!(
            options,
            json!({
                "challenge": encoded(CHALLENGE),
                "rp": { "id": "example.com", "name": "pool" },
                "user": { "id": "AAAAAAAAQACAAAAAAAAAAQ", "name": "jane", "displayName": "Jane" },
                "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }, { "type": "public-key", "alg": -257 }],
                "timeout": 300_000,
                "excludeCredentials": [{ "type": "public-key", "id": "a25vd24", "transports": ["internal"] }],
                "authenticatorSelection":
                    { "residentKey": "required", "requireResidentKey": true, "userVerification": "preferred" },
                "attestation": "none",
            })
        );
    }

    #[test]
    fn a_credential_is_kept_as_it_was_made() {
        let party = party("example.com");
        for origin in ["https://example.com", "https://login.example.com:8443"] {
            let authenticator = Authenticator::new();
            let mut made = authenticator.attestation("example.com", origin, CHALLENGE);
            made["response"]["transports"] = json!(["internal", "telepathy"]);
            made["authenticatorAttachment"] = json!("platform");
            let credential = verified(&made, &party).unwrap();
            assert_eq!(credential.id, authenticator.id());
            assert_eq!(
                (credential.transports.as_slice(), credential.attachment.as_deref()),
                (&["internal".to_owned()][..], Some("platform"))
            );
            assert_eq!((credential.relying_party_id.as_str(), credential.name.as_str()), ("example.com", "Passkey"));
            let written = serde_json::to_vec(&credential).unwrap();
            assert_eq!(serde_json::from_slice::<Credential>(&written).unwrap(), credential);
        }
    }

    #[test]
    fn a_credential_of_another_page_or_party_is_refused() {
        let party = party("example.com");
        let refused =
            |id: &str, origin: &str| told(verified(&Authenticator::new().attestation(id, origin, CHALLENGE), &party)).0;
        for origin in ["http://example.com", "https://badexample.com", "https://example.com.evil.org", "https://com"] {
            assert_eq!(refused("example.com", origin), Exception::WebAuthnOriginNotAllowedException, "{origin}");
        }
        let mismatch = Exception::WebAuthnRelyingPartyMismatchException;
        assert_eq!(refused("login.example.com", "https://login.example.com"), mismatch);
    }

    #[test]
    fn localhost_needs_no_https() {
        let made = Authenticator::new().attestation("localhost", "http://localhost:5173", CHALLENGE);
        verified(&made, &party("localhost")).unwrap();
    }

    #[test]
    fn user_verification_is_demanded_where_it_is_required() {
        let unverified = Authenticator::new().without_verification().attestation("example.com", ORIGIN, CHALLENGE);
        verified(&unverified, &party("example.com")).unwrap();
        let required = RelyingParty { verifies_users: true, ..party("example.com") };
        let (exception, message) = told(verified(&unverified, &required));
        assert_eq!(exception, Exception::WebAuthnCredentialNotSupportedException);
        assert_eq!(message, "The credential is not supported: it has not verified the user.");
    }

    #[test]
    fn what_is_no_credential_is_refused_as_a_parameter() {
        let good = Authenticator::new().attestation("example.com", ORIGIN, CHALLENGE);
        let without = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        for wrong in [
            json!({}),
            without("/response/clientDataJSON", json!("AAAA")),
            without("/response/attestationObject", json!("AAAA")),
            without("/rawId", json!(1)),
            without("/rawId", json!("b3RoZXI")),
            without("/response", Value::Null),
        ] {
            let (exception, message) = told(verified(&wrong, &party("example.com")));
            assert_eq!(exception, Exception::InvalidParameterException, "{wrong}");
            assert_eq!(message, "Credential must be a new credential as JSON.");
        }
    }
}
