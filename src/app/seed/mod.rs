//! The entries of `userpool dev --seed`: pools, app clients, groups and users with given ids. Missing ones are created,
//! different ones are changed; whatever the seed does not name stays as it is.

pub mod app_client;
pub mod group;
pub mod user;
pub mod user_pool;

use crate::domain::error::{Error, Exception};

/// How a collision reads that goes on. No other caller is active, so it has another cause: see [`refused_id`].
const COLLISION: Exception = Exception::ConcurrentModificationException;

/// Says why an id can't be used: all attempts to create something with it collided, and no other caller is active.
fn refused_id(error: Error, which: &str) -> Error {
    if error.exception == COLLISION {
        let message = format!("{which} is, or was, another one's: ids are never used again, give another.");
        return Error::invalid_parameter(message);
    }
    error
}
