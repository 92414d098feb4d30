//! Trying again: an operation is decided anew, from a new read, while somebody else is first.
//!
//! What is slow is prepared before the first attempt, and once more only where it is of no use any more. An operation that has
//! such work has two functions, `prepare` and the one of its own name, which takes what was prepared. The generated dispatch
//! calls both.

use std::sync::{Arc, Mutex, PoisonError};

use crate::app::Failure;
use crate::domain::error::{Error, Exception};
use crate::store::error::StoreError;

const MOST_TRIES: usize = 5;

/// How often an operation was decided anew because somebody else was first.
struct Tries {
    collision: Exception,
    left: usize,
}

impl Tries {
    /// No try yet. The exception is what the caller reads if all of them collide.
    fn new(collision: Exception) -> Self {
        Self { collision, left: MOST_TRIES }
    }

    /// After a failure: whether another try, from a new read, can help.
    fn again(&mut self, failure: Failure) -> Result<(), Error> {
        let error = match failure {
            Failure::Refused(error) => return Err(error),
            Failure::Store(error) if !error.is_collision() => return Err(error.into()),
            Failure::Store(error) => {
                metrics::counter!("userpool_commit_collisions_total").increment(1);
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

/// Runs an attempt, and again from its read while somebody else is first. The exception is what the caller reads if that goes on.
pub async fn settled<Answer, Attempt>(collision: Exception, attempt: impl Fn() -> Attempt) -> Result<Answer, Error>
where
    Attempt: Future<Output = Result<Answer, Failure>>,
{
    let mut tries = Tries::new(collision);
    loop {
        // On the heap: an attempt holds all that was read, and futures of futures would fill a stack.
        match Box::pin(attempt()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => tries.again(failure)?,
        }
    }
}

/// The same for an attempt that needs something prepared, which is prepared again only where it can't be used any more: what
/// it was to become is taken, or it is about what has changed since.
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
                // Whoever was first has changed it: that collision is counted already.
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

/// What `prepare` has read. The first attempt uses it; those after it read anew.
#[derive(Debug)]
pub struct FirstRead<Found>(Mutex<Option<Found>>);

impl<Found> FirstRead<Found> {
    /// What was read.
    pub fn new(found: Found) -> Self {
        Self(Mutex::new(Some(found)))
    }

    /// Nothing yet.
    pub fn none() -> Self {
        Self(Mutex::new(None))
    }

    /// What was read, or what is read now.
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

    /// What is read of attempts that fail like this, and how many there were.
    async fn read(collision: Exception, failure: fn() -> Failure) -> (Exception, usize) {
        let attempts = AtomicUsize::new(0);
        let answer = settled::<(), _>(collision, || async {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err(failure())
        });
        (answer.await.unwrap_err().exception, attempts.into_inner())
    }

    #[tokio::test]
    async fn the_fifth_collision_is_told_by_the_exception_that_the_operation_has_for_it() {
        for collision in [Exception::ConcurrentModificationException, Exception::TooManyRequestsException] {
            for failure in [stale, claimed, || Failure::Outdated] {
                assert_eq!(read(collision, failure).await, (collision, 5));
            }
        }
    }

    #[tokio::test]
    async fn what_no_other_try_can_help_ends_the_first() {
        let collision = Exception::TooManyRequestsException;
        let refused = || Failure::Refused(Error::no_such_user());
        assert_eq!(read(collision, refused).await, (Exception::UserNotFoundException, 1));
        let failed = || Failure::Store(StoreError::Database(sqlx::Error::PoolClosed));
        assert_eq!(read(collision, failed).await, (Exception::ServiceUnavailableException, 1));
    }

    #[tokio::test]
    async fn what_is_prepared_is_prepared_again_only_where_it_is_of_no_use() {
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
    async fn what_a_collision_has_made_outdated_is_prepared_again_within_the_same_try() {
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
