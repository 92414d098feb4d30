//! The store against a Postgres cluster of its own: the feed waits for all transactions of a cluster, so no other test
//! may write there.

mod answers;
mod codes;
mod commands;
mod commits;
mod connections;
mod crash;
mod deliveries;
mod erasure;
mod feed;
mod groups;
mod guards;
mod mailboxes;
mod orders;
mod prepared;
mod proxy;
mod readers;
mod rebuild;
mod replay;
mod search;
mod tables;
mod turns;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::PgPool;
use userpool::domain::decision::{Aggregate, Decision};
use userpool::domain::ids::{StreamId, Sub, UserPoolId};
use userpool::domain::time::Timestamp;
use userpool::domain::user_pool::NameRules;
use userpool::environment::{Clock, Random};
use userpool::proto::events::user_event::Event;
use userpool::proto::events::{
    UserDeleted, UserPersonal, UserPoolCreated, UserPoolDeleted, UserSignedOut, UserSignedUp, user_pool_event,
};
use userpool::store::cache::PoolView;
use userpool::store::commit::{Commit, NewPool, NewUser, OperationalRow, Settlement, Subject};
use userpool::store::error::{Failure, StoreError};
use userpool::store::keys::{MasterKeys, PoolKeys};
use userpool::store::loaded::LoadedUser;
use userpool::store::metadata::{Actor, ActorKind, Origin};
use userpool::store::{self, Store};

use crate::support::postgres::Postgres;

const TEMPLATE: &str = "migrated";
const CONNECTIONS: u32 = 24;

fn master_keys_text() -> String {
    format!("test {}\n", "A".repeat(43) + "=")
}

fn master_keys() -> MasterKeys {
    MasterKeys::parse(&master_keys_text()).expect("32 bytes of zeros")
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
                store.close().await;
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

    /// The address of the database's server.
    fn address(&self) -> SocketAddr {
        let (_, place) = self.url.split_once('@').expect("a URL with an account");
        place.split('/').next().and_then(|address| address.parse().ok()).expect("an address and a port")
    }

    /// Another store on the database, as another process has it; through a proxy if given.
    async fn another_store(&self, through: Option<SocketAddr>) -> Store {
        let url = match through {
            Some(proxy) => self.url.replace(&self.address().to_string(), &proxy.to_string()),
            None => self.url.clone(),
        };
        let database = store::connect(&url, 8, store::ConnectionRole::Api).await.expect("a connection");
        Store::new(database, Arc::new(master_keys()))
    }

    /// A store on the database for another account, whose password is its name.
    async fn store_of(&self, account: &str) -> Store {
        let (_, place) = self.url.split_once('@').expect("a URL with an account");
        let url = format!("postgres://{account}:{account}@{place}");
        let database = store::connect(&url, 8, store::ConnectionRole::Api).await.expect("a connection");
        Store::new(database, Arc::new(master_keys()))
    }

    /// Waits until this many connections wait for locks; false if the work ends before.
    async fn locked(&self, connections: i64, has_ended: impl Fn() -> bool) -> bool {
        let mut waiting = 0;
        let polled = async {
            while waiting < connections && !has_ended() {
                waiting = sqlx::query_scalar(
                    "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'",
                )
                .fetch_one(self.sql())
                .await
                .expect("Postgres knows");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), polled).await.expect("it waits or ends");
        waiting >= connections
    }

    /// Waits until no transaction is open any more.
    async fn settled(&self) {
        let settled = async || {
            let open: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()",
            )
            .fetch_one(self.sql())
            .await
            .expect("Postgres knows");
            open == 0
        };
        assert!(crate::support::client::eventually(settled).await, "a transaction stays open");
    }

    /// Asserts that log and read models agree, by a store without memory.
    async fn assert_verified(&self) {
        let report = self.another_store(None).await.verify(None).await.expect("the log can be read");
        assert_eq!(report.differences, Vec::<String>::new());
    }
}

/// A transaction of the test itself.
#[expect(clippy::disallowed_methods, reason = "nobody drops it while it begins")]
async fn begin<'a>(
    database: impl sqlx::Acquire<'a, Database = sqlx::Postgres>,
) -> sqlx::Transaction<'a, sqlx::Postgres> {
    database.begin().await.expect("a transaction")
}

fn origin() -> Origin {
    Origin {
        actor: Actor { kind: ActorKind::Operator, id: String::new(), credential_id: None },
        operation: "test",
        request_id: "request".to_owned(),
        trace_context: None,
        address: None,
        command: None,
        patience: None,
    }
}

/// Appends events that no rule has decided.
trait Happens {
    fn happened<S: Subject>(self, subject: &S, events: Vec<<S::State as Aggregate>::Event>) -> Settlement<()>;
}

impl Happens for Commit {
    fn happened<S: Subject>(self, subject: &S, events: Vec<<S::State as Aggregate>::Event>) -> Settlement<()> {
        self.decided(subject, Decision::events(events, ()))
    }
}

/// Commits, and returns the reason of a failure.
trait Commits {
    fn commit(&self, settlement: Settlement<()>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Commits for Store {
    async fn commit(&self, settlement: Settlement<()>) -> Result<(), StoreError> {
        self.settle(settlement).await.map_err(|failure| match failure {
            Failure::Store(error) => error,
            failure => panic!("nothing refuses here: {failure:?}"),
        })
    }
}

/// A pool in which a test can make users.
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
        let commit = pool.commit().operational(wrapped.into_iter().map(OperationalRow::Key));
        store.commit(commit.happened(&NewPool, vec![pool_created()])).await.expect("the pool is stored");
        pool
    }

    fn commit(&self) -> Commit {
        self.commit_at(self.now())
    }

    fn commit_at(&self, at: Timestamp) -> Commit {
        Commit::about_new_pool(&self.id, &self.keys, NameRules::default(), &origin(), at)
    }

    fn now(&self) -> Timestamp {
        Clock.now()
    }

    /// Deletes the pool, if nothing else has happened to it.
    async fn delete(&self) {
        let state = userpool::domain::decision::replay(None, &StreamId::pool(), [(&pool_created(), self.now())]);
        let view = PoolView {
            id: self.id.clone(),
            version: 1,
            state: state.expect("a pool that was created"),
            name_rules: NameRules::default(),
            keys: self.keys.clone(),
        };
        let commit = self.commit().happened(&view, vec![user_pool_event::Event::Deleted(UserPoolDeleted {})]);
        self.store.commit(commit).await.expect("the pool is deleted");
    }

    /// A committed user with this name.
    async fn user(&self, name: &str) -> Result<LoadedUser, StoreError> {
        let sub = Sub(self.random.uuid());
        let (key, wrapped) = self.keys.generate_user_key(sub.to_string(), &self.random);
        let (event, at) = (Event::SignedUp(signed_up(name)), self.now());
        let commit = self.commit_at(at).operational([OperationalRow::Key(wrapped)]);
        self.store.commit(commit.happened(&NewUser { sub, key: &key }, vec![event.clone()])).await?;
        let state = userpool::domain::decision::replay(None, &StreamId::user(sub), [(&event, at)]);
        Ok(LoadedUser { state: state.expect("a user who signed up"), version: 1, key })
    }
}

fn pool_created() -> user_pool_event::Event {
    user_pool_event::Event::Created(UserPoolCreated { name: "pool".to_owned(), ..Default::default() })
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
