//! Sessions whose time is over: nobody waits for it. They are opened and sealed again with the keys of the scenarios.

use std::sync::Arc;

use userpool::domain::auth::session::ChallengeSession;
use userpool::domain::auth::sign_up_session::SignUpSession;
use userpool::domain::ids::UserPoolId;
use userpool::environment::{Clock, Random};
use userpool::store::cache::PoolView;
use userpool::store::keys::MasterKeys;
use userpool::store::{ConnectionRole, Store, connect};
use userpool::tokens::{challenge_token, secret_block, sign_up_token};

use super::pool::Pool;

/// The store with its keys, as a process has it.
pub async fn store(pool: &Pool) -> Store {
    let environment = pool.api.environment();
    let master = MasterKeys::read(&environment.master_keys_file).expect("the scenarios' keys");
    let database = connect(&environment.database_url(), 1, ConnectionRole::Api).await.expect("a database");
    Store::new(database, Arc::new(master))
}

/// The pool with its keys, as a process has them.
async fn view(pool: &Pool) -> Arc<PoolView> {
    let store = store(pool).await;
    let view = store.pool_hint(&UserPoolId::new(pool.id.as_str())).await.expect("the pool is there");
    store.close().await;
    view
}

/// The `Session` of a challenge, whose time was over a second ago.
pub async fn expired(pool: &Pool, token: &str) -> String {
    let view = view(pool).await;
    let session = challenge_token::open(&view.id, &view.keys, token).expect("a session of the pool");
    let over = ChallengeSession { expires_at: Clock.now().plus_seconds(-1), ..session };
    challenge_token::seal(&view.id, &view.keys, &over, &Random::default()).expect("a session")
}

/// The same for a SECRET_BLOCK.
pub async fn expired_block(pool: &Pool, block: &str) -> String {
    let view = view(pool).await;
    let session = secret_block::open(&view.id, &view.keys, block).expect("a block of the pool").session;
    let over = ChallengeSession { expires_at: Clock.now().plus_seconds(-1), ..session };
    secret_block::seal(&view.id, &view.keys, &over, &Random::default()).expect("a block")
}

/// The same for the `Session` of a sign-up.
pub async fn expired_sign_up(pool: &Pool, token: &str) -> String {
    let view = view(pool).await;
    let session = sign_up_token::open(&view.id, &view.keys, token).expect("a session of the pool");
    let over = SignUpSession { expires_at: Clock.now().plus_seconds(-1), ..session };
    sign_up_token::seal(&view.id, &view.keys, &over, &Random::default()).expect("a session")
}
