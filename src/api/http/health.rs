//! Whether the process lives, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::store::system::UnfitDatabase;

/// What decides whether calls should come here.
#[derive(Clone)]
pub struct Readiness {
    /// Its store is asked.
    pub app: Arc<App>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Whether the log was told that the server is not ready.
    pub told: Arc<AtomicBool>,
}

impl Readiness {
    /// Of a server that was ready so far.
    pub fn new(app: &Arc<App>, stopping: CancellationToken) -> Self {
        Self { app: app.clone(), stopping, told: Arc::default() }
    }
}

/// The process lives: touches no dependency.
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database is there, its schema is ours, and the server is not about to stop. Kafka is not asked: commands don't wait
/// for it.
pub async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    }
    match readiness.app.store.check_fitness().await {
        Ok(()) => {
            if readiness.told.swap(false, Ordering::SeqCst) {
                tracing::info!("the server is ready again");
            }
            (StatusCode::OK, "ready")
        }
        Err(error) => {
            // Once, however often it is asked: everybody may ask.
            if !readiness.told.swap(true, Ordering::SeqCst) {
                tracing::warn!(%error, "the server is not ready");
            }
            (StatusCode::SERVICE_UNAVAILABLE, sentence(&error))
        }
    }
}

/// What whoever asks is told. What the database said is for our log alone: it names hosts, accounts and versions.
fn sentence(error: &UnfitDatabase) -> &'static str {
    match error {
        UnfitDatabase::Schema { .. } | UnfitDatabase::LaterSchema { .. } => "the database is of another release",
        UnfitDatabase::Restored => "the database was restored and not settled yet",
        UnfitDatabase::Store(_) => "the database does not answer",
    }
}
