//! Whether the process lives, and whether it can serve.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use crate::app::App;

/// The process lives: touches no dependency.
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database is there and its schema is ours. Kafka is not asked: commands don't wait for it.
pub async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match app.store.check_fitness().await {
        Ok(()) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
