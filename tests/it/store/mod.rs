//! The store against a Postgres cluster of its own: the transaction horizon is the cluster's, so no other test may write in it.

mod commits;
mod feed;
mod guards;
mod orders;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use userpool::domain::ids::{StreamId, Sub, UserPoolId};
use userpool::domain::time::Timestamp;
use userpool::domain::user_pool::NameRules;
use userpool::environment::{Clock, Random};
use userpool::proto::events::user_event::Event;
use userpool::proto::events::{
    UserDeleted, UserPersonal, UserPoolCreated, UserSignedOut, UserSignedUp, user_pool_event,
};
use userpool::store::commit::{Commit, LoadedUser, OperationalRow};
use userpool::store::error::StoreError;
use userpool::store::keys::{MasterKeys, PoolKeys};
use userpool::store::metadata::{Actor, ActorKind, Origin};
use userpool::store::{self, Store};

use crate::support::postgres::Postgres;

const TEMPLATE: &str = "migrated";
const CONNECTIONS: u32 = 24;

fn master_keys() -> MasterKeys {
    MasterKeys::parse(&format!("test {}\n", "A".repeat(43) + "=")).expect("32 bytes of zeros")
}

/// The cluster, with a migrated database to copy.
fn cluster() -> &'static Postgres {
    static CLUSTER: OnceLock<Postgres> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Postgres::start();
        cluster.create_database(TEMPLATE);
        let url = cluster.url(TEMPLATE);
        let migrated = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let store = Store::new(
                    store::connect(&url, 1, store::ConnectionRole::Api).await.expect("a database"),
                    Arc::new(master_keys()),
                );
                store.migrate().await.expect("migrations run");
                store.database().close().await;
            });
        });
        migrated.join().expect("the template is migrated");
        cluster
    })
}

/// A database of its own for one test.
struct Database {
    store: Store,
    url: String,
}

impl Database {
    async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("store_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let created = name.clone();
        let url = tokio::task::spawn_blocking(move || {
            cluster().create_database_from_template(&created, TEMPLATE);
            cluster().url(&created)
        });
        let url = url.await.expect("a database");
        let store = Store::new(
            store::connect(&url, CONNECTIONS, store::ConnectionRole::Api).await.expect("a connection"),
            Arc::new(master_keys()),
        );
        store.make_partitions(Clock.now()).await.expect("partitions");
        Self { store, url }
    }

    fn sql(&self) -> &PgPool {
        self.store.database()
    }
}

fn origin() -> Origin {
    Origin {
        actor: Actor { kind: ActorKind::Operator, id: String::new(), credential_id: None },
        operation: "test",
        request_id: "request".to_owned(),
        traceparent: None,
        address: None,
    }
}

/// A pool in which users can be made.
struct Pool {
    store: Store,
    id: UserPoolId,
    keys: Arc<PoolKeys>,
    random: Random,
}

impl Pool {
    async fn create(store: &Store) -> Self {
        let random = Random::default();
        let id = UserPoolId::new(format!("us-east-1_{}", random.text(b"abcdefghijklmnopqrstuvwxyz", 9)));
        let (keys, wrapped) = store.generate_pool_keys(&id);
        let pool = Self { store: store.clone(), id, keys: Arc::new(keys), random };
        let created =
            user_pool_event::Event::Created(UserPoolCreated { name: "pool".to_owned(), ..Default::default() });
        let commit = pool.commit().new_pool(vec![created]).operational(wrapped.into_iter().map(OperationalRow::Key));
        store.commit(commit).await.expect("the pool is stored");
        pool
    }

    fn commit(&self) -> Commit {
        Commit::new(&self.id, &self.keys, &NameRules::default(), &origin(), self.now())
    }

    fn now(&self) -> Timestamp {
        Clock.now()
    }

    /// A user of a name, committed.
    async fn user(&self, name: &str) -> Result<LoadedUser, StoreError> {
        let sub = Sub(self.random.uuid());
        let (key, wrapped) = self.keys.generate_user_key(sub.to_string(), &self.random);
        let event = Event::SignedUp(signed_up(name));
        let commit = self.commit().new_user(sub, &key, vec![event.clone()]).operational([OperationalRow::Key(wrapped)]);
        self.store.commit(commit).await?;
        let state = userpool::domain::decision::replay(None, &StreamId::user(sub), [(&event, self.now())]);
        Ok(LoadedUser { state: state.expect("a user who signed up"), version: 1, key })
    }
}

fn signed_up(name: &str) -> UserSignedUp {
    let attributes = [("email".to_owned(), format!("{name}@example.com"))].into();
    UserSignedUp {
        personal: Some(UserPersonal { username: Some(name.to_owned()), attributes }),
        client_id: None,
        password_hash: vec![1],
        srp_verifier: vec![2],
    }
}

fn signed_out(token_generation: i64) -> Event {
    Event::SignedOut(UserSignedOut { token_generation })
}

fn deleted() -> Event {
    Event::Deleted(UserDeleted {})
}
