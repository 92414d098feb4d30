//! The development console, under `/dev`: messages as their readers see them, pools and what is in them, and events as they leave
//! for Kafka. It is there under `userpool dev` alone, changes nothing, and answers only who asked for this server.

mod address;
mod ask;
mod clients;
mod commands;
mod events;
mod groups;
mod mailbox;
mod pools;
mod rows;
mod stream;
mod users;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderName, StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::api::http::dev::stream::Streams;
use crate::api::status;
use crate::app::App;
use crate::domain::error::{Error, Exception};
use crate::kafka::config::KafkaConfig;
use crate::pages::console::{Problem, Section};
use crate::pages::{CONSOLE_SCRIPT, CONSOLE_STYLE, ICON, STYLE};
use crate::store::error::StoreError;

/// Pages have our own style and script, connect to us, and are shown in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The markup of an e-mail is shown with its styles and pictures, as its reader sees it, and can do nothing: it runs no script, is
/// of no origin, and is shown in our own frames. Its links open elsewhere.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; form-action 'none'; \
                           base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";
/// Nothing else is a page.
const NO_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What the console stands on.
#[derive(Clone, Debug)]
struct Console {
    app: Arc<App>,
    kafka: Arc<KafkaConfig>,
    streams: Streams,
}

/// All of it. What goes on by itself ends when the token is cancelled.
pub(super) fn routes(app: Arc<App>, kafka: Arc<KafkaConfig>, stopping: CancellationToken) -> Router {
    let console = Console { app, kafka, streams: Streams::new(stopping) };
    Router::new()
        .route("/dev", get(begin))
        .route("/dev/", get(begin))
        .route("/dev/messages", get(mailbox::messages))
        .route("/dev/messages/stream", get(mailbox::stream))
        .route("/dev/messages/{user_pool_id}/{id}/body", get(mailbox::body))
        .route("/dev/pools", get(pools::list))
        .route("/dev/pools/{user_pool_id}", get(pools::pool))
        .route("/dev/pools/{user_pool_id}/clients", get(clients::list))
        .route("/dev/pools/{user_pool_id}/clients/{client_id}", get(clients::client))
        .route("/dev/pools/{user_pool_id}/users", get(users::list))
        .route("/dev/pools/{user_pool_id}/users/{sub}", get(users::user))
        .route("/dev/pools/{user_pool_id}/groups", get(groups::list))
        // Names of groups may be anything that a path is not.
        .route("/dev/pools/{user_pool_id}/group", get(groups::group))
        .route("/dev/events", get(events::events))
        .route("/dev/events/stream", get(events::stream))
        .route("/dev/assets/console.css", get(|| asset("text/css; charset=utf-8", [STYLE, CONSOLE_STYLE].concat())))
        .route("/dev/assets/console.js", get(|| asset("text/javascript; charset=utf-8", CONSOLE_SCRIPT.to_owned())))
        .route("/dev/assets/icon.svg", get(|| asset("image/svg+xml", ICON.to_owned())))
        .with_state(console)
}

async fn begin() -> Redirect {
    Redirect::to("/dev/messages")
}

/// What pages load beside themselves.
async fn asset(kind: &'static str, text: String) -> Response {
    let mut response = with_policy(StatusCode::OK, NO_POLICY, text);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

/// A page, whole.
fn page(status: StatusCode, template: &impl Template) -> Result<Response, Failed> {
    Ok(with_policy(status, POLICY, rendered(template)?))
}

fn rendered(template: &impl Template) -> Result<String, Failed> {
    template.render().map_err(|error| Failed(Error::internal(error)))
}

/// HTML that may do what a policy says. It is never kept: it holds codes, and what it shows changes.
fn with_policy(status: StatusCode, policy: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (status, headers, body).into_response()
}

/// Why a page can't be shown.
#[derive(Debug)]
struct Failed(Error);

impl Failed {
    /// What is looked for is not there.
    fn missing(message: &'static str) -> Self {
        Self(Error::new(Exception::ResourceNotFoundException, message))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<QueryRejection> for Failed {
    fn from(_: QueryRejection) -> Self {
        Self(Error::invalid_parameter("The address of this page has parameters that can't be read."))
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        if let Some(cause) = &error.cause {
            tracing::error!(cause, "a page of the console can't be shown");
        }
        let (status, title) = match error.exception {
            Exception::ResourceNotFoundException | Exception::UserNotFoundException => {
                (StatusCode::NOT_FOUND, "This is not there")
            }
            exception => (status::http_status(exception), "This can't be shown"),
        };
        let problem = Problem { title, section: Section::Elsewhere, text: error.message.into_owned() };
        page(status, &problem).unwrap_or_else(|_| status.into_response())
    }
}
