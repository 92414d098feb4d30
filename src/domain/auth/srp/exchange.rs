//! The server's half of an SRP exchange, in the form that Cognito's clients compute.
//!
//! ```text
//!   client: A = g^a ──────────────────────────▶ server: B = k v + g^b
//!   client: S = (B - k g^x)^(a + u x) ◀─────── salt, B
//!   client: signature under HKDF(S, u) ──────▶ server: S = (A v^u)^b, the same signature
//! ```
//! Source: RFC 5054, section 2.6, with SHA-256, Cognito's padding of numbers, and a key by HKDF.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use crypto_bigint::modular::FixedMontyForm;
use crypto_bigint::{U256, U3072};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{GROUP, SrpVerifier, padded};

/// What the key is derived for.
const PURPOSE: &[u8] = b"Caldera Derived Key";
const KEY_LENGTH: usize = 16;
/// The bytes of a number of the group.
const LENGTH: usize = U3072::BYTES;

/// A public value of either side: a number from 1 to N - 1, big-endian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicValue(#[serde(with = "crate::proto::json::base64")] Vec<u8>);

impl PublicValue {
    /// Reads hexadecimal digits; an odd number of them is as good as an even one. `None` for anything but a number from
    /// 1 to N - 1: with a multiple of N a client would know the key without the password.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches('0');
        if digits.is_empty() || digits.len() > 2 * LENGTH {
            return None;
        }
        let number = hex::decode(format!("{digits:0>width$}", width = 2 * LENGTH)).ok()?;
        let is_below = U3072::from_be_slice(&number) < *GROUP.modulus().as_ref();
        is_below.then_some(Self(number))
    }

    /// Hexadecimal digits without leading zeros.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0).trim_start_matches('0').to_owned()
    }

    fn number(&self) -> FixedMontyForm<{ U3072::LIMBS }> {
        group_number(&self.0)
    }
}

/// The secret exponent of the server: 256 random bits, new for each exchange.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerSecret(pub [u8; 32]);

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret")
    }
}

impl ServerSecret {
    fn exponent(&self) -> U256 {
        U256::from_be_slice(&self.0)
    }
}

/// The key of the client's signature.
pub struct SessionKey([u8; KEY_LENGTH]);

/// The server's public value: `B = k v + g^b`. One exponentiation.
pub fn begin(verifier: &SrpVerifier, secret: &ServerSecret) -> PublicValue {
    let generator = FixedMontyForm::new(&U3072::from_u8(2), &GROUP);
    let multiplier = U3072::from_be_slice(&hash_of_two(&modulus(), &[2]).resized());
    let multiplier = FixedMontyForm::new(&multiplier, &GROUP);
    let value = multiplier * group_number(&verifier.verifier) + generator.pow(&secret.exponent());
    PublicValue(value.retrieve().to_be_bytes().as_ref().to_vec())
}

/// The key that both sides know if the client knows the password. Two exponentiations.
pub fn session_key(
    verifier: &SrpVerifier,
    secret: &ServerSecret,
    client: &PublicValue,
    server: &PublicValue,
) -> SessionKey {
    let scrambler = hash_of_two(&client.0, &server.0);
    let exponent = U256::from_be_slice(&scrambler.0);
    let base = client.number() * group_number(&verifier.verifier).pow(&exponent);
    let shared = base.pow(&secret.exponent()).retrieve();
    let shared = padded(shared.to_be_bytes().as_ref());
    let extracted = hmac::sign(&hmac_key(&padded(&scrambler.0)), &shared);
    let expanded = hmac::sign(&hmac_key(extracted.as_ref()), &[PURPOSE, &[1]].concat());
    let mut key = [0; KEY_LENGTH];
    for (byte, expanded) in key.iter_mut().zip(expanded.as_ref()) {
        *byte = *expanded;
    }
    SessionKey(key)
}

/// What a client signs, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The pool's name, which is its id without the region; for a device, the key of its group.
    pub group: &'a str,
    /// `USER_ID_FOR_SRP`; for a device, its key.
    pub user_id: &'a str,
    /// The bytes of SECRET_BLOCK.
    pub secret_block: &'a [u8],
    /// The text of TIMESTAMP.
    pub timestamp: &'a str,
}

impl Claim<'_> {
    /// The signature of the claim under a key.
    pub fn signature(&self, key: &SessionKey) -> Vec<u8> {
        let Self { group, user_id, secret_block, timestamp } = *self;
        let claimed = [group.as_bytes(), user_id.as_bytes(), secret_block, timestamp.as_bytes()].concat();
        hmac::sign(&hmac_key(&key.0), &claimed).as_ref().to_vec()
    }

    /// Whether this is the signature, in constant time.
    pub fn is_signed_by(&self, key: &SessionKey, signature: &[u8]) -> bool {
        self.signature(key).ct_eq(signature).into()
    }
}

fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn group_number(bytes: &[u8]) -> FixedMontyForm<{ U3072::LIMBS }> {
    FixedMontyForm::new(&U3072::from_be_slice(bytes), &GROUP)
}

fn modulus() -> Vec<u8> {
    GROUP.modulus().as_ref().to_be_bytes().as_ref().to_vec()
}

struct Digest([u8; 32]);

impl Digest {
    /// As a number of the group's size.
    fn resized(&self) -> [u8; LENGTH] {
        let mut number = [0; LENGTH];
        for (byte, hashed) in number.iter_mut().rev().zip(self.0.iter().rev()) {
            *byte = *hashed;
        }
        number
    }
}

/// The hash of two padded numbers.
fn hash_of_two(first: &[u8], second: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&padded(first));
    context.update(&padded(second));
    let mut digest = [0; 32];
    for (byte, hashed) in digest.iter_mut().zip(context.finish().as_ref()) {
        *byte = *hashed;
    }
    Digest(digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::verifier;
    use super::*;

    /// The vectors come from an independent implementation on arbitrary-precision integers. They are chosen for the
    /// padding: among them are hashes, shared secrets and public values with leading zeros.
    #[test]
    fn both_sides_agree_as_cognitos_clients_compute_it() {
        for (salt, client, secret, server, signature) in EXCHANGES {
            let salt: [u8; 16] = hex::decode(salt).unwrap().try_into().unwrap();
            let secret = ServerSecret(hex::decode(secret).unwrap().try_into().unwrap());
            let verifier = verifier("abcdefghi", "jane", "Correct-horse-1", salt);
            let begun = begin(&verifier, &secret);
            assert_eq!(begun.to_hex(), server);
            let key = session_key(&verifier, &secret, &PublicValue::parse(client).unwrap(), &begun);
            let claim = Claim {
                group: "abcdefghi",
                user_id: "jane",
                secret_block: b"the content of a block",
                timestamp: "Tue Apr 5 00:45:54 UTC 2022",
            };
            assert_eq!(hex::encode(claim.signature(&key)), signature);
            let signature = hex::decode(signature).unwrap();
            assert!(claim.is_signed_by(&key, &signature));
            assert!(!Claim { user_id: "joan", ..claim }.is_signed_by(&key, &signature));
            assert!(!claim.is_signed_by(&key, &signature[..31]));
        }
    }

    #[test]
    fn a_public_value_is_a_number_of_the_group_and_no_multiple_of_the_modulus() {
        let modulus = hex::encode(modulus());
        let below = format!("{}e", &modulus[..767]);
        for number in ["1", "01", "0000001", "abc", below.as_str()] {
            let value = PublicValue::parse(number).unwrap();
            assert_eq!(value.to_hex(), number.trim_start_matches('0'));
        }
        let beyond = format!("1{modulus}");
        for wrong in ["", "0", "0000", &modulus, &modulus.to_uppercase(), &beyond, "xyz", "-1", "12 34", "é"] {
            assert_eq!(PublicValue::parse(wrong), None, "{wrong}");
        }
    }

    include!("exchange_vectors.rs");

    proptest! {
        #[test]
        fn any_text_is_a_public_value_or_refused(text in "\\PC{0,40}", digits in "[0-9a-fA-F]{1,800}") {
            for text in [text, digits] {
                if let Some(value) = PublicValue::parse(&text) {
                    prop_assert_eq!(value.to_hex(), text.trim_start_matches('0').to_lowercase());
                }
            }
        }
    }
}
