//! Liveness and readiness of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::store::system::UnfitDatabase;

/// How long an answer of the database is reused.
const KEPT: Duration = Duration::from_secs(1);

/// `Ok` if the database is usable, else a sentence that says why not.
type Fitness = Result<(), &'static str>;

/// State of the readiness check.
#[derive(Clone)]
pub struct Readiness {
    /// The application whose database is checked.
    pub app: Arc<App>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Whether the log already says that the server is not ready.
    pub told: Arc<AtomicBool>,
    last: Arc<LastAnswer>,
}

impl Readiness {
    /// For a server that was ready so far.
    pub fn new(app: &Arc<App>, stopping: CancellationToken) -> Self {
        Self { app: app.clone(), stopping, told: Arc::default(), last: Arc::default() }
    }

    async fn ask(&self) -> Fitness {
        match self.app.store.check_fitness().await {
            Ok(()) => {
                if self.told.swap(false, Ordering::SeqCst) {
                    tracing::info!("the server is ready again");
                }
                Ok(())
            }
            Err(error) => {
                // Logged once, however often callers ask: anyone may ask.
                if !self.told.swap(true, Ordering::SeqCst) {
                    tracing::warn!(%error, "the server is not ready");
                }
                Err(sentence(&error))
            }
        }
    }
}

/// The last answer of the database. Anyone may ask, so there is one query at a time and at most one a second: else
/// frequent requests would take connections away from calls.
#[derive(Debug, Default)]
struct LastAnswer(Mutex<Option<(Instant, Fitness)>>);

impl LastAnswer {
    async fn or_ask(&self, ask: impl Future<Output = Fitness>) -> Fitness {
        let mut last = self.0.lock().await;
        match *last {
            Some((at, answer)) if at.elapsed() < KEPT => answer,
            _ => {
                let answer = ask.await;
                *last = Some((Instant::now(), answer));
                answer
            }
        }
    }
}

/// The process lives: uses no dependency.
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database answers, its schema is one that we can serve on, and the server is not about to stop. Kafka is not
/// checked: commands don't wait for it.
pub async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    }
    match readiness.last.or_ask(readiness.ask()).await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// The server has just started and has no database yet.
pub async fn waiting() -> (StatusCode, &'static str) {
    (StatusCode::SERVICE_UNAVAILABLE, "the server waits for its database")
}

/// The sentence for callers. The database's own message goes only to our log: it names hosts, accounts and versions.
fn sentence(error: &UnfitDatabase) -> &'static str {
    match error {
        UnfitDatabase::Schema { .. } | UnfitDatabase::LaterSchema { .. } | UnfitDatabase::LaterEvents { .. } => {
            "the database is of another release"
        }
        UnfitDatabase::Restored => "the database was restored and not settled yet",
        UnfitDatabase::Store(_) => "the database does not answer",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_database_is_asked_by_one_caller_at_a_time_and_once_a_second() {
        let (last, asked, asking) = (LastAnswer::default(), Cell::new(0), Cell::new(0));
        let ask = async |answer: Fitness| {
            asked.set(asked.get() + 1);
            asking.set(asking.get() + 1);
            assert_eq!(asking.get(), 1, "two ask at once");
            tokio::time::sleep(KEPT * 3).await;
            asking.set(0);
            answer
        };
        let answers = futures::future::join_all((0..100).map(|_| last.or_ask(ask(Err("away"))))).await;
        assert!(answers.iter().all(|answer| *answer == Err("away")));
        assert_eq!(asked.get(), 1);
        tokio::time::advance(KEPT).await;
        assert_eq!(last.or_ask(ask(Ok(()))).await, Ok(()));
        assert_eq!(asked.get(), 2);
        // A caller who goes away while it asks leaves no answer, and blocks no other.
        tokio::time::advance(KEPT).await;
        assert!(futures::poll!(Box::pin(last.or_ask(ask(Err("away"))))).is_pending());
        asking.set(0);
        assert_eq!(last.or_ask(ask(Ok(()))).await, Ok(()));
    }
}
