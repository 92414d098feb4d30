//! The HTTP listener beside gRPC: the AWS door, the key sets, confirmation by link, health, metrics, and under `dev` the console.

mod confirm_user;
mod dev;
mod discovery;
mod health;
mod local;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use http::{HeaderName, Method, header};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::api::aws_json;
use crate::api::grpc::Doors;
use crate::api::http::health::Readiness;
use crate::api::listener::Door;
use crate::app::App;
use crate::kafka::config::KafkaConfig;

/// What the listener serves.
pub struct HttpDoor {
    /// The doors' common part.
    pub doors: Doors,
    /// Where metrics are collected.
    pub metrics: PrometheusHandle,
    /// What there is more under `dev`.
    pub development: Option<Development>,
    /// Cancelled when the server begins to stop: from then on it says that it is not ready.
    pub stopping: CancellationToken,
}

/// What there is more under `dev`: a console, for who came to this address on purpose.
pub struct Development {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where events leave to.
    pub kafka: Arc<KafkaConfig>,
}

/// All routes.
///
/// Pages of any origin may call the API and read keys. Nothing else is for pages, so nothing else allows them anything.
pub fn door(door: HttpDoor) -> Door {
    let app: Arc<App> = door.doors.app.clone();
    let pool = Router::new()
        .route("/{user_pool_id}/.well-known/jwks.json", get(discovery::jwks))
        .route("/{user_pool_id}/.well-known/openid-configuration", get(discovery::openid_configuration))
        .with_state(app.clone());
    let for_pages =
        Router::new().route("/", post(aws_json::post).with_state(door.doors.clone())).merge(pool).layer(cors());
    let confirmation = || get(confirm_user::page).post(confirm_user::confirm);
    let confirmation = Router::new()
        .route("/{user_pool_id}/confirmUser", confirmation())
        // Some of Cognito's own links have the slash.
        .route("/{user_pool_id}/confirmUser/", confirmation())
        .with_state(door.doors.clone());
    let readiness = Readiness::new(&app, door.stopping.clone());
    let health = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(readiness));
    // How the server is doing is answered however many call.
    let own = health.merge(told(app, door.metrics, door.development, door.stopping));
    let crowded = Router::new().fallback(aws_json::crowded).with_state(door.doors).layer(cors()).merge(own.clone());
    Door { router: for_pages.merge(confirmation).merge(own), crowded }
}

/// What tells of users or of the server, for whoever operates it.
fn told(
    app: Arc<App>,
    metrics: PrometheusHandle,
    development: Option<Development>,
    stopping: CancellationToken,
) -> Router {
    let metrics = Router::new().route("/metrics", get(move || std::future::ready(metrics.render())));
    let Some(Development { address, kafka }) = development else { return metrics };
    let console = dev::routes(app, kafka, stopping);
    metrics.merge(console).layer(from_fn(move |request, next| local::only(address, request, next)))
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
            // The SDKs mend their clocks by the time of an answer.
            exposed
                .map(HeaderName::from_static)
                .into_iter()
                .chain([header::CONTENT_TYPE, header::DATE])
                .collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(24 * 60 * 60))
}
