//! Refresh tokens: opaque, sealed under the pool's token key. Each names a session, its number in the session, and the
//! user.
//!
//! The content of version 2 is the session's id, the counter and the user's `sub`; version 1 has no `sub`.

use uuid::Uuid;

use crate::domain::ids::{Sub, UserPoolId};
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::FieldClass;
use crate::tokens::sealed_text::{self, Kind};

const KIND: Kind = Kind { stream: "refresh-tokens", class: FieldClass::RefreshToken };

const WITHOUT_USER: u8 = 1;
const WITH_USER: u8 = 2;

/// The content of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The id of the session.
    pub session: Uuid,
    /// Its number among the session's tokens: each rotation issues the next one.
    pub counter: i32,
    /// The user; `None` in a token of an earlier build.
    pub sub: Option<Sub>,
}

/// Seals a refresh token into its text.
pub fn seal(pool_id: &UserPoolId, keys: &PoolKeys, token: RefreshToken, random: &Random) -> String {
    let mut content = vec![if token.sub.is_some() { WITH_USER } else { WITHOUT_USER }];
    content.extend_from_slice(token.session.as_bytes());
    content.extend_from_slice(&token.counter.to_be_bytes());
    content.extend(token.sub.iter().flat_map(|sub| sub.0.as_bytes()));
    sealed_text::seal(KIND, pool_id, keys, &content, random)
}

/// The content of a token, if the token belongs to this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, token: &str) -> Option<RefreshToken> {
    let content = sealed_text::open(KIND, pool_id, keys, token)?;
    let (&version, content) = content.split_first()?;
    let (session, content) = content.split_at_checked(16)?;
    let (counter, sub) = content.split_at_checked(4)?;
    let sub = match (version, sub) {
        (WITHOUT_USER, []) => None,
        (WITH_USER, sub) => Some(Sub(Uuid::from_slice(sub).ok()?)),
        _ => return None,
    };
    let counter = i32::from_be_bytes(counter.try_into().ok()?);
    Some(RefreshToken { session: Uuid::from_slice(session).ok()?, counter, sub })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::testing::pool;

    fn named(counter: i32) -> RefreshToken {
        RefreshToken { session: Uuid::from_u128(1), counter, sub: Some(Sub(Uuid::from_u128(2))) }
    }

    #[test]
    fn a_token_of_an_earlier_build_names_no_user() {
        let (id, keys) = pool("us-east-1_aaaaaaaaa");
        let earlier = RefreshToken { sub: None, ..named(3) };
        let token = seal(&id, &keys, earlier, &Random::default());
        assert_eq!(open(&id, &keys, &token), Some(earlier));
    }

    #[test]
    fn content_of_another_length_or_version_is_no_token() {
        let (id, keys) = pool("us-east-1_aaaaaaaaa");
        for (version, length) in [(1, 20), (2, 36)] {
            for (version, length, is_one) in [
                (version, length, true),
                (version, length - 1, false),
                (version, length + 1, false),
                (3 - version, length, false),
                (3, length, false),
            ] {
                let content: Vec<u8> = std::iter::once(version).chain(std::iter::repeat_n(0, length)).collect();
                let token = sealed_text::seal(KIND, &id, &keys, &content, &Random::default());
                assert_eq!(open(&id, &keys, &token).is_some(), is_one, "version {version}, {length} bytes");
            }
        }
    }

    #[test]
    fn a_token_opens_only_in_its_pool() {
        let ((one, keys), (other, other_keys)) = (pool("us-east-1_aaaaaaaaa"), pool("us-east-1_bbbbbbbbb"));
        let token = seal(&one, &keys, named(7), &Random::default());
        assert_eq!(open(&one, &keys, &token), Some(named(7)));
        assert_eq!(open(&other, &other_keys, &token), None);
        assert_eq!(open(&one, &other_keys, &token), None);
        // The pool's id in front can't be replaced, because it is authenticated.
        let (_, blob) = token.split_once('.').unwrap();
        let moved = format!("{}.{blob}", URL_SAFE_NO_PAD.encode(other.as_str()));
        assert_eq!(open(&other, &keys, &moved), None);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in "\\PC{0,120}", blob in "[A-Za-z0-9_-]{0,140}") {
            let (id, keys) = pool("us-east-1_aaaaaaaaa");
            prop_assert_eq!(open(&id, &keys, &text), None);
            prop_assert_eq!(open(&id, &keys, &format!("{}.{blob}", URL_SAFE_NO_PAD.encode(id.as_str()))), None);
        }

        #[test]
        fn a_token_with_another_character_is_none(at: prop::sample::Index, other in "[A-Za-z0-9_.=-]") {
            let (id, keys) = pool("us-east-1_aaaaaaaaa");
            let token = seal(&id, &keys, named(0), &Random::default());
            let at = at.index(token.len());
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            prop_assert_eq!(open(&id, &keys, &changed).is_some(), changed == token);
        }
    }
}
