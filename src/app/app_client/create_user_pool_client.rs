//! CreateUserPoolClient.

use crate::app::caller::Caller;
use crate::app::{App, Failure, clients, shapes};
use crate::domain::app_client::create_user_pool_client::{self as rules, CreateUserPoolClient};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{CreateUserPoolClientRequest, CreateUserPoolClientResponse};
use crate::store::commit::{Commit, Counted, NewClient};
use crate::store::read::Wanted;

const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 26;
const SECRET_LENGTH: usize = 51;

/// Creates an app client, with a generated or a given secret, or without one.
pub async fn create_user_pool_client(
    app: &App,
    caller: &Caller,
    request: &CreateUserPoolClientRequest,
) -> Result<CreateUserPoolClientResponse, Failure> {
    create(app, caller, request, ClientId::new(app.random.text(ALPHABET, ID_LENGTH))).await
}

/// Creates an app client with this id. Collides if another client has or had the id.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: &CreateUserPoolClientRequest,
    id: ClientId,
) -> Result<CreateUserPoolClientResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&pool_id, None, Wanted::default()).await?.pool;
    let secret = secret_for(app, request)?;
    let client_secret = secret.map(|secret| clients::seal_secret(app, &pool_id, &pool.keys, &id, &secret));
    let command = CreateUserPoolClient { client_secret, request: request.clone() };
    let decision = rules::create_user_pool_client(&pool.state, command);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now())
        .decided_from(&pool, None)
        .at_most(app.settings.counts.clients_per_pool, Counted::Clients);
    let settlement = commit.decided_showing(&NewClient(&id), decision, |client| {
        Ok(CreateUserPoolClientResponse { user_pool_client: Some(shapes::user_pool_client(&pool, client)?) })
    });
    app.store.settle(settlement).await
}

fn secret_for(app: &App, request: &CreateUserPoolClientRequest) -> Result<Option<String>, Error> {
    match (&request.client_secret, request.generate_secret()) {
        (Some(_), true) => Err(Error::invalid_parameter("ClientSecret and GenerateSecret can't both be given.")),
        (Some(given), false) => Ok(Some(given.clone())),
        (None, true) => Ok(Some(app.random.text(ALPHABET, SECRET_LENGTH))),
        (None, false) => Ok(None),
    }
}
