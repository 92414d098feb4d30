//! The path of every operation at every door.
//!
//! Read the bounded body, authenticate, decode, check the declared constraints, authorize against the pool that the
//! message names, run, map the error. The doors do the first and the last; [`call`] does what needs no message type,
//! `run` the rest.

use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;

use crate::api::checks::{self, Check};
use crate::api::context::Context;
use crate::api::once;
use crate::api::operation::{COMMON_EXCEPTIONS, Operation, Request, UseCase};
use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, UserPoolId};
use crate::limits::Network;
use crate::limits::quotas::Payer;
use crate::proto::events::DeveloperCallRefused;
use crate::proto::events::developer_activity::Activity;
use crate::proto::userpool::v1::Authorization;
use crate::store::service_accounts::{Role, ServiceAccount};
use crate::telemetry::metrics;

include!(concat!(env!("OUT_DIR"), "/dispatch.rs"));

/// Runs a call of an authenticated caller. The body is the encoded request message; the result is the encoded response.
pub async fn call(context: Context, body: Bytes) -> Result<Bytes, Error> {
    let (operation, app, caller) = (context.operation, context.app.clone(), context.caller.clone());
    match dispatch(context, body).await {
        Err(error) => {
            let error = declared(operation, error);
            refused(&app, &error, &caller).await;
            Err(error)
        }
        answer => answer,
    }
}

/// Handles every refusal, also that of a call that a door refused: logs internal errors, and records in `activity` which
/// developer was refused.
pub async fn refused(app: &App, error: &Error, caller: &Caller) {
    match error.exception {
        // No failure: what it is was told once, where it was decided.
        Exception::ServiceUnavailableException if error.cause.is_none() => {}
        Exception::InternalErrorException | Exception::ServiceUnavailableException => {
            let cause = error.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(exception = error.exception.name(), cause, "a call failed");
        }
        Exception::AccessDeniedException
        | Exception::InvalidSignatureException
        | Exception::UnrecognizedClientException => record_refusal(app, error, caller).await,
        _ => {}
    }
}

/// The part that needs the operation's type. The generated dispatch calls it.
pub(crate) async fn run<Req: UseCase + Check>(mut context: Context, body: Bytes) -> Result<Bytes, Error> {
    let request: Req = admit(&context, body)?;
    spend_quota(&context, &request).await?;
    let is_command = Req::OPERATION.info().is_developer_command();
    if is_command && let Some(answer) = once::begin(&mut context, &request).await? {
        return Ok(answer);
    }
    let answer = request.run(&context.app, &context.caller).await.map(|answer| answer.encode_to_vec().into());
    if is_command { once::end(&context, answer).await } else { answer }
}

/// The steps between the body and the use case.
fn admit<Req: Request + Check>(context: &Context, body: Bytes) -> Result<Req, Error> {
    let mut request = Req::decode(body).map_err(|_| {
        Error::new(Exception::SerializationException, "The request is not a message of the operation's type.")
    })?;
    checks::check(&request, context.app.settings.in_development)?;
    request.drop_doubles();
    authorize(Req::OPERATION, context.caller.account(), request.user_pool_id())?;
    Ok(request)
}

/// Counts a call against the quota of its category and pool. A pool counts only if the caller proves to have to do with
/// it: naming a pool does not use up its quota.
pub(crate) async fn spend_quota<Req: Request>(context: &Context, request: &Req) -> Result<(), Error> {
    let Context { app, operation, caller } = context;
    if app.limits.quotas.are_off() {
        return Ok(());
    }
    let stranger = || Payer::Network(Network::from(caller.address));
    let (pool, payer) = match (request.user_pool_id(), request.client_id(), request.access_token()) {
        _ if operation.info().authorization == Authorization::Developer => {
            // Without a pool, the call is about all pools, or creates one.
            (request.user_pool_id().unwrap_or_default().to_owned(), Payer::ServiceAccount)
        }
        (_, Some(client), _) => match app.store.pool_of_client(&ClientId::new(client)).await {
            Ok(pool) => (pool.to_string(), stranger()),
            // The operation itself answers what is wrong.
            Err(_) => return Ok(()),
        },
        (_, None, Some(token)) => match app.access_tokens.verify(&app.store, token, app.clock.now()).await {
            Ok(token) => (token.pool_id.to_string(), Payer::User(token.sub)),
            Err(_) => return Ok(()),
        },
        (pool, None, None) => (pool.unwrap_or_default().to_owned(), stranger()),
    };
    let info = operation.info();
    let answers = matches!(operation, Operation::RespondToAuthChallenge | Operation::AdminRespondToAuthChallenge);
    app.limits.quotas.spend(info.quota, answers, &payer, &pool).map_err(|wait| {
        metrics::QUOTA_EXCEEDED.add(1, [info.quota.as_str_name()]);
        Error::rate_exceeded(wait)
    })
}

/// Whether a service account may call this operation on that pool.
fn authorize(operation: Operation, account: Option<&ServiceAccount>, pool: Option<&str>) -> Result<(), Error> {
    let info = operation.info();
    if info.authorization != Authorization::Developer {
        return Ok(());
    }
    let Some(account) = account else {
        return Err(Error::no_credential());
    };
    let allowed = match account.role {
        Role::Admin => true,
        Role::ReadOnly => info.read,
        Role::PoolAdmin => match pool {
            Some(pool) => account.user_pool_ids.contains(&UserPoolId::new(pool)),
            // Without a pool only the list is allowed, which shows the account's own pools.
            None => operation == Operation::ListUserPools,
        },
    };
    if allowed {
        return Ok(());
    }
    let id = &account.access_key_id;
    let resource = pool.unwrap_or("*");
    Err(Error::new(
        Exception::AccessDeniedException,
        format!("Service account {id} is not authorized to perform cognito-idp:{} on user pool {resource}", info.name),
    ))
}

/// An error that the operation does not list is our fault.
fn declared(operation: Operation, error: Error) -> Error {
    let info = operation.info();
    if info.errors.contains(&error.exception) || COMMON_EXCEPTIONS.contains(&error.exception) {
        return error;
    }
    // Limits are the same for all operations, but the exception differs by operation.
    if error.exception == Exception::LimitExceededException {
        return Error { exception: Exception::TooManyRequestsException, ..error };
    }
    tracing::error!(exception = error.exception.name(), "an exception that the operation does not list");
    metrics::UNDECLARED_EXCEPTIONS.add(1, [info.name]);
    Error::internal(error)
}

/// Records the refusal of a call that named a service account of ours. Only a few a minute: anyone can name an account.
async fn record_refusal(app: &App, error: &Error, caller: &Caller) {
    let Some(account) = caller.account() else { return };
    let Some(left_out) = app.refusals.take(&account.access_key_id, error.exception) else {
        metrics::UNRECORDED_REFUSALS.add(1, [error.exception.name()]);
        return;
    };
    let fact = Activity::CallRefused(DeveloperCallRefused {
        operation: caller.operation.to_owned(),
        exception: error.exception.name().to_owned(),
        access_key_id: Some(account.access_key_id.to_string()),
        left_out: (left_out > 0).then_some(left_out),
    });
    if let Err(error) = app.store.record(account.access_key_id.as_str(), &caller.developer_origin(), &fact).await {
        tracing::warn!(%error, "the refusal of a developer call can't be recorded");
    }
}
