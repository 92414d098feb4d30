//! An authenticator for tests: a key that signs what a browser would have it sign. The scenarios use it too.

#![allow(dead_code, reason = "the rules and the scenarios each use a part")]

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// One passkey.
#[derive(Clone)]
pub struct Authenticator {
    key: Arc<EcdsaKeyPair>,
    counter: u32,
    flags: u8,
}

impl Authenticator {
    /// A new key, whose signatures are not counted.
    pub fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
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
        digest(&SHA256, self.key.public_key().as_ref()).as_ref().to_vec()
    }

    fn data(&self, party: &str, more: u8) -> Vec<u8> {
        let party = digest(&SHA256, party.as_bytes());
        [party.as_ref(), &[self.flags | more], &self.counter.to_be_bytes()].concat()
    }

    /// What a browser gives for a new credential.
    pub fn attestation(&self, party: &str, origin: &str, challenge: &[u8]) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..65]);
        // In CBOR: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        let key = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat();
        let (id, aaguid) = (self.id(), [0; 16]);
        let data = [&self.data(party, ATTESTED)[..], &aaguid, &[0, 32], &id, &key].concat();
        // {"fmt": "none", "attStmt": {}, "authData": data}.
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
        let object = [&head[..], &[u8::try_from(data.len()).unwrap()], &data].concat();
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
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": encoded(&self.id()), "rawId": encoded(&self.id()), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&client_data),
                "authenticatorData": encoded(&data),
                "signature": encoded(signature.as_ref()),
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
