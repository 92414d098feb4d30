//! CreateUserPoolClient.

use crate::app::caller::Caller;
use crate::app::{App, Failure, clients, shapes, until_settled};
use crate::domain::app_client::AppClient;
use crate::domain::app_client::create_user_pool_client::{self as rules, CreateUserPoolClient};
use crate::domain::decision::replay;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, StreamId, UserPoolId};
use crate::proto::v1::{CreateUserPoolClientRequest, CreateUserPoolClientResponse};
use crate::store::commit::{Commit, Counted};
use crate::store::read::Wanted;

const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 26;
const SECRET_LENGTH: usize = 51;

/// Creates an app client, with a secret if one is asked for or given.
pub async fn create_user_pool_client(
    app: &App,
    caller: &Caller,
    request: CreateUserPoolClientRequest,
) -> Result<CreateUserPoolClientResponse, Error> {
    let fresh_id = || ClientId::new(app.random.text(ALPHABET, ID_LENGTH));
    until_settled!(Exception::TooManyRequestsException, create(app, caller, &request, fresh_id()))
}

/// Creates an app client of this id. Collides if the id is, or was, another client's.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: &CreateUserPoolClientRequest,
    id: ClientId,
) -> Result<CreateUserPoolClientResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&pool_id, None, Wanted::default()).await?.pool;
    let secret = secret_for(app, request)?;
    let at = app.clock.now();
    let client_secret = secret.map(|secret| clients::seal_secret(app, &pool_id, &pool.keys, &id, &secret));
    let command = CreateUserPoolClient { client_secret, request: request.clone() };
    let decision = rules::create_user_pool_client(&pool.state, command);
    decision.answer?;
    let stream = StreamId::client(&id);
    let client = replay::<AppClient>(None, &stream, decision.events.iter().map(|event| (event, at)));
    let client = client.ok_or_else(|| Error::internal("a client that was created does not exist"))?;
    let answer = CreateUserPoolClientResponse { user_pool_client: Some(shapes::user_pool_client(&pool, &client)?) };
    let commit = Commit::new(&pool_id, &pool.keys, &pool.name_rules, &caller.developer_origin(), at)
        .decided_from(&pool, None)
        .new_client(&id, decision.events)
        .at_most(app.settings.counts.clients_per_pool, Counted::Clients)
        .answering(&answer);
    app.store.commit(commit).await?;
    Ok(answer)
}

fn secret_for(app: &App, request: &CreateUserPoolClientRequest) -> Result<Option<String>, Error> {
    match (&request.client_secret, request.generate_secret()) {
        (Some(_), true) => Err(Error::invalid_parameter("ClientSecret and GenerateSecret can't both be given.")),
        (Some(given), false) => Ok(Some(given.clone())),
        (None, true) => Ok(Some(app.random.text(ALPHABET, SECRET_LENGTH))),
        (None, false) => Ok(None),
    }
}
