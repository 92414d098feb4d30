//! What `userpool dev --seed` asks for: pools, app clients, groups and users whose ids are given. Each is made if it is not
//! there, and changed where it differs; what is there and not asked for stays as it is.

pub mod app_client;
pub mod group;
pub mod user;
pub mod user_pool;

use crate::app::Failure;
use crate::app::attempts::settled;
use crate::domain::error::{Error, Exception};

/// Runs what a seed needs of an operation. Nobody else is at work, so collisions that go on have another reason.
async fn settled_by_nobody_else<Answer, Attempt>(attempt: impl Fn() -> Attempt) -> Result<Answer, Error>
where
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    settled(Exception::ConcurrentModificationException, attempt).await
}

/// Says why an id can't be had: attempts to create something under it collided again and again, and nobody else is at work.
fn refused_id(error: Error, which: &str) -> Error {
    if error.exception == Exception::ConcurrentModificationException {
        let message = format!("{which} is, or was, another one's: ids are never used again, give another.");
        return Error::invalid_parameter(message);
    }
    error
}
