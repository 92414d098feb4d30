//! The development console, under `/dev`: messages as their readers see them, pools and their contents, and events as
//! they leave for Kafka. Only `userpool dev` serves it; it changes nothing, and answers only requests addressed to this
//! server.

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

/// Pages load our own style and script, connect only to us, and can't be shown in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// An e-mail is shown with its styles and pictures, as its reader sees it, but sandboxed: it runs no script, has no
/// origin, and is shown only in our own frames. Its links open in a new window.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; form-action 'none'; \
                           base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";
/// For everything that is not a page.
const NO_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// State of the console's handlers.
#[derive(Clone, Debug)]
struct Console {
    app: Arc<App>,
    kafka: Arc<KafkaConfig>,
    streams: Streams,
}

/// All routes of the console. Open streams end when the token is cancelled.
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
        // Names of groups may hold characters that a path can't.
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

/// The style, the script and the icon that pages load.
async fn asset(kind: &'static str, text: String) -> Response {
    let mut response = with_policy(StatusCode::OK, NO_POLICY, text);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

/// A complete page, with the policy of pages.
fn page(status: StatusCode, template: &impl Template) -> Result<Response, Failed> {
    Ok(with_policy(status, POLICY, rendered(template)?))
}

fn rendered(template: &impl Template) -> Result<String, Failed> {
    template.render().map_err(|error| Failed(Error::internal(error)))
}

/// HTML with a content security policy. Browsers must not cache it: it holds codes, and its contents change.
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

/// The error that keeps a page from being shown.
#[derive(Debug)]
struct Failed(Error);

impl Failed {
    /// The thing that the address names does not exist.
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
                (StatusCode::NOT_FOUND, "This does not exist")
            }
            exception => (status::http_status(exception), "This can't be shown"),
        };
        let problem = Problem { title, section: Section::Elsewhere, text: error.message.into_owned() };
        page(status, &problem).unwrap_or_else(|_| status.into_response())
    }
}
