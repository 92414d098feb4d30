//! Page tokens: where a list goes on, sealed and bound to pool, operation and filter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::error::Error;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::store::Store;
use crate::store::cache::PoolView;
use crate::store::seal::{FieldClass, Place};

/// Which list, and of what.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// The pool; none for the list of pools.
    pub pool: Option<&'a PoolView>,
    /// The operation.
    pub operation: &'a str,
    /// What is listed: a token of one filter is of no use for another.
    pub filter: &'a str,
}

impl List<'_> {
    fn pool_id(&self) -> UserPoolId {
        self.pool.map_or_else(UserPoolId::none, |pool| pool.id.clone())
    }

    fn stream(&self) -> StreamId {
        StreamId::new(format!("pages/{}/{}", self.operation, self.filter))
    }
}

impl Store {
    /// The token of the page after a key.
    pub fn page_token(&self, list: List<'_>, after: &str) -> String {
        let (pool_id, stream) = (list.pool_id(), list.stream());
        let place = Place { pool: &pool_id, stream: &stream, class: FieldClass::PageToken };
        let blob = match list.pool {
            Some(pool) => pool.keys.token.seal(place, self.random.uuid(), after.as_bytes()),
            None => self.master.seal(place, self.random.uuid(), after.as_bytes()),
        };
        format!("{}.{}", URL_SAFE_NO_PAD.encode(pool_id.as_str()), URL_SAFE_NO_PAD.encode(blob.0))
    }

    /// The key after which a page begins. Fails for a token of another pool, operation or filter.
    pub fn page_begins(&self, list: List<'_>, token: Option<&str>) -> Result<Option<String>, Error> {
        let invalid = || Error::invalid_parameter("The pagination token is not one of this list.");
        let Some(token) = token else { return Ok(None) };
        let (pool_id, stream) = (list.pool_id(), list.stream());
        let (pool, blob) = token.split_once('.').ok_or_else(invalid)?;
        if URL_SAFE_NO_PAD.decode(pool).map_err(|_| invalid())? != pool_id.as_str().as_bytes() {
            return Err(invalid());
        }
        let place = Place { pool: &pool_id, stream: &stream, class: FieldClass::PageToken };
        let blob = Sealed(URL_SAFE_NO_PAD.decode(blob).map_err(|_| invalid())?);
        let opened = match list.pool {
            Some(pool) => pool.keys.token.open(place, &blob),
            None => self.master.open(place, &blob),
        };
        String::from_utf8(opened.map_err(|_| invalid())?).map(Some).map_err(|_| invalid())
    }
}
