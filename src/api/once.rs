//! Commands that their caller names by `idempotency-key` run once: for a day, the same caller, operation and key get
//! the stored answer.
//!
//! A refusal is not stored: it has changed nothing that counts, and a retry may find its cause gone.

use bytes::Bytes;

use crate::api::context::Context;
use crate::api::operation::Request;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::store::answers::{IdempotencyKey, NamedCommand};

/// Before a developer's command: the stored answer, if there is one.
pub(crate) async fn begin<Req: Request>(context: &mut Context, request: &Req) -> Result<Option<Bytes>, Error> {
    let Some(key) = &context.caller.idempotency_key else { return Ok(None) };
    let key = IdempotencyKey::parse(key).ok_or_else(|| {
        Error::invalid_parameter("The idempotency-key must be given once, with 1 to 128 visible characters of ASCII.")
    })?;
    // `admit` has refused a command without an account.
    let Some(account) = context.caller.account() else { return Ok(None) };
    let command = NamedCommand::new(
        account.access_key_id.clone(),
        context.caller.operation,
        key,
        request.user_pool_id().map(UserPoolId::new),
        // Maps are ordered in memory, so that a request has the same bytes at every door.
        &request.encode_to_vec(),
    );
    let stored = context.app.store.stored_answer(&command).await?;
    context.caller.command = Some(command);
    stored.map(|stored| stored.given_again().map(Bytes::from)).transpose()
}

/// After a developer's command: the answer for its caller.
pub(crate) async fn end(context: &Context, answer: Result<Bytes, Error>) -> Result<Bytes, Error> {
    let Some(command) = &context.caller.command else { return answer };
    match answer {
        Ok(answer) if command.is_stored() => Ok(answer),
        Ok(answer) => context.app.store.store_answer(command, answer.into()).await.map(Bytes::from),
        // If the command came twice at once, the other one may have caused this refusal.
        Err(error) => match context.app.store.stored_answer(command).await {
            Ok(Some(stored)) => stored.given_again().map(Bytes::from),
            Ok(None) | Err(_) => Err(error),
        },
    }
}
