//! The outcome of a write whose answer was lost on the way.
//!
//! If a connection breaks after the last statement was sent, it is unknown whether the statement was executed. The
//! caller is told of a failure only if the database could not be asked again while they wait: it may come back.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::wake::News;
use crate::telemetry::{log, metrics, trace};

/// How long the database is asked, unless the caller says how long they wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time that a caller is assumed to wait.
const LONGEST: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Asks until there is an answer, or until the caller waits no longer. An error that another try can't mend ends it.
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
                tracing::debug!(%error, "the outcome of a write is asked for again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

impl Store {
    /// The outcome of a write whose connection was lost: success if `ask` finds that it was done. Otherwise the error
    /// is returned, also if the outcome stays unknown.
    pub(super) async fn unless_done<Answer>(
        &self,
        patience: Option<Duration>,
        lost: StoreError,
        ask: impl FnMut() -> Answer,
    ) -> Result<(), StoreError>
    where
        Answer: Future<Output = Result<bool, StoreError>>,
    {
        // Most idle connections broke together with this one.
        self.connections.look_at_all();
        match find_out(patience, ask).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost),
            Err(error) => {
                tracing::warn!(%lost, %error, "the outcome of a write is unknown");
                Err(lost)
            }
        }
    }

    /// Runs a write to its end in a task of its own, even if the caller goes away. Then the workers hear of its news.
    pub(crate) async fn to_its_end<F>(&self, news: News, write: F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let wake = self.wake.clone();
        let write = async move {
            let began = Instant::now();
            let result = write.await;
            metrics::COMMIT_DURATION.record(began.elapsed(), [ending(&result)]);
            if result.is_ok() {
                wake.committed(news);
            }
            result
        };
        let span =
            tracing::info_span!(target: trace::STEP, "commit", otel.kind = "client", db.system.name = "postgresql");
        tokio::spawn(log::continued(write.instrument(span))).await?
    }

    /// Whether a fact was recorded, and with it the rest of its statement or transaction. A transaction that is still
    /// running is not waited for.
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

/// How a write ended, for its metric.
fn ending(result: &Result<(), StoreError>) -> &'static str {
    match result {
        Ok(()) => "written",
        Err(error) if error.is_collision() => "collided",
        Err(StoreError::Limited { .. }) => "limited",
        Err(_) => "failed",
    }
}

/// What a fact is found by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub id: Uuid,
    /// When it happened, which determines the partition.
    pub at: time::OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often and for how long an unavailable database was asked, and whether an answer came.
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
    async fn a_caller_is_kept_no_longer_than_they_wait() {
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
    async fn a_permanent_error_is_returned_at_once() {
        let began = Instant::now();
        let answer: Result<(), _> =
            find_out(None, || async { Err(StoreError::Database(sqlx::Error::RowNotFound)) }).await;
        assert!(answer.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
