//! What became of a write whose answer was lost on the way.
//!
//! A connection that breaks after the last statement was sent leaves open whether it was done. Whoever asked is told of a
//! failure only if the database could not be asked again for as long as they wait: it may be on its way back.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::wake::News;

/// So long the database is asked where a caller does not say how long it waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody is believed to wait longer.
const LONGEST: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Asks until there is an answer, or until the caller waits no longer. A failure that another try does not mend is the end.
pub(super) async fn find_out<T, Answer>(
    patience: Option<Duration>,
    mut ask: impl FnMut() -> Answer,
) -> Result<T, StoreError>
where
    Answer: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + patience.unwrap_or(PATIENCE).min(LONGEST);
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(error) if (error.is_unavailable() || error.is_collision()) && Instant::now() + pause < until => {
                tracing::debug!(%error, "what became of a write is asked again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

impl Store {
    /// The outcome of a write whose connection was lost, by a question whether it was done: success if so. Otherwise it is told
    /// as lost, also where it can't be found out.
    pub(super) async fn unless_done<Answer>(
        &self,
        patience: Option<Duration>,
        lost: StoreError,
        ask: impl FnMut() -> Answer,
    ) -> Result<(), StoreError>
    where
        Answer: Future<Output = Result<bool, StoreError>>,
    {
        // Most of what is idle broke with it.
        self.connections.look_at_all();
        match find_out(patience, ask).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost),
            Err(error) => {
                tracing::warn!(%lost, %error, "what became of a write is not known");
                Err(lost)
            }
        }
    }

    /// Runs a write in its own task to its end, whatever becomes of the caller.
    pub(crate) async fn to_its_end<F>(&self, write: F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let wake = self.wake.clone();
        tokio::spawn(async move {
            let result = write.await;
            if result.is_ok() {
                wake.committed(News::Events);
            }
            result
        })
        .await?
    }

    /// Whether a fact is recorded: it was written with the rest of its statement or transaction. One that may still be on its
    /// way is not waited for.
    pub(super) async fn is_recorded(&self, pool: &UserPoolId, fact: &Recorded) -> Result<bool, StoreError> {
        let recorded = sqlx::query_scalar(
            "select exists (select from activity where user_pool_id = $1 and event_id = $2 and at = $3)",
        )
        .bind(pool.as_str())
        .bind(fact.id)
        .bind(fact.at)
        .fetch_one(&self.database)
        .await?;
        Ok(recorded)
    }
}

/// By what a fact is found again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    /// Its id.
    pub id: Uuid,
    /// When it happened: facts are kept by months.
    pub at: time::OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the database was asked that is away for so long, by whom, and what was told.
    async fn asked(away: Duration, patience: Option<Duration>) -> (usize, Duration, bool) {
        let (began, mut times) = (Instant::now(), 0);
        let answer = find_out(patience, || {
            times += 1;
            let back = began.elapsed() >= away;
            async move { if back { Ok(()) } else { Err(StoreError::Database(sqlx::Error::PoolTimedOut)) } }
        });
        let answer = answer.await;
        (times, began.elapsed(), answer.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn the_database_is_asked_until_it_answers() {
        for away in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(9)] {
            let (times, took, known) = asked(away, None).await;
            assert!(known && took >= away && took <= away + LONGEST_PAUSE, "{away:?}: {took:?}");
            assert_eq!(times == 1, away.is_zero());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_kept_longer_than_they_wait() {
        let long = Duration::from_secs(3_600);
        for (patience, most) in [
            (None, PATIENCE),
            (Some(Duration::from_secs(2)), Duration::from_secs(2)),
            (Some(long), LONGEST),
            (Some(Duration::ZERO), Duration::ZERO),
        ] {
            let (times, took, known) = asked(long, patience).await;
            assert!(!known && times > 0 && took <= most && took + LONGEST_PAUSE * 2 >= most, "{patience:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_waiting_mends_is_told_at_once() {
        let began = Instant::now();
        let answer: Result<(), _> =
            find_out(None, || async { Err(StoreError::Database(sqlx::Error::RowNotFound)) }).await;
        assert!(answer.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
