//! Page tokens: where a list continues, sealed and bound to pool, operation and filter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::store::Store;
use crate::store::cache::PoolView;
use crate::store::keys::MasterKeys;
use crate::store::seal::{FieldClass, Place};

/// The list that a page token belongs to.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// The pool; `None` for the list of pools.
    pub pool: Option<&'a PoolView>,
    /// Cognito's name of the operation, such as `ListUsers`.
    pub operation: &'a str,
    /// What is listed; a token of one filter is refused with another.
    pub filter: &'a str,
}

impl List<'_> {
    fn pool_id(&self) -> UserPoolId {
        self.pool.map_or_else(UserPoolId::none, |pool| pool.id.clone())
    }

    fn stream(&self) -> StreamId {
        StreamId::new(format!("pages/{}/{}", self.operation, self.filter))
    }

    fn seal(&self, master: &MasterKeys, blob_id: Uuid, after: &str) -> String {
        let (pool_id, stream) = (self.pool_id(), self.stream());
        let place = Place { pool: &pool_id, stream: &stream, class: FieldClass::PageToken };
        let blob = match self.pool {
            Some(pool) => pool.keys.token.seal(place, blob_id, after.as_bytes()),
            None => master.seal(place, blob_id, after.as_bytes()),
        };
        format!("{}.{}", URL_SAFE_NO_PAD.encode(pool_id.as_str()), URL_SAFE_NO_PAD.encode(blob.0))
    }

    fn open(&self, master: &MasterKeys, token: &str) -> Option<String> {
        let (pool_id, stream) = (self.pool_id(), self.stream());
        let (pool, blob) = token.split_once('.')?;
        if URL_SAFE_NO_PAD.decode(pool).ok()? != pool_id.as_str().as_bytes() {
            return None;
        }
        let place = Place { pool: &pool_id, stream: &stream, class: FieldClass::PageToken };
        let blob = Sealed(URL_SAFE_NO_PAD.decode(blob).ok()?);
        let opened = match self.pool {
            Some(pool) => pool.keys.token.open(place, &blob),
            None => master.open(place, &blob),
        };
        String::from_utf8(opened.ok()?).ok()
    }
}

impl Store {
    /// The token of the page that begins after this key.
    pub fn page_token(&self, list: List<'_>, after: &str) -> String {
        list.seal(&self.master, self.random.uuid(), after)
    }

    /// The key after which a page begins. Refuses a token of another pool, operation or filter.
    pub fn page_begins(&self, list: List<'_>, token: Option<&str>) -> Result<Option<String>, Error> {
        let Some(token) = token else { return Ok(None) };
        let invalid = || Error::invalid_parameter("The pagination token is not one of this list.");
        list.open(&self.master, token).map(Some).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::pool;
    use crate::environment::Random;
    use crate::store::keys::PoolKeys;

    static MASTER: LazyLock<MasterKeys> =
        LazyLock::new(|| MasterKeys::parse(&MasterKeys::generate_line("key", &Random::default())).unwrap());
    static POOLS: LazyLock<[PoolView; 2]> = LazyLock::new(|| ["us-east-1_abcdefghi", "us-east-1_jklmnopqr"].map(view));

    fn view(id: &str) -> PoolView {
        let (id, state) = (UserPoolId::new(id), pool(Default::default()));
        let keys = Arc::new(PoolKeys::generate(&id, &MASTER, &Random::default()).0);
        PoolView { name_rules: state.name_rules(), id, version: 1, state, keys }
    }

    /// The lists with one operation and filter: of the server, and of two pools.
    fn lists<'a>(operation: &'a str, filter: &'a str) -> [List<'a>; 3] {
        [None, Some(&POOLS[0]), Some(&POOLS[1])].map(|pool| List { pool, operation, filter })
    }

    /// The token with one character changed, removed or doubled.
    fn altered(token: &str, at: prop::sample::Index, by: char, how: u8) -> String {
        let mut characters: Vec<char> = token.chars().collect();
        let at = at.index(characters.len());
        match how {
            0 => characters[at] = by,
            1 => drop(characters.remove(at)),
            2 => characters.insert(at, by),
            _ => characters.truncate(at),
        }
        characters.into_iter().collect()
    }

    fn operation() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["ListUsers", "ListGroups", "ListUserPools", "ListUsersInGroup"])
    }

    proptest! {
        #[test]
        fn a_token_opens_in_its_own_list_and_in_no_other(
            after in ".{0,40}", operation in operation(), filter in ".{0,20}",
            other_operation in operation(), other_filter in ".{0,20}",
        ) {
            for (index, list) in lists(operation, &filter).into_iter().enumerate() {
                let token = list.seal(&MASTER, Random::default().uuid(), &after);
                prop_assert_eq!(list.open(&MASTER, &token), Some(after.clone()));
                let mut others = Vec::new();
                for (operation_there, filter_there) in
                    [(operation, &filter), (other_operation, &filter), (operation, &other_filter)]
                {
                    let there = lists(operation_there, filter_there).into_iter().enumerate();
                    let same = operation_there == operation && *filter_there == filter;
                    others.extend(there.filter(|(pool, _)| !same || *pool != index).map(|(_, list)| list));
                }
                prop_assert!(others.len() >= 2);
                for other in others {
                    prop_assert_eq!(other.open(&MASTER, &token), None, "{:?}", (other.operation, other.filter));
                }
            }
        }

        #[test]
        fn a_token_that_was_altered_does_not_open(
            after in ".{0,40}", at: prop::sample::Index, by in "[A-Za-z0-9_.=é-]", how in 0_u8..4,
        ) {
            for list in lists("ListUsers", "") {
                let token = list.seal(&MASTER, Random::default().uuid(), &after);
                let by = by.chars().next().unwrap();
                let altered = altered(&token, at, by, how);
                prop_assume!(altered != token);
                prop_assert_eq!(list.open(&MASTER, &altered), None, "{}", altered);
            }
        }

        #[test]
        fn any_text_does_not_open(text in ".{0,80}", code in "[A-Za-z0-9_-]{0,160}", blob: Vec<u8>) {
            for list in lists("ListUsers", "") {
                let pool = URL_SAFE_NO_PAD.encode(list.pool_id().as_str());
                let blob = URL_SAFE_NO_PAD.encode(&blob);
                for token in [text.clone(), format!("{pool}.{text}"), format!("{pool}.{code}"), format!("{pool}.{blob}")] {
                    prop_assert_eq!(list.open(&MASTER, &token), None, "{}", token);
                }
            }
        }
    }
}
