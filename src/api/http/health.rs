//! Whether the process lives, and whether it can serve.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// What decides whether calls should come here.
#[derive(Clone)]
pub struct Readiness {
    /// Its store is asked.
    pub app: Arc<App>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
}

/// The process lives: touches no dependency.
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database is there, its schema is ours, and the server is not about to stop. Kafka is not asked: commands don't wait
/// for it.
pub async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    if readiness.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping".to_owned());
    }
    match readiness.app.store.check_fitness().await {
        Ok(()) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
