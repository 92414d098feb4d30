//! What every operation through an app client begins with: the client's pool, and the proof that it knows its secret.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::domain::app_client::AppClient;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::proto::events::CodePurpose;
use crate::store::cache::{ClientView, PoolView};
use crate::store::keys::PoolKeys;
use crate::store::read::{Snapshot, Wanted};
use crate::store::seal::{FieldClass, Place};

/// The place of a client's secret.
fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::ClientSecret }
}

/// Seals the secret of a new client.
pub fn seal_secret(app: &App, pool: &UserPoolId, keys: &PoolKeys, client: &ClientId, secret: &str) -> Sealed {
    keys.pool.seal(place(pool, &StreamId::client(client)), app.random.uuid(), secret.as_bytes())
}

/// The secret of a client, if it has one.
pub fn secret(pool: &PoolView, client: &AppClient) -> Result<Option<String>, Error> {
    let Some(sealed) = &client.client_secret else { return Ok(None) };
    let opened =
        pool.keys.pool.open(place(&pool.id, &StreamId::client(&client.client_id)), sealed).map_err(Error::internal)?;
    String::from_utf8(opened).map(Some).map_err(Error::internal)
}

/// Checks that a caller knows the client's secret: base64 of HMAC-SHA256 under it over the user's name and the client id.
/// A name may be given in several forms, any of which counts.
pub fn check_secret_hash(
    pool: &PoolView,
    client: &AppClient,
    names: &[&str],
    secret_hash: Option<&str>,
) -> Result<(), Error> {
    let Some(secret) = secret(pool, client)? else { return Ok(()) };
    let id = &client.client_id;
    let Some(given) = secret_hash else {
        return Err(Error::not_authorized(format!(
            "Client {id} is configured with secret but SECRET_HASH was not received"
        )));
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let matches = names.iter().any(|name| {
        let expected = STANDARD.encode(hmac::sign(&key, format!("{name}{id}").as_bytes()));
        bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
    });
    if matches { Ok(()) } else { Err(Error::not_authorized(format!("Unable to verify secret hash for client {id}"))) }
}

/// Checks that a caller knows the client's secret, given as it is.
pub fn check_client_secret(pool: &PoolView, client: &AppClient, given: Option<&str>) -> Result<(), Error> {
    let Some(secret) = secret(pool, client)? else { return Ok(()) };
    let given = given.unwrap_or_default();
    let matches = bool::from(secret.as_bytes().ct_eq(given.as_bytes()));
    if matches { Ok(()) } else { Err(Error::not_authorized("Invalid client secret.")) }
}

/// A call through a client about a user by name, as far as the read: the client has proved itself.
pub struct NamedThroughClient {
    /// What was found; the user only if there is one of that name.
    pub found: Snapshot,
    /// The client.
    pub client: Arc<ClientView>,
}

/// Reads pool, client, user and the user's code for a purpose, and checks the secret hash.
pub async fn named_through_client(
    app: &App,
    pool_id: &UserPoolId,
    client_id: &ClientId,
    username: &str,
    secret_hash: Option<&str>,
    code: CodePurpose,
) -> Result<NamedThroughClient, Error> {
    let named = read_through_client(app, pool_id, client_id, username, code).await?;
    check_secret_hash(&named.found.pool, &named.client.state, &[username], secret_hash)?;
    Ok(named)
}

/// The same, for whoever has something else to prove than the client's secret.
pub async fn read_through_client(
    app: &App,
    pool_id: &UserPoolId,
    client_id: &ClientId,
    username: &str,
    code: CodePurpose,
) -> Result<NamedThroughClient, Error> {
    let name = app.store.pool_hint(pool_id).await?.name_rules.normalise(username);
    let wanted = Wanted { name: Some(&name), code: Some(code), ..Wanted::default() };
    let found = app.store.read(pool_id, Some(client_id), wanted).await?;
    let client = found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?;
    Ok(NamedThroughClient { found, client })
}
