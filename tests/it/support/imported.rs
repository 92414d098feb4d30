//! Users as they come from elsewhere: with a password that is only known as a hash.

use userpool::domain::decision::Decision;
use userpool::domain::ids::UserPoolId;
use userpool::environment::Clock;
use userpool::proto::events::user_event::Event;
use userpool::proto::events::{PasswordChosenBy, UserPasswordChanged};
use userpool::store::commit::Commit;
use userpool::store::metadata::{Actor, ActorKind, Origin};
use userpool::store::read::Wanted;

use super::pool::Pool;
use super::sessions::store;

/// Takes the SRP verifier of a user's password away; the hash stays.
pub async fn without_verifier(pool: &Pool, username: &str) {
    let (store, pool_id) = (store(pool).await, UserPoolId::new(pool.id.as_str()));
    let name = store.pool_hint(&pool_id).await.expect("the pool is there").name_rules.normalise(username);
    let found = store.read(&pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await;
    let found = found.expect("the pool is there");
    let user = found.user.as_ref().expect("the user is there");
    let changed = UserPasswordChanged {
        by: PasswordChosenBy::Administrator.into(),
        password_hash: user.state.password.as_ref().expect("a password").hash.0.clone(),
        srp_verifier: Vec::new(),
    };
    let origin = Origin {
        actor: Actor { kind: ActorKind::Operator, id: String::new(), credential_id: None },
        operation: "test",
        request_id: "request".to_owned(),
        trace_context: None,
        address: None,
        command: None,
        patience: None,
    };
    let decision = Decision::events(vec![Event::PasswordChanged(changed)], ());
    let commit = Commit::about(&found.pool, &origin, Clock.now()).decided(user, decision);
    store.settle(commit).await.expect("nobody else changes the user");
    store.close().await;
}
