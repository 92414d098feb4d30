//! An app client with a given id.

use std::sync::Arc;

use crate::app::app_client::create_user_pool_client;
use crate::app::app_client::update_user_pool_client::update_user_pool_client;
use crate::app::attempts::settled;
use crate::app::caller::Caller;
use crate::app::seed::{COLLISION, refused_id};
use crate::app::{App, Failure, clients};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{CreateUserPoolClientRequest, UpdateUserPoolClientRequest};
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::StoreError;
use crate::store::read::Wanted;

/// An app client as the seed describes it.
pub struct SeededClient {
    /// The pool that the client belongs to.
    pub pool_id: UserPoolId,
    /// The client's id, as the seed gives it.
    pub id: ClientId,
    /// The request that creates the client.
    pub create: CreateUserPoolClientRequest,
    /// The request that changes an existing client to the same settings.
    pub update: UpdateUserPoolClientRequest,
}

/// Creates the client, or changes settings that differ, as UpdateUserPoolClient does.
pub async fn seed_client(app: &App, caller: &Caller, wanted: &SeededClient) -> Result<(), Error> {
    let found = settled(COLLISION, || find_or_create(app, caller, wanted))
        .await
        .map_err(|error| refused_id(error, "The id of the client"))?;
    let Some((pool, client)) = found else { return Ok(()) };
    refuse_other_secret(&pool, &client, wanted)?;
    settled(COLLISION, || update_user_pool_client(app, caller, &wanted.update)).await.map(drop)
}

/// The client, if it existed already.
async fn find_or_create(
    app: &App,
    caller: &Caller,
    wanted: &SeededClient,
) -> Result<Option<(Arc<PoolView>, Arc<ClientView>)>, Failure> {
    let found = match app.store.read(&wanted.pool_id, Some(&wanted.id), Wanted::default()).await {
        Ok(found) => found.client.map(|client| (found.pool, client)),
        Err(StoreError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if found.is_none() {
        create_user_pool_client::create(app, caller, &wanted.create, wanted.id.clone()).await?;
    }
    Ok(found)
}

/// The secret of an existing client can't be changed.
fn refuse_other_secret(pool: &PoolView, client: &ClientView, wanted: &SeededClient) -> Result<(), Error> {
    let secret = clients::secret(pool, &client.state)?;
    let is_other = match &wanted.create.client_secret {
        Some(given) => secret.as_ref() != Some(given),
        None => secret.is_some() != wanted.create.generate_secret(),
    };
    if is_other {
        let message = "ClientSecret and GenerateSecret of a client that is there can't be changed.";
        return Err(Error::invalid_parameter(message));
    }
    Ok(())
}
