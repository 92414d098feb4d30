//! The HTTP listener beside gRPC: the AWS door, the key sets, confirmation by link, health, metrics, and under `dev` the mailbox.

mod confirm_user;
mod discovery;
mod health;
mod mailbox;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use http::{HeaderName, Method, header};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::api::aws_json;
use crate::api::grpc::Doors;
use crate::api::http::health::Readiness;
use crate::app::App;

/// What the listener serves.
pub struct HttpDoor {
    /// The doors' common part.
    pub doors: Doors,
    /// Where metrics are collected.
    pub metrics: PrometheusHandle,
    /// Whether the development mailbox can be read.
    pub mailbox: bool,
    /// Cancelled when the server begins to stop: from then on it says that it is not ready.
    pub stopping: CancellationToken,
}

/// All routes.
pub fn router(door: HttpDoor) -> Router {
    let app: Arc<App> = door.doors.app.clone();
    let pool = Router::new()
        .route("/{user_pool_id}/.well-known/jwks.json", get(discovery::jwks))
        .route("/{user_pool_id}/.well-known/openid-configuration", get(discovery::openid_configuration))
        .with_state(app.clone());
    let health = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(Readiness::new(&app, door.stopping)));
    let confirmation = || get(confirm_user::page).post(confirm_user::confirm);
    let confirmation = Router::new()
        .route("/{user_pool_id}/confirmUser", confirmation())
        // Some of Cognito's own links have the slash.
        .route("/{user_pool_id}/confirmUser/", confirmation())
        .with_state(door.doors.clone());
    let metrics = door.metrics;
    let mut router = Router::new()
        .route("/", post(aws_json::post).with_state(door.doors))
        .route("/metrics", get(move || std::future::ready(metrics.render())))
        .merge(pool)
        .merge(confirmation)
        .merge(health);
    if door.mailbox {
        router = router.merge(Router::new().route("/dev/messages", get(mailbox::messages)).with_state(app));
    }
    router.layer(cors())
}

/// Browsers may call from any page: a call carries its own credential, never a cookie or a certificate of the browser's.
pub fn cors() -> CorsLayer {
    let exposed = [
        "x-amzn-requestid",
        "x-amzn-errortype",
        "x-amzn-errormessage",
        "x-request-id",
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            exposed.map(HeaderName::from_static).into_iter().chain([header::CONTENT_TYPE]).collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(24 * 60 * 60))
}
