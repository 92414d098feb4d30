//! The JSON Web Key Set of a pool (RFC 7517) and its OpenID configuration.

use serde_json::{Value, json};

use crate::domain::user_pool::UserPool;

/// The public keys of a pool: all keys that sign, will sign, or have signed tokens that may still be valid.
pub fn key_set(pool: &UserPool) -> Value {
    let keys: Vec<_> = pool
        .signing_keys
        .iter()
        .map(|key| json!({ "alg": "RS256", "e": key.e, "kid": key.kid, "kty": "RSA", "n": key.n, "use": "sig" }))
        .collect();
    json!({ "keys": keys })
}

/// The discovery document of a pool. The endpoints of hosted pages will be added when pools have them.
pub fn openid_configuration(pool: &UserPool) -> Value {
    json!({
        "issuer": pool.issuer,
        "jwks_uri": format!("{}/.well-known/jwks.json", pool.issuer),
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "token"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "email", "phone", "profile"],
    })
}
