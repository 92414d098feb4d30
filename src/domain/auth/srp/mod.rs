//! Cognito's SRP: the verifier of a password, and the server's half of an exchange. The group is the 3072-bit one of RFC
//! 3526, with Cognito's padding and password hash.

pub mod exchange;
pub mod timestamp;

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA256};
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U3072};
use serde::{Deserialize, Serialize};

/// The prime of the group (RFC 3526, section 4). The generator is 2.
const PRIME: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74",
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437",
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05",
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB",
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718",
    "3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33",
    "A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864",
    "D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2",
    "08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
);

#[expect(clippy::expect_used, reason = "the prime is odd: it ends in F")]
static GROUP: LazyLock<FixedMontyParams<{ U3072::LIMBS }>> = LazyLock::new(|| {
    let prime = Odd::new(U3072::from_be_hex(PRIME)).into_option().expect("an odd prime");
    FixedMontyParams::new_vartime(prime)
});

/// What the server stores to check a password by SRP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrpVerifier {
    /// 16 random bytes, new for each password.
    pub salt: [u8; 16],
    /// `g^x mod N`, big-endian.
    #[serde(with = "crate::proto::json::base64")]
    pub verifier: Vec<u8>,
}

impl std::fmt::Debug for SrpVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SrpVerifier")
    }
}

/// Makes the verifier of a password. The pool's name is its id without the region; the user's id is `USER_ID_FOR_SRP`.
pub fn verifier(pool_name: &str, user_id: &str, password: &str, salt: [u8; 16]) -> SrpVerifier {
    let mut identity = Context::new(&SHA256);
    for part in [pool_name, user_id, ":", password] {
        identity.update(part.as_bytes());
    }
    let mut exponent = Context::new(&SHA256);
    exponent.update(&padded(&salt));
    exponent.update(identity.finish().as_ref());
    let x = U256::from_be_slice(exponent.finish().as_ref());
    let generator = FixedMontyForm::new(&U3072::from_u8(2), &GROUP);
    let verifier = generator.pow(&x).retrieve();
    SrpVerifier { salt, verifier: verifier.to_be_bytes().as_ref().to_vec() }
}

/// A verifier that belongs to no password, the same for the same seed: what a caller is shown where nobody can sign in
/// looks like a user's.
pub fn made_up_verifier(seed: &[u8]) -> SrpVerifier {
    let block = |number: u8| {
        let mut context = Context::new(&SHA256);
        context.update(seed);
        context.update(&[number]);
        context.finish()
    };
    let mut salt = [0; 16];
    for (byte, hashed) in salt.iter_mut().zip(block(0).as_ref()) {
        *byte = *hashed;
    }
    let mut verifier: Vec<u8> = (1..=12).flat_map(|number| block(number).as_ref().to_vec()).collect();
    // Below the prime, whose first bits are ones.
    verifier.iter_mut().take(1).for_each(|first| *first &= 0x7f);
    SrpVerifier { salt, verifier }
}

/// The bytes of a number of the group.
pub const LENGTH: usize = U3072::BYTES;

/// Whether a number, big-endian and without leading zeros, can be a verifier: one of the group, and not 0 in it.
pub fn is_verifier(number: &[u8]) -> bool {
    let prime = prime();
    // Numbers of one length compare like their bytes.
    !number.is_empty() && (number.len(), number) < (prime.len(), prime.as_slice())
}

/// The prime of the group, big-endian.
pub(super) fn prime() -> Vec<u8> {
    U3072::from_be_hex(PRIME).to_be_bytes().as_ref().to_vec()
}

/// A number in the form that Cognito hashes: without leading zeros, but with one in front if the first bit is set.
fn padded(number: &[u8]) -> Vec<u8> {
    let significant = number.iter().position(|byte| *byte != 0).map_or(&number[number.len()..], |at| &number[at..]);
    let mut padded = Vec::with_capacity(significant.len() + 1);
    if significant.first().is_none_or(|first| first & 0x80 != 0) {
        padded.push(0);
    }
    padded.extend_from_slice(significant);
    padded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The vectors come from an independent implementation on arbitrary-precision integers; see docs/adr/0004.
    #[test]
    fn the_verifier_is_what_cognitos_clients_expect() {
        for (salt, expected) in VECTORS {
            let salt: [u8; 16] = hex::decode(salt).unwrap().try_into().unwrap();
            let made = verifier("abcdefghi", "jane", "Correct-horse-1", salt);
            assert_eq!(hex::encode(made.verifier), expected.to_lowercase());
        }
    }

    #[test]
    fn numbers_are_padded_as_signed_ones() {
        assert_eq!(padded(&[0x7f, 1]), [0x7f, 1]);
        assert_eq!(padded(&[0x80, 1]), [0, 0x80, 1]);
        assert_eq!(padded(&[0, 0x7f]), [0x7f]);
        assert_eq!(padded(&[0, 0x80]), [0, 0x80]);
        assert_eq!(padded(&[0, 0]), [0]);
    }

    include!("verifier_vectors.rs");

    proptest! {
        /// The form is that of a signed number of arbitrary precision, which clients hash.
        #[test]
        fn any_number_is_padded_as_a_positive_one(number in prop::collection::vec(any::<u8>(), 0..40)) {
            let padded = padded(&number);
            let significant = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
            prop_assert_eq!(significant(&padded), significant(&number), "the number is the same");
            prop_assert!(padded[0] & 0x80 == 0, "it is not negative");
            prop_assert!(padded.len() == 1 || padded[0] != 0 || padded[1] & 0x80 != 0, "it is as short as can be");
        }
    }
}
