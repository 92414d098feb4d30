//! Challenge tokens, Cognito's `Session`: a sign-in between two steps, sealed under the pool's token key.
//!
//! A sealed text of JSON, at most 4,096 characters. Issuing one writes nothing: the token holds the whole state of the
//! sign-in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::auth::session::ChallengeSession;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::FieldClass;
use crate::tokens::sealed_text::{self, Kind};

const KIND: Kind = Kind { stream: "challenge-tokens", class: FieldClass::ChallengeToken };

/// The most characters that clients accept and return.
const LONGEST: usize = 4_096;

/// The state of a sign-in does not fit into a token.
#[derive(Debug, thiserror::Error)]
#[error("a challenge token is too long")]
struct TooLong;

/// Seals a sign-in into the text of a token.
pub fn seal(
    pool_id: &UserPoolId,
    keys: &PoolKeys,
    session: &ChallengeSession,
    random: &Random,
) -> Result<String, Error> {
    seal_if_it_fits(pool_id, keys, session, random)?.ok_or_else(|| Error::internal(TooLong))
}

/// The same for a sign-in that may be too large: then there is no token.
pub fn seal_if_it_fits(
    pool_id: &UserPoolId,
    keys: &PoolKeys,
    session: &ChallengeSession,
    random: &Random,
) -> Result<Option<String>, Error> {
    let content = serde_json::to_vec(session).map_err(Error::internal)?;
    let token = sealed_text::seal(KIND, pool_id, keys, &content, random);
    Ok((token.len() <= LONGEST).then_some(token))
}

/// The pool that a token says it belongs to; only opening the token tells whether it does. Anybody can write a token, so
/// only what could be an id is one.
pub fn pool_of(token: &str) -> Option<UserPoolId> {
    let (pool, _) = token.split_once('.')?;
    let id = String::from_utf8(URL_SAFE_NO_PAD.decode(pool).ok()?).ok()?;
    let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_id.then(|| UserPoolId::new(id))
}

/// The sign-in in a token, if the token belongs to this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, token: &str) -> Option<ChallengeSession> {
    serde_json::from_slice(&sealed_text::open(KIND, pool_id, keys, token)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::auth::challenge::ChallengeName;
    use crate::domain::auth::session::Proofs;
    use crate::domain::ids::{ClientId, DeviceId, PasswordId, Sub};
    use crate::domain::time::Timestamp;
    use crate::tokens::refresh_token::{self, RefreshToken};
    use crate::tokens::testing::pool;

    fn session() -> ChallengeSession {
        let random = Random::default();
        ChallengeSession {
            nonce: random.uuid(),
            challenge: ChallengeName::NewPasswordRequired,
            flow: AuthFlow::AdminUserPassword,
            client_id: ClientId::new("a".repeat(128)),
            sub: Sub(random.uuid()),
            proofs: Proofs::default().with_password(Some(PasswordId(random.uuid()))),
            told: Some(Sub(random.uuid())),
            exchange: None,
            custom: None,
            device: Some(DeviceId(random.uuid())),
            expires_at: Timestamp(1_700_000_000_000),
        }
    }

    #[test]
    fn a_token_opens_only_in_its_pool_and_has_a_length_that_clients_accept() {
        let ((one, keys), (other, other_keys)) = (pool("us-east-1_aaaaaaaaa"), pool("us-east-1_bbbbbbbbb"));
        let session = session();
        let token = seal(&one, &keys, &session, &Random::default()).unwrap();
        assert_eq!(open(&one, &keys, &token), Some(session));
        assert!((20..=LONGEST).contains(&token.len()), "{}", token.len());
        assert_eq!(open(&other, &other_keys, &token), None);
        assert_eq!(open(&one, &other_keys, &token), None);
        let (_, blob) = token.split_once('.').unwrap();
        assert_eq!(open(&other, &keys, &format!("{}.{blob}", URL_SAFE_NO_PAD.encode(other.as_str()))), None);
    }

    #[test]
    fn a_token_of_another_kind_is_refused() {
        let (id, keys) = pool("us-east-1_aaaaaaaaa");
        let random = Random::default();
        let refresh =
            refresh_token::seal(&id, &keys, RefreshToken { session: random.uuid(), counter: 0, sub: None }, &random);
        assert_eq!(open(&id, &keys, &refresh), None);
        assert_eq!(refresh_token::open(&id, &keys, &seal(&id, &keys, &session(), &random).unwrap()), None);
    }

    #[test]
    fn a_token_that_is_too_long_is_never_issued() {
        let (id, keys) = pool("us-east-1_aaaaaaaaa");
        let session = ChallengeSession { client_id: ClientId::new("a".repeat(LONGEST)), ..session() };
        assert!(seal(&id, &keys, &session, &Random::default()).is_err());
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in "\\PC{0,120}", blob in "[A-Za-z0-9_-]{0,140}") {
            let (id, keys) = pool("us-east-1_aaaaaaaaa");
            prop_assert_eq!(open(&id, &keys, &text), None);
            prop_assert_eq!(open(&id, &keys, &format!("{}.{blob}", URL_SAFE_NO_PAD.encode(id.as_str()))), None);
        }
    }
}
