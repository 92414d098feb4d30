//! Access tokens as they come back: whose they are, before the database is asked whether they still count.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub, UserPoolId};
use crate::domain::time::Timestamp;
use crate::domain::user_pool::TokenUse;
use crate::store::Store;
use crate::store::cache::PoolView;
use crate::store::read::Wanted;
use crate::tokens::issue::SELF_SERVICE_SCOPE;

/// An access token whose signature and time are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The pool that signed it.
    pub pool_id: UserPoolId,
    /// Whom it is about.
    pub sub: Sub,
    /// The client that it was made for.
    pub client_id: ClientId,
    /// The session that it belongs to.
    pub session: Uuid,
}

#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
    iss: String,
    client_id: String,
    token_use: String,
    event_id: Uuid,
    #[serde(default)]
    scope: String,
    exp: i64,
}

/// The refusal of a text that is no access token of ours.
fn invalid() -> Error {
    Error::not_authorized("Invalid Access Token")
}

/// Reads a token and checks signature, issuer, use, scope and time. Needs no query once its pool is known.
pub async fn verify(store: &Store, token: &str, at: Timestamp) -> Result<AccessToken, Error> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
    let kid = header.kid.ok_or_else(invalid)?;
    let unverified = jsonwebtoken::dangerous::insecure_decode::<Claims>(token).map_err(|_| invalid())?.claims;
    // The issuer only says where to look for the key; the signature says whether that is true.
    let pool_id = unverified.iss.rsplit_once('/').map(|(_, id)| UserPoolId::new(id)).ok_or_else(invalid)?;
    let mut pool = store.pool_hint(&pool_id).await.map_err(unless_missing)?;
    if !pool.state.signing_keys.iter().any(|key| key.kid == kid) {
        // Keys are added while a pool lives: one that is not known here may be new.
        pool = store.read(&pool_id, None, Wanted::default()).await.map_err(unless_missing)?.pool;
    }
    let claims = check_signature(&pool, &kid, token)?;
    let right = claims.iss == pool.state.issuer
        && claims.token_use == TokenUse::Access.name()
        && claims.scope.split(' ').any(|scope| scope == SELF_SERVICE_SCOPE);
    if !right {
        return Err(invalid());
    }
    if at.seconds() >= claims.exp {
        return Err(Error::not_authorized("Access Token has expired"));
    }
    Ok(AccessToken {
        pool_id,
        sub: Sub(claims.sub),
        client_id: ClientId::new(claims.client_id),
        session: claims.event_id,
    })
}

fn unless_missing(error: Error) -> Error {
    use crate::domain::error::Exception::ResourceNotFoundException;
    if error.exception == ResourceNotFoundException { invalid() } else { error }
}

fn check_signature(pool: &PoolView, kid: &str, token: &str) -> Result<Claims, Error> {
    let key = pool.state.signing_keys.iter().find(|key| key.kid == kid && key.purpose == TokenUse::Access);
    let key = key.ok_or_else(invalid)?;
    let key = DecodingKey::from_rsa_components(&key.n, &key.e).map_err(|_| invalid())?;
    let mut validation = Validation::new(Algorithm::RS256);
    // The time is compared by the caller, with the clock that it was given.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let token = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| invalid())?;
    Ok(token.claims)
}
