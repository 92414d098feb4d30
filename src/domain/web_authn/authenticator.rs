//! An authenticator for tests: a key that signs what a browser would have it sign. The scenarios use it too.

#![allow(dead_code, reason = "the rules and the scenarios each use a part")]

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// A key of one of the kinds that passkeys may have.
enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    /// The public key as authenticators write it, in CBOR.
    fn public(&self) -> Vec<u8> {
        match self {
            // {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (&point[1..33], &point[33..65]);
                [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat()
            }
            // {1: 3, 3: -257, -1: n, -2: e}.
            Self::Rs256(key) => {
                let public = key.public_key();
                let n = public.modulus().big_endian_without_leading_zero();
                let e = public.exponent().big_endian_without_leading_zero();
                assert_eq!((n.len(), e.len()), (256, 3));
                [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0][..], n, &[0x21, 0x43], e].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// One passkey.
#[derive(Clone)]
pub struct Authenticator {
    key: Arc<Key>,
    counter: u32,
    flags: u8,
}

impl Authenticator {
    /// A new key of ES256, whose signatures are not counted.
    pub fn new() -> Self {
        Self::with(Key::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()))
    }

    /// The same with a key of RS256.
    pub fn rs256() -> Self {
        Self::with(Key::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    fn with(key: Key) -> Self {
        Self { key: key.into(), counter: 0, flags: PRESENT | VERIFIED }
    }

    /// The same with a counter that stands here.
    pub fn counting(self, counter: u32) -> Self {
        Self { counter, ..self }
    }

    /// The same, without verifying the user.
    pub fn without_verification(&self) -> Self {
        Self { flags: PRESENT, ..self.clone() }
    }

    /// The credential's id.
    pub fn id(&self) -> Vec<u8> {
        digest(&SHA256, &self.key.public()).as_ref().to_vec()
    }

    fn data(&self, party: &str, more: u8) -> Vec<u8> {
        let party = digest(&SHA256, party.as_bytes());
        [party.as_ref(), &[self.flags | more], &self.counter.to_be_bytes()].concat()
    }

    /// What a browser gives for a new credential.
    pub fn attestation(&self, party: &str, origin: &str, challenge: &[u8]) -> Value {
        let (id, aaguid) = (self.id(), [0; 16]);
        let data = [&self.data(party, ATTESTED)[..], &aaguid, &[0, 32], &id, &self.key.public()].concat();
        // {"fmt": "none", "attStmt": {}, "authData": data}.
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        let object = [&head[..], &u16::try_from(data.len()).unwrap().to_be_bytes(), &data].concat();
        json!({
            "id": encoded(&id), "rawId": encoded(&id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&client_data("webauthn.create", challenge, origin)),
                "attestationObject": encoded(&object),
            },
        })
    }

    /// What a browser gives at a sign-in.
    pub fn assertion(&self, party: &str, origin: &str, challenge: &[u8], user: Option<&[u8]>) -> Value {
        let (data, client_data) = (self.data(party, 0), client_data("webauthn.get", challenge, origin));
        let signed = [&data, digest(&SHA256, &client_data).as_ref()].concat();
        json!({
            "id": encoded(&self.id()), "rawId": encoded(&self.id()), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&client_data),
                "authenticatorData": encoded(&data),
                "signature": encoded(&self.key.sign(&signed)),
                "userHandle": user.map(encoded),
            },
        })
    }
}

fn client_data(kind: &str, challenge: &[u8], origin: &str) -> Vec<u8> {
    let data = json!({ "type": kind, "challenge": encoded(challenge), "origin": origin, "crossOrigin": false });
    data.to_string().into_bytes()
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
