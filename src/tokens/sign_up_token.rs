//! Sessions of sign-ups, Cognito's `Session` of SignUp and ConfirmSignUp: sealed under the pool's token key. Issuing one
//! writes nothing.

use crate::domain::auth::sign_up_session::SignUpSession;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::FieldClass;
use crate::tokens::sealed_text::{self, Kind};

const KIND: Kind = Kind { stream: "sign-up-tokens", class: FieldClass::ChallengeToken };

/// Seals a sign-up into the text of a token.
pub fn seal(pool_id: &UserPoolId, keys: &PoolKeys, session: &SignUpSession, random: &Random) -> Result<String, Error> {
    let content = serde_json::to_vec(session).map_err(Error::internal)?;
    Ok(sealed_text::seal(KIND, pool_id, keys, &content, random))
}

/// The sign-up in a token, if the token belongs to this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, token: &str) -> Option<SignUpSession> {
    serde_json::from_slice(&sealed_text::open(KIND, pool_id, keys, token)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::sign_up_session::{Proved, Stage};
    use crate::domain::ids::{ClientId, Sub};
    use crate::domain::message::Medium;
    use crate::domain::time::Timestamp;
    use crate::tokens::challenge_token;
    use crate::tokens::testing::pool;

    #[test]
    fn a_token_opens_only_in_its_pool_and_is_no_challenge() {
        let ((one, keys), (other, other_keys)) = (pool("us-east-1_aaaaaaaaa"), pool("us-east-1_bbbbbbbbb"));
        let random = Random::default();
        let proved = Proved { medium: Medium::Email, token_generation: i64::MAX };
        for stage in [Stage::SignedUp, Stage::Confirmed(proved)] {
            let session = SignUpSession {
                nonce: random.uuid(),
                stage,
                client_id: ClientId::new("a".repeat(128)),
                sub: Sub(random.uuid()),
                expires_at: Timestamp(1_700_000_000_000),
            };
            let token = seal(&one, &keys, &session, &random).unwrap();
            assert!((20..=4_096).contains(&token.len()), "as long as clients accept: {}", token.len());
            assert_eq!(open(&one, &keys, &token), Some(session));
            assert_eq!(open(&other, &other_keys, &token), None);
            assert_eq!(open(&one, &other_keys, &token), None);
            assert_eq!(challenge_token::open(&one, &keys, &token), None);
        }
    }
}
