//! CreateUserPool.

use std::sync::Arc;

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::create_user_pool::{self as rules, CreateUserPool};
use crate::domain::user_pool::{NameRules, TokenUse};
use crate::proto::events::SigningKeyAdded;
use crate::proto::v1::{CreateUserPoolRequest, CreateUserPoolResponse};
use crate::store::commit::{Commit, NewPool, OperationalRow};
use crate::store::keys::{PoolKeys, WrappedKey};
use crate::tokens::signing_keys;

const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 9;

/// Creates a user pool with its keys.
pub async fn create_user_pool(
    app: &App,
    caller: &Caller,
    request: CreateUserPoolRequest,
) -> Result<CreateUserPoolResponse, Error> {
    let region = caller.region.as_deref().unwrap_or(&app.identity.region);
    let fresh_id = || UserPoolId::new(format!("{region}_{}", app.random.text(ID_ALPHABET, ID_LENGTH)));
    until_settled!(Exception::TooManyRequestsException, create(app, caller, &request, fresh_id()))
}

/// Creates a user pool of this id. Collides if the id is, or was, another pool's.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: &CreateUserPoolRequest,
    id: UserPoolId,
) -> Result<CreateUserPoolResponse, Failure> {
    let made = make_keys(app, &id).await?;
    let at = app.clock.now();
    let decision = rules::create_user_pool(CreateUserPool {
        region: id.region().to_owned(),
        account_id: app.identity.account_id.clone(),
        issuer: format!("{}/{id}", app.identity.public_url),
        signing_keys: made.signing_keys,
        at,
        most_custom_attributes: app.settings.counts.custom_attributes_per_pool,
        request: request.clone(),
    });
    let origin = caller.developer_origin();
    // Nobody is named in a pool that does not exist yet, so the rules for names are of no account.
    let commit = Commit::about_new_pool(&id, &made.keys, NameRules::default(), &origin, at)
        .operational(made.wrapped.into_iter().map(OperationalRow::Key));
    let settlement = commit.decided_showing(&NewPool, decision, |pool| {
        Ok(CreateUserPoolResponse { user_pool: Some(shapes::user_pool(&id, pool, 0)) })
    });
    app.store.settle(settlement).await
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
