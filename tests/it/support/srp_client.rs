//! The client's half of Cognito's SRP, from its definition, on integers of any size.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use userpool::environment::Random;
use userpool::proto::v1::InitiateAuthResponse;

/// The prime of RFC 3526, section 4.
const PRIME: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B\
    302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6\
    49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D\
    670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
    3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
    B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
    BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";
/// A time in the form of Cognito's clients.
pub const TIMESTAMP: &str = "Mon Nov 30 09:05:07 UTC 2026";

/// The prime, in the digits in which a client would send it.
pub fn prime() -> String {
    PRIME.to_lowercase()
}

fn modulus() -> BigUint {
    BigUint::parse_bytes(PRIME.as_bytes(), 16).unwrap()
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    digest::digest(&digest::SHA256, &parts.concat()).as_ref().to_vec()
}

fn number(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

fn hexadecimal(digits: &str) -> BigUint {
    BigUint::parse_bytes(digits.as_bytes(), 16).expect("hexadecimal digits")
}

/// As a signed number of two's complement.
fn padded(value: &BigUint) -> Vec<u8> {
    let bytes = value.to_bytes_be();
    if bytes[0] & 0x80 == 0 { bytes } else { [vec![0], bytes].concat() }
}

fn sign(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
}

/// A client in one exchange.
pub struct Client {
    secret: BigUint,
    public: BigUint,
}

impl Client {
    /// With a secret exponent of as many bits as Cognito's clients have.
    pub fn new() -> Self {
        Self::with(number(&Random::default().bytes::<128>()))
    }

    /// With a secret exponent of 256 bits, which is as safe and takes less time.
    pub fn quick() -> Self {
        Self::with(number(&Random::default().bytes::<32>()))
    }

    fn with(secret: BigUint) -> Self {
        let public = BigUint::from(2u32).modpow(&secret, &modulus());
        Self { secret, public }
    }

    /// SRP_A.
    pub fn public(&self) -> String {
        self.public.to_str_radix(16)
    }

    /// PASSWORD_CLAIM_SIGNATURE: `group` is the pool's name.
    pub fn signature(&self, group: &str, password: &str, challenge: &InitiateAuthResponse, timestamp: &str) -> String {
        let told = &challenge.challenge_parameters;
        self.signature_of((group, &told["USER_ID_FOR_SRP"], password), told, timestamp)
    }

    /// The signature of an identity that knows its password: its group, its id and the password.
    pub fn signature_of(
        &self,
        (group, id, password): (&str, &str, &str),
        challenge: &BTreeMap<String, String>,
        timestamp: &str,
    ) -> String {
        let told = |name: &str| challenge[name].as_str();
        let (modulus, generator) = (modulus(), BigUint::from(2u32));
        let (server, salt) = (hexadecimal(told("SRP_B")), hexadecimal(told("SALT")));
        let multiplier = number(&hash(&[&padded(&modulus), &padded(&generator)]));
        let scrambler = number(&hash(&[&padded(&self.public), &padded(&server)]));
        let identity = hash(&[format!("{group}{id}:{password}").as_bytes()]);
        let exponent = number(&hash(&[&padded(&salt), &identity]));
        let known = &multiplier * generator.modpow(&exponent, &modulus) % &modulus;
        let base = (&server + &modulus - known) % &modulus;
        let shared = base.modpow(&(&self.secret + &scrambler * &exponent), &modulus);
        let extracted = sign(&padded(&scrambler), &[&padded(&shared)]);
        let key = &sign(&extracted, &[b"Caldera Derived Key", &[1]])[..16];
        let block = STANDARD.decode(told("SECRET_BLOCK")).expect("base64");
        let signed = [group.as_bytes(), id.as_bytes(), &block, timestamp.as_bytes()];
        STANDARD.encode(sign(key, &signed))
    }
}
