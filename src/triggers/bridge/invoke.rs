//! A call of a function over HTTP, in the form of Lambda's Invoke API.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};

use crate::telemetry::trace::TraceContext;

/// The header by which Lambda tells that the handler has failed.
const FUNCTION_ERROR: &str = "x-amz-function-error";
const CONNECT: Duration = Duration::from_secs(2);

/// Invokes functions.
#[derive(Clone, Debug)]
pub struct Invoker {
    client: Client,
    largest: usize,
}

/// What a function has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the handler returned, as it came.
    Returned(Vec<u8>),
    /// The handler has failed: a JSON object with `errorMessage`.
    Failed(Vec<u8>),
}

/// Why a function has not answered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unavailable {
    /// The endpoint does not take the request, and would not take it later.
    #[error("the endpoint refuses with status {0}")]
    Refused(u16),
    /// The endpoint is busy or broken.
    #[error("the endpoint answers with status {0}")]
    Status(u16),
    /// There is no connection.
    #[error("the endpoint can't be reached: {0}")]
    Unreachable(String),
    /// The connection broke after the request was sent, so the function may have run.
    #[error("the connection to the endpoint broke: {0}")]
    Broken(String),
    /// The endpoint took too long.
    #[error("the endpoint did not answer in time")]
    Late,
}

impl Unavailable {
    /// Whether the call may be made again at once. Otherwise the function may be running, or would not run then either.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Unreachable(_))
    }
}

impl Invoker {
    /// Invokes functions at endpoints that the system's authorities vouch for, or else these. Answers above so many bytes
    /// count as failures.
    pub fn new(authorities: Vec<Certificate>, largest: usize, is_local: bool) -> reqwest::Result<Self> {
        let mut client = Client::builder()
            .user_agent(concat!("userpool/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A redirect would send personal data to another server.
            .redirect(redirect::Policy::none());
        if is_local {
            client = client.no_proxy();
        }
        if !authorities.is_empty() {
            client = client.tls_certs_only(authorities);
        }
        Ok(Self { client: client.build()?, largest })
    }

    /// Invokes the function at an address with an event.
    pub async fn invoke(
        &self,
        address: Url,
        event: Bytes,
        trace: Option<TraceContext>,
        limit: Duration,
    ) -> Result<Answer, Unavailable> {
        let mut request = self
            .client
            .post(address)
            .timeout(limit)
            .header(CONTENT_TYPE, "application/json")
            .header("x-amz-invocation-type", "RequestResponse")
            .header("x-amz-log-type", "None")
            .body(event);
        if let Some(trace) = trace {
            request = request.header("x-amzn-trace-id", trace.x_ray()).header("traceparent", trace.to_string());
        }
        let response = request.send().await.map_err(reason)?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(Unavailable::Status(429)),
            status if status.is_server_error() => return Err(Unavailable::Status(status.as_u16())),
            status => return Err(Unavailable::Refused(status.as_u16())),
        }
        let failed = response.headers().get(FUNCTION_ERROR).map(|kind| String::from_utf8_lossy(kind.as_bytes()).into());
        let body = self.body(response).await?;
        Ok(match (body, failed) {
            (None, _) => Answer::Failed(too_large(self.largest)),
            (Some(body), Some(kind)) => Answer::Failed(with_message(body, kind)),
            (Some(body), None) => Answer::Returned(body),
        })
    }

    /// The body; `None` if it is too large.
    async fn body(&self, mut response: Response) -> Result<Option<Vec<u8>>, Unavailable> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reason)? {
            if body.len() + chunk.len() > self.largest {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }
}

fn reason(error: reqwest::Error) -> Unavailable {
    let error = error.without_url();
    if error.is_timeout() {
        return Unavailable::Late;
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.is_connect() {
        true => Unavailable::Unreachable(cause.to_string()),
        false => Unavailable::Broken(cause.to_string()),
    }
}

/// The error of a handler. Emulators may leave out its message, which says that it is one.
fn with_message(body: Vec<u8>, kind: String) -> Vec<u8> {
    let has_message = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.get("errorMessage").is_some());
    if has_message { body } else { json!({ "errorMessage": kind }).to_string().into_bytes() }
}

fn too_large(largest: usize) -> Vec<u8> {
    let message = format!("Response payload size exceeded maximum allowed payload size ({largest} bytes).");
    json!({ "errorMessage": message, "errorType": "Function.ResponseSizeTooLarge" }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// An endpoint on this machine that answers as its path says.
    async fn endpoint() -> Url {
        let error = [(FUNCTION_ERROR, "Unhandled")];
        let router = Router::new()
            .route("/echo", post(async |body: String| body))
            .route("/headers", post(async |headers: HeaderMap| format!("{headers:?}")))
            .route("/failed", post(async move || (error, r#"{"errorMessage":"not you"}"#)))
            .route("/crashed", post(async move || (error, "")))
            .route("/large", post(async || "x".repeat(2_000)))
            .route("/busy", post(async || StatusCode::TOO_MANY_REQUESTS))
            .route("/broken", post(async || StatusCode::BAD_GATEWAY))
            .route("/moved", post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/echo")])))
            .route("/silent", post(async || std::future::pending::<()>().await));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Url::parse(&format!("http://{address}")).unwrap()
    }

    async fn invoked(base: &Url, path: &str, limit: Duration) -> Result<Answer, Unavailable> {
        let invoker = Invoker::new(Vec::new(), 1_000, true).unwrap();
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok();
        invoker.invoke(base.join(path).unwrap(), Bytes::from_static(b"{}"), trace, limit).await
    }

    #[tokio::test]
    async fn a_function_answers_or_fails() {
        let base = endpoint().await;
        let failed = |text: &str| Ok(Answer::Failed(text.as_bytes().to_vec()));
        assert_eq!(invoked(&base, "echo", LIMIT).await, Ok(Answer::Returned(b"{}".to_vec())));
        assert_eq!(invoked(&base, "failed", LIMIT).await, failed(r#"{"errorMessage":"not you"}"#));
        assert_eq!(invoked(&base, "crashed", LIMIT).await, failed(r#"{"errorMessage":"Unhandled"}"#));
        assert_eq!(invoked(&base, "large", LIMIT).await, Ok(Answer::Failed(too_large(1_000))));
    }

    #[tokio::test]
    async fn an_endpoint_that_does_not_answer_is_unavailable() {
        let base = endpoint().await;
        for (path, expected, may_pass) in [
            ("busy", Unavailable::Status(429), true),
            ("broken", Unavailable::Status(502), true),
            ("nowhere", Unavailable::Refused(404), false),
            ("moved", Unavailable::Refused(307), false),
        ] {
            assert_eq!(expected.may_pass(), may_pass, "{path}");
            assert_eq!(invoked(&base, path, LIMIT).await, Err(expected), "{path}");
        }
        assert_eq!(invoked(&base, "silent", Duration::from_millis(50)).await, Err(Unavailable::Late));
        let nobody = Url::parse("http://127.0.0.1:1").unwrap();
        assert!(matches!(invoked(&nobody, "", LIMIT).await, Err(Unavailable::Unreachable(_))));
    }

    #[tokio::test]
    async fn the_headers_are_those_of_lambda() {
        let base = endpoint().await;
        let Ok(Answer::Returned(headers)) = invoked(&base, "headers", LIMIT).await else { panic!("no headers") };
        let headers = String::from_utf8(headers).unwrap();
        for expected in [
            r#""content-type": "application/json""#,
            r#""x-amz-invocation-type": "RequestResponse""#,
            r#""x-amz-log-type": "None""#,
            r#""x-amzn-trace-id": "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1""#,
        ] {
            assert!(headers.contains(expected), "{headers}");
        }
    }
}
