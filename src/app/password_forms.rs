//! Both forms of a password that is set: the hash, and what SRP needs.

use std::sync::Arc;

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::auth::srp;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::user::Password;
use crate::store::cache::PoolView;
use crate::store::seal::{DataKey, FieldClass, Place};

/// Makes both forms on the bounded threads and seals them under the user's key. The name is the one of SRP: the `sub` where
/// an address is the name.
pub async fn password_forms(
    app: &App,
    caller: &Caller,
    pool: &PoolView,
    key: &Arc<DataKey>,
    sub: Sub,
    username: &str,
    password: &str,
) -> Result<Password, Error> {
    let hash = app.passwords.hash(password, app.random.bytes(), caller.patience).await?;
    let (pool_name, user_id, text, salt) =
        (pool.id.pool_name().to_owned(), username.to_owned(), password.to_owned(), app.random.bytes());
    let verifier =
        app.passwords.work(caller.patience, move || srp::verifier(&pool_name, &user_id, &text, salt)).await?;
    let stream = StreamId::user(sub);
    let seal =
        |class, value: &[u8]| key.seal(Place { pool: &pool.id, stream: &stream, class }, app.random.uuid(), value);
    Ok(Password {
        hash: seal(FieldClass::PasswordHash, hash.as_bytes()),
        srp_verifier: seal(FieldClass::SrpVerifier, &serde_json::to_vec(&verifier).map_err(Error::internal)?),
    })
}
