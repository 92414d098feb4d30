//! The AWS door: JSON 1.1 over `POST /`, driven by the descriptors, through the same pipeline.

pub mod decode;
pub mod encode;

use std::pin::pin;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost_reflect::{FieldDescriptor, MessageDescriptor};

use crate::api::authenticate;
use crate::api::body::{self, Whole};
use crate::api::context::Context;
use crate::api::grpc::Doors;
use crate::api::listener::Peer;
use crate::api::observation::{Observation, System};
use crate::api::operation::{Operation, OperationInfo};
use crate::api::pipeline;
use crate::api::{sigv4, status};
use crate::app::caller::Caller;
use crate::domain::error::{Error, Exception};
use crate::limits::shares::Taken;
use crate::proto::descriptor_pool;

const TARGET_PREFIX: &str = "AWSCognitoIdentityProviderService.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Answers `POST /`; the header `X-Amz-Target` names the operation.
pub async fn post(State(doors): State<Doors>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().copied();
    let Some(operation) = target(&parts.headers) else {
        let error = Error::new(Exception::UnknownOperationException, "The operation in X-Amz-Target is not known.");
        return refusal(&error, &doors.app.random.uuid().to_string());
    };
    let call = Observation::begin(System::AwsJson, operation, &parts.headers, &doors.app.random);
    let caller = authenticate::anonymous(&call, &parts.headers, peer, &doors.proxies);
    let answer = pin!(answered(&doors, operation, caller, &parts, body));
    let answer = call.run(answer).await;
    call.ended(&answer);
    match answer {
        Ok(body) => success(body, call.request_id()),
        Err(error) => refusal(&error, call.request_id()),
    }
}

/// The body of the answer.
async fn answered(
    doors: &Doors,
    operation: Operation,
    mut caller: Caller,
    parts: &http::request::Parts,
    body: Body,
) -> Result<Vec<u8>, Error> {
    match admit(doors, operation, &mut caller, parts, body).await {
        // The memory of the body is held until the call has ended.
        Ok((request, _memory)) => {
            let answer = pipeline::call(Context { operation, app: doors.app.clone(), caller }, request).await;
            answer.and_then(|response| answer_body(operation.info(), response))
        }
        Err(error) => {
            pipeline::refused(&doors.app, &error, &caller).await;
            Err(error)
        }
    }
}

/// The refusal of a call while the limit of calls is reached.
pub async fn crowded(State(doors): State<Doors>) -> Response {
    refusal(&Error::too_many_requests(), &doors.app.random.uuid().to_string())
}

/// The steps before the pipeline: reads the bounded body, checks the signature over it, decodes it.
async fn admit(
    doors: &Doors,
    operation: Operation,
    caller: &mut Caller,
    parts: &http::request::Parts,
    body: Body,
) -> Result<(Bytes, Taken), Error> {
    let Whole { bytes: body, memory } = body::whole(body, 0, &parts.extensions).await?;
    if authenticate::needs_account(operation) {
        authenticate_signature(doors, caller, parts, &body).await?;
    }
    Ok((decode::decode(&message(operation.info().request)?, &body)?, memory))
}

/// The operation that `X-Amz-Target` names.
fn target(headers: &HeaderMap) -> Option<Operation> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    Operation::by_name(target.strip_prefix(TARGET_PREFIX)?)
}

async fn authenticate_signature(
    doors: &Doors,
    caller: &mut Caller,
    parts: &http::request::Parts,
    body: &[u8],
) -> Result<(), Error> {
    match sigv4::verify(&doors.app, parts, body).await {
        Ok(signed) => {
            caller.developer = Some(signed.developer);
            caller.region = Some(signed.region);
            Ok(())
        }
        Err(refused) => {
            caller.developer = refused.developer;
            Err(refused.error)
        }
    }
}

fn answer_body(info: &OperationInfo, response: Bytes) -> Result<Vec<u8>, Error> {
    if info.no_output {
        return Ok(Vec::new());
    }
    let response = prost_reflect::DynamicMessage::decode(message(info.response)?, response).map_err(Error::internal)?;
    serde_json::to_vec(&encode::encode(&response)).map_err(Error::internal)
}

/// Whether an option of ours is true on a field.
fn flag(field: &FieldDescriptor, option: &str) -> bool {
    let extension = descriptor_pool().get_extension_by_name(&format!("userpool.v1.{option}"));
    extension.is_some_and(|extension| field.options().get_extension(&extension).as_bool().unwrap_or(false))
}

/// Whether a field of a message is a member of the JSON at this door.
pub fn is_member(field: &FieldDescriptor) -> bool {
    !flag(field, "names_empty")
}

/// The field of a message that names the lists and maps that are empty on purpose.
fn naming_field(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message.fields().find(|field| !is_member(field))
}

fn message(name: &str) -> Result<MessageDescriptor, Error> {
    let message = descriptor_pool().get_message_by_name(name);
    message.ok_or_else(|| Error::internal(format!("no descriptor of {name}")))
}

fn success(body: Vec<u8>, request_id: &str) -> Response {
    respond(StatusCode::OK, body, request_id)
}

fn refusal(error: &Error, request_id: &str) -> Response {
    let name = error.exception.name();
    let body = serde_json::json!({ "__type": name, "message": error.message }).to_string();
    let mut response = respond(status::http_status(error.exception), body.into_bytes(), request_id);
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(name));
    if let Ok(message) = HeaderValue::from_str(&error.message) {
        response.headers_mut().insert("x-amzn-errormessage", message);
    }
    response
}

fn respond(status: StatusCode, body: Vec<u8>, request_id: &str) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}
