//! Checks access tokens: whose they are, before the database is asked whether they are still valid.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use moka::sync::Cache;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::hash::{Sha256, sha256};
use crate::domain::ids::{ClientId, Sub, UserPoolId};
use crate::domain::time::Timestamp;
use crate::domain::user_pool::TokenUse;
use crate::store::Store;
use crate::store::cache::PoolView;
use crate::store::error::{Failure, StoreError};
use crate::store::read::Wanted;
use crate::tokens::issue::SELF_SERVICE_SCOPE;
use crate::tokens::signing_keys::PublicKeys;

/// An access token with a valid signature that has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The pool that signed it.
    pub pool_id: UserPoolId,
    /// The user whom it is about.
    pub sub: Sub,
    /// The client that it was issued for.
    pub client_id: ClientId,
    /// The session that it belongs to: its `event_id`.
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

/// Checks access tokens, and remembers those with valid signatures, because an app uses one token for an hour.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: PublicKeys,
    /// By the SHA-256 of the token.
    signed: Cache<Sha256, Arc<Signed>>,
}

/// The content of a token with a valid signature. Whether it has expired is checked later.
#[derive(Clone, Debug)]
struct Signed {
    token: AccessToken,
    /// When it expires, in seconds since 1970.
    exp: i64,
}

/// The most tokens that are remembered.
const CAPACITY: u64 = 20_000;

impl Default for Verifier {
    fn default() -> Self {
        Self { keys: PublicKeys::default(), signed: Cache::new(CAPACITY) }
    }
}

impl Verifier {
    /// Parses a token and checks its signature, issuer, use, scope and time. Needs no query once the pool is cached.
    pub async fn verify(&self, store: &Store, token: &str, at: Timestamp) -> Result<AccessToken, Failure> {
        let hash = sha256(token.as_bytes());
        let signed = match self.signed.get(&hash) {
            Some(signed) => signed,
            None => {
                let signed = Arc::new(self.read(store, token).await?);
                self.signed.insert(hash, signed.clone());
                signed
            }
        };
        Ok(signed.at(at)?)
    }

    async fn read(&self, store: &Store, token: &str) -> Result<Signed, Failure> {
        // Decoded once: the signature of these same bytes is checked below.
        let unverified = jsonwebtoken::dangerous::insecure_decode::<Claims>(token).map_err(|_| invalid())?;
        let (header, claims) = (unverified.header, unverified.claims);
        let kid = header.kid.ok_or_else(invalid)?;
        if header.alg != Algorithm::RS256 {
            return Err(invalid().into());
        }
        // The issuer only says where to look for the key; the signature proves it.
        let pool_id = claims.iss.rsplit_once('/').and_then(|(_, id)| UserPoolId::parse(id)).ok_or_else(invalid)?;
        let mut pool = store.pool_hint(&pool_id).await.map_err(unless_missing)?;
        if !pool.state.signing_keys.iter().any(|key| key.kid == kid) {
            // Keys are added during a pool's life: an unknown one may be new.
            pool = store.read(&pool_id, None, Wanted::default()).await.map_err(unless_missing)?.pool;
        }
        self.check_signature(&pool, &kid, token)?;
        Ok(check(claims, pool_id, &pool.state.issuer)?)
    }

    /// Checks that a key of the pool signed the token. There is only one algorithm, whatever the header says.
    fn check_signature(&self, pool: &PoolView, kid: &str, token: &str) -> Result<(), Error> {
        let key = pool.state.signing_keys.iter().find(|key| key.kid == kid && key.purpose == TokenUse::Access);
        let key = key.ok_or_else(invalid)?;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid())?;
        if self.keys.has_signed(key, signed.as_bytes(), &signature)? { Ok(()) } else { Err(invalid()) }
    }
}

/// The content of a token whose signature is valid. A pool's issuer never changes.
fn check(claims: Claims, pool_id: UserPoolId, issuer: &str) -> Result<Signed, Error> {
    if claims.iss != issuer || claims.token_use != TokenUse::Access.name() {
        return Err(invalid());
    }
    if claims.scope.split(' ').all(|scope| scope != SELF_SERVICE_SCOPE) {
        return Err(Error::not_authorized("Access Token does not have required scopes"));
    }
    let (sub, client_id) = (Sub(claims.sub), ClientId::new(claims.client_id));
    Ok(Signed { token: AccessToken { pool_id, sub, client_id, session: claims.event_id }, exp: claims.exp })
}

impl Signed {
    fn at(&self, at: Timestamp) -> Result<AccessToken, Error> {
        if at.seconds() >= self.exp {
            return Err(Error::not_authorized("Access Token has expired"));
        }
        Ok(self.token.clone())
    }
}

fn unless_missing(error: StoreError) -> Failure {
    if matches!(error, StoreError::NotFound(_)) { invalid().into() } else { error.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::error::Exception;
    use crate::environment::Random;
    use crate::store::keys::MasterKeys;

    /// The refusal by a store without a database, to show that invalid tokens are refused without one.
    fn refusal(token: &str) -> Exception {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nowhere = sqlx::PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
            let keys = MasterKeys::parse(&MasterKeys::generate_line("test", &Random::default())).unwrap();
            let store = Store::new(nowhere, Arc::new(keys));
            match Verifier::default().verify(&store, token, Timestamp(0)).await.unwrap_err() {
                Failure::Refused(refused) => refused.exception,
                failure => panic!("{failure:?}"),
            }
        })
    }

    fn token(header: &serde_json::Value, claims: &serde_json::Value, signature: &str) -> String {
        format!(
            "{}.{}.{signature}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    }

    #[test]
    fn a_token_without_a_part_is_refused_without_the_database() {
        let id = "9f3c1b0a-0000-4000-8000-000000000000";
        let claims = json!({
            "sub": id, "iss": "none", "client_id": "c", "token_use": "access", "event_id": id, "exp": 1,
        });
        for (header, claims) in [
            (json!({ "alg": "RS256" }), claims.clone()),
            (json!({ "alg": "none", "kid": "k" }), claims.clone()),
            (json!({ "alg": "RS256", "kid": "k" }), claims.clone()),
            (json!({ "alg": "RS256", "kid": "k" }), json!({ "iss": "http://127.0.0.1/us-east-1_a" })),
            (json!({ "alg": "RS256", "kid": 1 }), claims.clone()),
            (json!([]), json!([])),
        ] {
            assert_eq!(refusal(&token(&header, &claims, "")), Exception::NotAuthorizedException, "{header} {claims}");
            assert_eq!(
                refusal(&token(&header, &claims, "AAAA")),
                Exception::NotAuthorizedException,
                "{header} {claims}"
            );
        }
    }

    fn claims(change: impl Fn(&mut serde_json::Value)) -> Claims {
        let id = "9f3c1b0a-0000-4000-8000-000000000000";
        let mut claims = json!({
            "sub": id, "iss": "http://127.0.0.1/us-east-1_a", "client_id": "c", "token_use": "access", "event_id": id,
            "scope": format!("openid {SELF_SERVICE_SCOPE}"), "exp": 1_000,
        });
        change(&mut claims);
        serde_json::from_value(claims).unwrap()
    }

    /// The result for the pool `us-east-1_a` at this second.
    fn checked(claims: Claims, second: i64) -> Result<AccessToken, String> {
        let pool_id = UserPoolId::new("us-east-1_a");
        check(claims, pool_id, "http://127.0.0.1/us-east-1_a")
            .and_then(|signed| signed.at(Timestamp(0).plus_seconds(second)))
            .map_err(|error| error.message.into_owned())
    }

    #[test]
    fn a_token_expires_at_its_second() {
        assert_eq!(checked(claims(|_| ()), 999).unwrap().client_id, ClientId::new("c"));
        for second in [1_000, 1_001] {
            assert_eq!(checked(claims(|_| ()), second).unwrap_err(), "Access Token has expired");
        }
    }

    #[test]
    fn a_token_for_something_else_is_refused() {
        for (name, other) in [("token_use", "id"), ("iss", "http://127.0.0.1/us-east-1_b")] {
            let claims = claims(|claims| claims[name] = json!(other));
            assert_eq!(checked(claims, 0).unwrap_err(), "Invalid Access Token", "{name}");
        }
        for scope in ["openid", ""] {
            let claims = claims(|claims| claims["scope"] = json!(scope));
            assert_eq!(checked(claims, 0).unwrap_err(), "Access Token does not have required scopes", "{scope}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_refused(text in "\\PC{0,80}", form in "[A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,40}") {
            prop_assert_eq!(refusal(&text), Exception::NotAuthorizedException);
            prop_assert_eq!(refusal(&form), Exception::NotAuthorizedException);
        }
    }
}
