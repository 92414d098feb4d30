//! The password of a device, of which the server only has salt and verifier: the app chooses it and makes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::domain::auth::srp::{self, SrpVerifier};
use crate::domain::error::Error;
use crate::proto::v1::DeviceSecretVerifierConfigType;

/// The most bytes of a salt. Cognito's clients make 16, and may put a zero in front.
const LONGEST_SALT: usize = 64;

/// What the server stores to check a device's password by SRP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSecret {
    /// A number that the app chose at random, big-endian.
    #[serde(with = "crate::proto::json::base64")]
    pub salt: Vec<u8>,
    /// `g^x mod N`, big-endian, without leading zeros.
    #[serde(with = "crate::proto::json::base64")]
    pub verifier: Vec<u8>,
}

impl std::fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceSecret")
    }
}

impl DeviceSecret {
    /// Salt and verifier as an app sends them, in base64.
    pub fn parse(config: &DeviceSecretVerifierConfigType) -> Result<Self, Error> {
        let (salt, verifier) =
            (number(config.salt(), "Salt")?, number(config.password_verifier(), "PasswordVerifier")?);
        if salt.len() > LONGEST_SALT {
            return Err(invalid("Salt"));
        }
        // With a verifier of 0, anybody would know the session key.
        if srp::is_verifier(&verifier) { Ok(Self { salt, verifier }) } else { Err(invalid("PasswordVerifier")) }
    }
}

impl DeviceSecret {
    /// The verifier in the form of those of users. The salt is for the client alone, and has another length.
    pub fn into_verifier(self) -> SrpVerifier {
        let zeros = srp::LENGTH.saturating_sub(self.verifier.len());
        SrpVerifier { salt: [0; 16], verifier: [vec![0; zeros], self.verifier].concat() }
    }
}

/// A number in base64, without leading zeros. It must not be zero.
fn number(text: &str, field: &str) -> Result<Vec<u8>, Error> {
    let bytes = STANDARD.decode(text).map_err(|_| invalid(field))?;
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    if significant.is_empty() { Err(invalid(field)) } else { Ok(significant) }
}

fn invalid(field: &str) -> Error {
    Error::invalid_parameter(format!("DeviceSecretVerifierConfig.{field} is not a valid one."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::refusal;

    fn parse(salt: &[u8], verifier: &[u8]) -> Result<DeviceSecret, Error> {
        DeviceSecret::parse(&DeviceSecretVerifierConfigType {
            salt: Some(STANDARD.encode(salt)),
            password_verifier: Some(STANDARD.encode(verifier)),
        })
    }

    #[test]
    fn salt_and_verifier_are_numbers_with_or_without_zeros_in_front() {
        let expected = DeviceSecret { salt: vec![7; 16], verifier: vec![0x90; 384] };
        assert_eq!(DeviceSecret { salt: vec![7], verifier: vec![1, 2] }.into_verifier().verifier, {
            let mut padded = vec![0; 384];
            padded[382..].copy_from_slice(&[1, 2]);
            padded
        });
        for zeros in [&[][..], &[0]] {
            let parsed = parse(&[zeros, &[7; 16]].concat(), &[zeros, &[0x90; 384]].concat());
            assert_eq!(parsed.unwrap(), expected);
        }
    }

    #[test]
    fn a_verifier_that_is_zero_in_the_group_and_texts_that_are_no_numbers_are_refused() {
        let verifier = "DeviceSecretVerifierConfig.PasswordVerifier is not a valid one.";
        let prime = srp::prime();
        for wrong in [&[][..], &[0], &[0; 384], &prime, &[&[0][..], &prime].concat(), &[0xff; 384], &[1; 385]] {
            assert_eq!(refusal(parse(&[7; 16], wrong)).1, verifier, "{} bytes", wrong.len());
        }
        let salt = "DeviceSecretVerifierConfig.Salt is not a valid one.";
        for wrong in [&[][..], &[0; 16], &[7; 65]] {
            assert_eq!(refusal(parse(wrong, &[1])).1, salt);
        }
        let absent = DeviceSecretVerifierConfigType { salt: Some("no base64".to_owned()), password_verifier: None };
        assert_eq!(refusal(DeviceSecret::parse(&absent)).1, salt);
    }
}
