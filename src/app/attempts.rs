//! Retries: an operation is decided again, from a new read, when a concurrent commit wins.
//!
//! Slow work is prepared before the first attempt, and again only if it can't be used any more. An operation with slow
//! work has two functions: `prepare`, and the one with its own name, which takes what was prepared. The generated
//! dispatch calls both.

use std::sync::{Arc, Mutex, PoisonError};

use crate::app::Failure;
use crate::domain::error::{Error, Exception};
use crate::store::error::StoreError;
use crate::telemetry::metrics;

const MOST_TRIES: usize = 5;

/// The tries of an operation that are left after collisions.
struct Tries {
    collision: Exception,
    left: usize,
}

impl Tries {
    /// Without a try so far. The caller gets `collision` if all tries collide.
    fn new(collision: Exception) -> Self {
        Self { collision, left: MOST_TRIES }
    }

    /// After a failure: `Ok` if another try, from a new read, can help.
    fn again(&mut self, failure: Failure) -> Result<(), Error> {
        let error = match failure {
            Failure::Refused(error) => return Err(error),
            Failure::Store(error) if !error.is_collision() => return Err(error.into()),
            Failure::Store(error) => {
                metrics::COMMIT_COLLISIONS.add(1, []);
                error
            }
            Failure::Outdated => StoreError::Stale,
        };
        self.left -= 1;
        match (self.left, self.collision) {
            (0, Exception::ConcurrentModificationException) => {
                let message = "The resource was changed by somebody else at the same time. Please try again.";
                Err(Error::new(self.collision, message))
            }
            (0, _) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Runs an attempt, and again from its read while concurrent commits win. If all tries collide, the caller gets
/// `collision`.
pub async fn settled<Answer, Attempt>(collision: Exception, attempt: impl Fn() -> Attempt) -> Result<Answer, Error>
where
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    let mut tries = Tries::new(collision);
    loop {
        // On the heap: an attempt holds all that was read, and nested futures would fill the stack.
        match Box::pin(attempt()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => tries.again(failure)?,
        }
    }
}

/// The same for an attempt that needs prepared work. The work is prepared again only if it can't be used any more: an
/// id or a name that it needs is taken, or its basis has changed.
pub async fn settled_with<Prepared, Answer, Prepare, Attempt>(
    collision: Exception,
    prepare: impl Fn() -> Prepare,
    attempt: impl Fn(Arc<Prepared>) -> Attempt,
) -> Result<Answer, Error>
where
    Prepare: Future<Output = Result<Prepared, Failure>>,
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    let mut tries = Tries::new(collision);
    'prepared: loop {
        let prepared = match Box::pin(prepare()).await {
            Ok(prepared) => Arc::new(prepared),
            Err(failure) => {
                tries.again(failure)?;
                continue;
            }
        };
        let mut is_new = true;
        loop {
            match Box::pin(attempt(prepared.clone())).await {
                Ok(answer) => return Ok(answer),
                // A concurrent commit made it outdated, and that collision is counted already.
                Err(Failure::Outdated) if !is_new => continue 'prepared,
                Err(failure @ (Failure::Outdated | Failure::Store(StoreError::Claimed { .. }))) => {
                    tries.again(failure)?;
                    continue 'prepared;
                }
                Err(failure) => tries.again(failure)?,
            }
            is_new = false;
        }
    }
}

/// The read of `prepare`. The first attempt uses it; later attempts read again.
#[derive(Debug)]
pub struct FirstRead<Found>(Mutex<Option<Found>>);

impl<Found> FirstRead<Found> {
    /// With a read for the first attempt to use.
    pub fn new(found: Found) -> Self {
        Self(Mutex::new(Some(found)))
    }

    /// Without a read: every attempt reads for itself.
    pub fn none() -> Self {
        Self(Mutex::new(None))
    }

    /// The read of `prepare` if it is still unused, or else a new one.
    pub async fn or<Fault>(&self, read: impl Future<Output = Result<Found, Fault>>) -> Result<Found, Fault> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match found {
            Some(found) => Ok(found),
            None => read.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn stale() -> Failure {
        Failure::Store(StoreError::Stale)
    }

    fn claimed() -> Failure {
        Failure::Store(StoreError::Claimed { constraint: "names_pkey".to_owned() })
    }

    /// The exception of attempts that all fail like this, and the number of attempts.
    async fn read(collision: Exception, failure: fn() -> Failure) -> (Exception, usize) {
        let attempts = AtomicUsize::new(0);
        let answer = settled::<(), _>(collision, || async {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err(failure())
        });
        (answer.await.unwrap_err().exception, attempts.into_inner())
    }

    #[tokio::test]
    async fn the_fifth_collision_answers_the_exception_of_the_operation() {
        for collision in [Exception::ConcurrentModificationException, Exception::TooManyRequestsException] {
            for failure in [stale, claimed, || Failure::Outdated] {
                assert_eq!(read(collision, failure).await, (collision, 5));
            }
        }
    }

    #[tokio::test]
    async fn other_failures_are_not_retried() {
        let collision = Exception::TooManyRequestsException;
        let refused = || Failure::Refused(Error::no_such_user());
        assert_eq!(read(collision, refused).await, (Exception::UserNotFoundException, 1));
        let failed = || Failure::Store(StoreError::Database(sqlx::Error::PoolClosed));
        assert_eq!(read(collision, failed).await, (Exception::ServiceUnavailableException, 1));
    }

    #[tokio::test]
    async fn prepared_work_is_repeated_only_if_it_cannot_be_used() {
        for (failure, prepared) in [(stale as fn() -> Failure, 1), (claimed, 2), (|| Failure::Outdated, 2)] {
            let (prepares, attempts) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let prepare = || async { Ok(prepares.fetch_add(1, Ordering::Relaxed)) };
            let attempt = |_: Arc<usize>| async {
                let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
                if first { Err(failure()) } else { Ok(()) }
            };
            settled_with(Exception::TooManyRequestsException, prepare, attempt).await.unwrap();
            assert_eq!((prepares.into_inner(), attempts.into_inner()), (prepared, 2));
        }
    }

    #[tokio::test]
    async fn work_outdated_by_a_collision_is_prepared_again_in_the_same_try() {
        let prepares = AtomicUsize::new(0);
        let prepare = || async { Ok::<_, Failure>((prepares.fetch_add(1, Ordering::Relaxed), AtomicUsize::new(0))) };
        let attempt = |prepared: Arc<(usize, AtomicUsize)>| async move {
            let (number, attempts) = &*prepared;
            match (number, attempts.fetch_add(1, Ordering::Relaxed)) {
                (4, _) => Ok(()),
                (_, 0) => Err(stale()),
                _ => Err(Failure::Outdated),
            }
        };
        settled_with(Exception::TooManyRequestsException, prepare, attempt).await.unwrap();
        assert_eq!(prepares.into_inner(), 5, "four of five tries have collided");
    }

    #[tokio::test]
    async fn a_first_read_is_used_once() {
        let first = FirstRead::new(1);
        let read = async || Ok::<_, Failure>(2);
        assert_eq!((first.or(read()).await.unwrap(), first.or(read()).await.unwrap()), (1, 2));
    }
}
