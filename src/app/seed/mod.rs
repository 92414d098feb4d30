//! The entries of `userpool dev --seed`: pools, app clients, groups and users with given ids. Missing ones are created,
//! different ones are changed; whatever the seed does not name stays as it is.

pub mod app_client;
pub mod group;
pub mod user;
pub mod user_pool;

use std::sync::Arc;

use crate::app::Failure;
use crate::app::attempts::{settled, settled_with};
use crate::domain::error::{Error, Exception};

/// Runs an operation for a seed. No other caller is active, so repeated collisions have another cause.
async fn settled_alone<Answer, Attempt>(attempt: impl Fn() -> Attempt) -> Result<Answer, Error>
where
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    settled(Exception::ConcurrentModificationException, attempt).await
}

/// The same for an operation with slow work.
async fn settled_alone_with<Prepared, Answer, Prepare, Attempt>(
    prepare: impl Fn() -> Prepare,
    attempt: impl Fn(Arc<Prepared>) -> Attempt,
) -> Result<Answer, Error>
where
    Prepare: Future<Output = Result<Prepared, Failure>>,
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    settled_with(Exception::ConcurrentModificationException, prepare, attempt).await
}

/// Says why an id can't be used: all attempts to create something with it collided, and no other caller is active.
fn refused_id(error: Error, which: &str) -> Error {
    if error.exception == Exception::ConcurrentModificationException {
        let message = format!("{which} is, or was, another one's: ids are never used again, give another.");
        return Error::invalid_parameter(message);
    }
    error
}
