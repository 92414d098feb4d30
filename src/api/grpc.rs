//! The gRPC door: each method is the pipeline over a codec of plain bytes.
//!
//! An interceptor would never see the message, and a codec of messages would answer INTERNAL to a malformed body: so
//! the bytes go to the pipeline as they came.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::{Buf, BufMut, Bytes};
use http_body_util::Full;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Request, Response, Status};

use crate::api::authenticate;
use crate::api::body::{self, LARGEST_BODY, Whole};
use crate::api::context::Context;
use crate::api::listener::Peer;
use crate::api::observation::{Observation, System};
use crate::api::operation::{OPERATIONS, Operation};
use crate::api::pipeline;
use crate::api::status::status;
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::App;
use crate::domain::error::{Error, Exception};
use crate::environment::Random;

/// Bytes before a message: a flag and the length.
const FRAME: usize = 5;

/// State that both doors share.
#[derive(Clone)]
pub struct Doors {
    /// The application that operations run on.
    pub app: Arc<App>,
    /// Proxies that we believe about the caller's address.
    pub proxies: Arc<TrustedProxies>,
}

/// All services, with each method under its path.
pub fn services(doors: &Doors) -> Router {
    let mut router = Router::new();
    for info in &OPERATIONS {
        let (doors, operation) = (doors.clone(), info.operation);
        let method = move |request: http::Request<axum::body::Body>| answered(doors.clone(), operation, request);
        router = router.route(info.path, axum::routing::post(method));
    }
    let random = doors.app.random.clone();
    router.fallback(move || std::future::ready(no_such_method(&random)))
}

/// Refuses every call; used while the limit of calls is reached.
pub fn crowded(doors: &Doors) -> Router {
    let random = doors.app.random.clone();
    Router::new().fallback(move || std::future::ready(no_place(&random)))
}

fn no_place(random: &Random) -> http::Response<tonic::body::Body> {
    status(&Error::too_many_requests(), &random.uuid().to_string()).into_http()
}

/// One call, from its headers to its answer.
async fn answered(
    doors: Doors,
    operation: Operation,
    request: http::Request<axum::body::Body>,
) -> http::Response<tonic::body::Body> {
    let call = Observation::begin(System::Grpc, operation, request.headers(), &doors.app.random);
    let patience = authenticate::grpc_timeout(request.headers());
    // It is large: in its place it is not copied into each layer around it.
    let response = pin!(within(patience, &call, unary(Method { doors, call: call.clone() }, request)));
    told_in_our_words(call.run(response).await, &call)
}

/// The message of a call. Tonic would wait for a slow message without a limit, so it gets one that has arrived.
async fn unary(method: Method, request: http::Request<axum::body::Body>) -> http::Response<tonic::body::Body> {
    let (parts, body) = request.into_parts();
    match body::whole(body, FRAME, &parts.extensions).await {
        // The memory of the body is held until the call has ended.
        Ok(Whole { bytes, memory: _memory }) => {
            let request = http::Request::from_parts(parts, tonic::body::Body::new(Full::new(bytes)));
            Grpc::new(BytesCodec).max_decoding_message_size(LARGEST_BODY).unary(method, request).await
        }
        Err(error) => refusal(&method.call, error).into_http(),
    }
}

/// The status of a refusal, with which the call ends.
fn refusal(call: &Observation, error: Error) -> Status {
    let status = status(&error, call.request_id());
    call.ended::<()>(&Err(error));
    status
}

/// Ends a call at its deadline. Tonic would do so a moment later, with CANCELLED, and the caller would read that. A call
/// whose caller waits for less than a moment is not begun: its answer would come too late.
async fn within(
    patience: Option<Duration>,
    call: &Observation,
    response: impl Future<Output = http::Response<tonic::body::Body>>,
) -> http::Response<tonic::body::Body> {
    const MOMENT: Duration = Duration::from_millis(1);
    let Some(patience) = patience else { return response.await };
    let patience = patience.saturating_sub(MOMENT);
    let answer = if patience.is_zero() { None } else { tokio::time::timeout(patience, response).await.ok() };
    answer.unwrap_or_else(|| {
        call.deadline_exceeded();
        Status::deadline_exceeded("The deadline of the call is over.").into_http()
    })
}

/// A plain 404 would do for gRPC clients, but a web page could not tell it from a wrong address.
fn no_such_method(random: &Random) -> http::Response<tonic::body::Body> {
    let error = Error::new(Exception::UnknownOperationException, "There is no such method.");
    status(&error, &random.uuid().to_string()).into_http()
}

/// If tonic can't read the message, it answers without details and with INTERNAL. The fault is the caller's, so we say
/// that.
fn told_in_our_words(
    response: http::Response<tonic::body::Body>,
    call: &Observation,
) -> http::Response<tonic::body::Body> {
    let refused = Status::from_header_map(response.headers()).filter(|status| status.details().is_empty());
    let message = match refused.as_ref().map(Status::code) {
        Some(Code::OutOfRange) => body::too_large(),
        Some(Code::Internal | Code::Unknown | Code::Cancelled) => "The request is not one message of gRPC.".to_owned(),
        _ => return response,
    };
    refusal(call, Error::new(Exception::SerializationException, message)).into_http()
}

struct Method {
    doors: Doors,
    call: Observation,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = futures::future::BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(answer(self.doors.clone(), self.call.clone(), request))
    }
}

async fn answer(doors: Doors, call: Observation, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let peer = request.extensions().get::<Peer>().copied();
    let (metadata, _, body) = request.into_parts();
    let headers = metadata.into_headers();
    let operation = call.operation();
    let mut caller = authenticate::anonymous(&call, &headers, peer, &doors.proxies);
    if authenticate::needs_account(operation) {
        match authenticate::developer(&doors.app, &headers, peer).await {
            Ok(developer) => caller.developer = Some(developer),
            Err(refused) => {
                caller.developer = refused.developer;
                pipeline::refused(&doors.app, &refused.error, &caller).await;
                return Err(refusal(&call, refused.error));
            }
        }
    }
    let answer = pipeline::call(Context { operation, app: doors.app.clone(), caller }, body).await;
    call.ended(&answer);
    let mut response = Response::new(answer.map_err(|error| status(&error, call.request_id()))?);
    if let Ok(value) = call.request_id().parse() {
        response.metadata_mut().insert("x-request-id", value);
    }
    Ok(response)
}

/// A codec that passes messages on as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
