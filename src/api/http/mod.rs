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
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, Method, StatusCode, header};
use opentelemetry_prometheus_text_exporter::PrometheusExporter;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::api::aws_json;
use crate::api::grpc::Doors;
use crate::api::http::health::Readiness;
use crate::api::listener::Door;
use crate::app::App;
use crate::kafka::config::KafkaConfig;

/// The parts that the HTTP listener serves.
pub struct HttpDoor {
    /// State that both doors share.
    pub doors: Doors,
    /// The metrics that `/metrics` shows.
    pub metrics: PrometheusExporter,
    /// The console, under `dev` only.
    pub development: Option<Development>,
    /// Cancelled when the server begins to stop: from then on it answers that it is not ready.
    pub stopping: CancellationToken,
}

/// What only `dev` serves: the console, to requests addressed to this server.
pub struct Development {
    /// The address on which the listener listens; requests must be addressed to it.
    pub address: SocketAddr,
    /// The brokers and topics that events are sent to.
    pub kafka: Arc<KafkaConfig>,
}

/// All routes of the HTTP listener.
///
/// Web pages of any origin may call the API and read keys. Pages need nothing else, so CORS allows nothing else.
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
        // Some of Cognito's own links end with a slash.
        .route("/{user_pool_id}/confirmUser/", confirmation())
        .with_state(door.doors.clone());
    let readiness = Readiness::new(&app, door.stopping.clone());
    let health = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(readiness));
    // Health and metrics answer even while the limit of calls is reached.
    let own = health.merge(told(app, door.metrics, door.development, door.stopping));
    let crowded = Router::new().fallback(aws_json::crowded).with_state(door.doors).layer(cors()).merge(own.clone());
    Door { router: for_pages.merge(confirmation).merge(own), crowded }
}

/// The door of a server that waits for its database: the process lives, and takes no calls yet.
pub fn waiting() -> Door {
    let router = Router::new().route("/healthz", get(health::healthz)).fallback(health::waiting);
    Door { router: router.clone(), crowded: router }
}

/// Routes that tell about users or about the server, for operators.
fn told(
    app: Arc<App>,
    metrics: PrometheusExporter,
    development: Option<Development>,
    stopping: CancellationToken,
) -> Router {
    let metrics = Router::new().route("/metrics", get(move || std::future::ready(shown(&metrics))));
    let Some(Development { address, kafka }) = development else { return metrics };
    let console = dev::routes(app, kafka, stopping);
    metrics.merge(console).layer(from_fn(move |request, next| local::only(address, request, next)))
}

/// The metrics in Prometheus' text format.
fn shown(metrics: &PrometheusExporter) -> Response {
    const CONTENT_TYPE: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let mut text = Vec::new();
    match metrics.export(&mut text) {
        Ok(()) => (CONTENT_TYPE, text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Web pages of any origin may call: a call carries its own credential, never a cookie or a client certificate of the
/// browser.
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
            // The SDKs correct their clocks by the time of an answer.
            exposed
                .map(HeaderName::from_static)
                .into_iter()
                .chain([header::CONTENT_TYPE, header::DATE])
                .collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(24 * 60 * 60))
}
