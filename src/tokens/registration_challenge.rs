//! The challenge of a registration of a passkey, sealed under the pool's token key: its bytes are what the browser has signed.

use crate::domain::error::Error;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::web_authn::RegistrationChallenge;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::{FieldClass, Place};

/// Seals a registration into the bytes of a challenge.
pub fn seal(
    pool_id: &UserPoolId,
    keys: &PoolKeys,
    challenge: &RegistrationChallenge,
    random: &Random,
) -> Result<Vec<u8>, Error> {
    let content = serde_json::to_vec(challenge).map_err(Error::internal)?;
    Ok(keys.token.seal(place(pool_id, &stream()), random.uuid(), &content).0)
}

/// The registration in the bytes of a challenge, if they are one of this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, challenge: &[u8]) -> Option<RegistrationChallenge> {
    let content = keys.token.open(place(pool_id, &stream()), &Sealed(challenge.to_vec())).ok()?;
    serde_json::from_slice(&content).ok()
}

fn stream() -> StreamId {
    StreamId::new("passkey-registrations")
}

fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::RegistrationChallenge }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, Sub};
    use crate::domain::time::Timestamp;
    use crate::tokens::testing::pool;

    #[test]
    fn a_challenge_opens_only_in_its_pool() {
        let ((one, keys), (other, other_keys)) = (pool("us-east-1_aaaaaaaaa"), pool("us-east-1_bbbbbbbbb"));
        let random = Random::default();
        let challenge = RegistrationChallenge {
            nonce: random.uuid(),
            sub: Sub(random.uuid()),
            client_id: ClientId::new("client"),
            relying_party_id: "example.com".to_owned(),
            expires_at: Timestamp(1_700_000_000_000),
        };
        let sealed = seal(&one, &keys, &challenge, &random).unwrap();
        assert_eq!(open(&one, &keys, &sealed), Some(challenge));
        assert_eq!(open(&other, &other_keys, &sealed), None);
        assert_eq!(open(&one, &other_keys, &sealed), None);
        for other in [&b""[..], b"no challenge", &sealed[1..]] {
            assert_eq!(open(&one, &keys, other), None);
        }
    }
}
