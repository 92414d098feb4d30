//! The console calls operations through the pipeline as every caller does, as an account that may only read.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::Value;

use crate::api::aws_json::encode::encode;
use crate::api::context::Context;
use crate::api::http::dev::Failed;
use crate::api::operation::Request;
use crate::api::pipeline;
use crate::app::App;
use crate::app::caller::{Caller, Credential, Developer};
use crate::domain::error::Error;
use crate::domain::ids::AccessKeyId;
use crate::proto::descriptor_pool;
use crate::store::service_accounts::{Role, ServiceAccount};

/// Most items on a page of a list.
pub(super) const PAGE: i32 = 25;

/// The answer of an operation that only reads.
pub(super) async fn ask<Req: Request>(app: &Arc<App>, request: Req) -> Result<Req::Response, Failed> {
    let operation = Req::OPERATION;
    let caller = Caller {
        developer: Some(Developer { account: reader(app), credential: Credential::Secret }),
        address: None,
        request_id: app.random.uuid().to_string(),
        trace_context: None,
        region: None,
        patience: None,
        operation: operation.info().name,
        idempotency_key: None,
        command: None,
        asked: Default::default(),
    };
    let context = Context { operation, app: app.clone(), caller };
    let answer = pipeline::call(context, Bytes::from(request.encode_to_vec())).await?;
    Req::Response::decode(answer).map_err(|error| Failed(Error::internal(error)))
}

/// An account that is in no table: the pipeline allows it to read, and nothing else.
fn reader(app: &App) -> ServiceAccount {
    ServiceAccount {
        access_key_id: AccessKeyId::new("console"),
        name: "the development console".to_owned(),
        role: Role::ReadOnly,
        user_pool_ids: Vec::new(),
        created_at: app.clock.now(),
        revoked_at: None,
    }
}

/// The response of an operation, in Cognito's names.
pub(super) fn answer<Req: Request>(response: &Req::Response) -> Result<Value, Failed> {
    let name = Req::OPERATION.info().response;
    let descriptor = descriptor_pool().get_message_by_name(name);
    let descriptor = descriptor.ok_or_else(|| Error::internal(format!("no descriptor of {name}")))?;
    let message = DynamicMessage::decode(descriptor, response.encode_to_vec().as_slice()).map_err(Error::internal)?;
    Ok(encode(&message))
}
