//! CreateUserPool.

use std::sync::Arc;

use crate::app::caller::Caller;
use crate::app::user_pool::mfa_mode;
use crate::app::{App, Failure, shapes};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::create_user_pool::{self as rules, CreateUserPool};
use crate::domain::user_pool::{NameRules, TokenUse, settings};
use crate::proto::events::SigningKeyAdded;
use crate::proto::v1::{CreateUserPoolRequest, CreateUserPoolResponse};
use crate::store::commit::{Commit, NewPool, OperationalRow};
use crate::store::error::StoreError;
use crate::store::keys::{PoolKeys, WrappedKey};
use crate::tokens::signing_keys;

const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 9;

/// A new pool's id and keys.
pub struct Prepared {
    id: UserPoolId,
    made: MadeKeys,
}

/// Makes the keys of a pool with a new id.
pub async fn prepare(app: &App, caller: &Caller, _: &CreateUserPoolRequest) -> Result<Prepared, Failure> {
    let region = caller.region.as_deref().unwrap_or(&app.identity.region);
    prepare_with(app, UserPoolId::new(format!("{region}_{}", app.random.text(ID_ALPHABET, ID_LENGTH)))).await
}

/// Makes the keys of a pool with this id.
pub(crate) async fn prepare_with(app: &App, id: UserPoolId) -> Result<Prepared, Failure> {
    Ok(Prepared { made: make_keys(app, &id).await?, id })
}

/// Creates a user pool with its keys. Collides if another pool has or had the id.
pub async fn create_user_pool(
    app: &App,
    caller: &Caller,
    request: &CreateUserPoolRequest,
    Prepared { id, made }: &Prepared,
) -> Result<CreateUserPoolResponse, Failure> {
    mfa_mode::may_be(app, request.mfa_configuration.as_deref()).await?;
    settings::check_user_migration(request.lambda_config.as_ref(), app.settings.sends_passwords)?;
    let at = app.clock.now();
    let decision = rules::create_user_pool(CreateUserPool {
        region: id.region().to_owned(),
        account_id: app.identity.account_id.clone(),
        issuer: format!("{}/{id}", app.identity.public_url),
        signing_keys: made.signing_keys.clone(),
        at,
        most_custom_attributes: app.settings.counts.custom_attributes_per_pool,
        request: request.clone(),
    });
    let origin = caller.developer_origin();
    // The pool has no users yet, so the rules for names don't matter.
    let commit = Commit::about_new_pool(id, &made.keys, NameRules::default(), &origin, at)
        .operational(made.wrapped.iter().cloned().map(OperationalRow::Key));
    let settlement = commit.decided_showing(&NewPool, decision, |pool| {
        Ok(CreateUserPoolResponse { user_pool: Some(shapes::user_pool(id, pool, 0)) })
    });
    app.store.settle(settlement).await.map_err(|failure| match failure {
        // Nothing that was read can be stale: the id is taken, and the next try uses another.
        Failure::Store(StoreError::Stale) => Failure::Outdated,
        failure => failure,
    })
}

struct MadeKeys {
    keys: Arc<PoolKeys>,
    wrapped: Vec<WrappedKey>,
    signing_keys: Vec<SigningKeyAdded>,
}

/// Makes the keys of a pool, off the threads of the runtime.
async fn make_keys(app: &App, id: &UserPoolId) -> Result<MadeKeys, Error> {
    let (keys, wrapped) = app.store.generate_pool_keys(id);
    let keys = Arc::new(keys);
    let (id, random, sealing) = (id.clone(), app.random.clone(), keys.clone());
    let made = tokio::task::spawn_blocking(move || {
        let make = |purpose| signing_keys::generate(&id, &sealing, purpose, &random);
        Ok::<_, signing_keys::SigningFailed>(vec![make(TokenUse::Id)?, make(TokenUse::Access)?])
    });
    let signing_keys = made.await.map_err(Error::internal)?.map_err(Error::internal)?;
    Ok(MadeKeys { keys, wrapped, signing_keys })
}
