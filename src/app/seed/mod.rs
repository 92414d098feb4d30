//! What `userpool dev --seed` asks for: pools, app clients, groups and users whose ids are given. Each is made if it is not
//! there, and changed where it differs; what is there and not asked for stays as it is.

pub mod app_client;
pub mod group;
pub mod user;
pub mod user_pool;

use std::sync::Arc;

use crate::app::Failure;
use crate::app::attempts::{settled, settled_with};
use crate::domain::error::{Error, Exception};

/// Runs what a seed needs of an operation. Nobody else is at work, so collisions that go on have another reason.
async fn settled_alone<Answer, Attempt>(attempt: impl Fn() -> Attempt) -> Result<Answer, Error>
where
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    settled(Exception::ConcurrentModificationException, attempt).await
}

/// The same of an operation that has slow work.
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

/// Says why an id can't be had: attempts to create something under it collided again and again, and nobody else is at work.
fn refused_id(error: Error, which: &str) -> Error {
    if error.exception == Exception::ConcurrentModificationException {
        let message = format!("{which} is, or was, another one's: ids are never used again, give another.");
        return Error::invalid_parameter(message);
    }
    error
}
