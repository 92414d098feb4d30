//! Deleted facts wait for readers that have not read them yet.

use sqlx::Row;
use userpool::domain::decision::Decision;
use userpool::domain::time::Timestamp;
use userpool::kafka::relay;
use userpool::proto::events::{UserCodeSent, user_activity};
use userpool::store::feed::{Cursor, Log};
use userpool::store::leases::Lease;
use userpool::store::parked::{Parking, Settled};

use super::{Commits, Database, Pool};
use crate::support::client::eventually;
use crate::support::tables::about_pool;

const READER: &str = "relay/activity";
const LONG: std::time::Duration = std::time::Duration::from_secs(600);

/// A deleted pool with facts about a user.
struct Scenario {
    database: Database,
    pool: Pool,
    now: Timestamp,
}

impl Scenario {
    async fn create(facts: usize) -> Self {
        let database = Database::create().await;
        let pool = Pool::create(&database.store).await;
        let user = pool.user("jane").await.unwrap();
        for _ in 0..facts {
            let fact = user_activity::Activity::CodeSent(UserCodeSent::default());
            let commit = pool.commit().decided(&user, Decision::events(Vec::new(), ()).with_activity([fact]));
            database.store.commit(commit).await.unwrap();
        }
        pool.delete().await;
        let now = pool.now();
        Self { database, pool, now }
    }

    /// Purges until nothing is due or a day is over. Returns the tables in which the pool still has rows.
    async fn purge(&mut self) -> Vec<String> {
        for _ in 0..24 * 60 {
            if !self.database.store.purge_step(self.now).await.unwrap() {
                self.now = self.now.plus_seconds(60);
                let left: i64 =
                    sqlx::query_scalar("select count(*) from purges").fetch_one(self.database.sql()).await.unwrap();
                if left == 0 {
                    break;
                }
            }
        }
        about_pool(self.database.sql(), self.pool.id.as_str()).await
    }

    async fn facts(&self) -> i64 {
        sqlx::query_scalar("select count(*) from activity").fetch_one(self.database.sql()).await.unwrap()
    }

    /// The feed's position of each fact, once the feed has all of them.
    async fn places(&self, facts: usize) -> Vec<Cursor> {
        let feed = async || self.database.store.feed(Log::Activity, &Cursor::start(), 100).await.unwrap();
        assert!(eventually(async || feed().await.len() == facts).await);
        feed().await.into_iter().map(|row| row.cursor).collect()
    }

    async fn lease(&self) -> Lease {
        self.database.store.lease("relay-0", "test", LONG).await.unwrap().expect("nobody has it")
    }

    async fn read_up_to(&self, lease: &Lease, cursor: &Cursor, parked: &[Parking]) {
        let moves = [(READER.to_owned(), cursor.clone())];
        assert!(self.database.store.move_checkpoints(lease, &moves, parked).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_deleted_pool_stay_until_every_reader_has_them() {
    let mut scenario = Scenario::create(3).await;
    let store = scenario.database.store.clone();
    store.enter_reader(READER).await.unwrap();
    assert_eq!(scenario.purge().await, ["activity", "log", "purges"], "all else goes at once");
    assert_eq!(scenario.facts().await, 3);
    let (places, lease) = (scenario.places(3).await, scenario.lease().await);
    scenario.read_up_to(&lease, &places[1], &[]).await;
    assert_eq!(scenario.purge().await, ["activity", "log", "purges"]);
    assert_eq!(scenario.facts().await, 1, "what was read goes, what was not stays");
    // Another reader that is behind is waited for as well.
    store.enter_reader("archive/activity").await.unwrap();
    scenario.read_up_to(&lease, &places[2], &[]).await;
    assert_eq!(scenario.purge().await, ["activity", "log", "purges"]);
    store.forget_reader("archive/activity", Log::Activity).await.unwrap();
    assert_eq!(scenario.purge().await, ["log"]);
    scenario.database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_has_lost_its_lease_keeps_nothing_locked() {
    const SOON: std::time::Duration = std::time::Duration::from_secs(3);
    let database = Database::create().await;
    let store = &database.store;
    let lease = store.lease("relay-0", "test", LONG).await.unwrap().unwrap();
    let lost = Lease { token: lease.token - 1, ..lease };
    let other = database.another_store(None).await;
    let all_ended = async || {
        let open = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'";
        while sqlx::query_scalar::<_, i64>(open).fetch_one(other.database()).await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert!(!store.move_checkpoints(&lost, &[], &[]).await.unwrap());
    tokio::time::timeout(SOON, all_ended()).await.expect("a transaction of who moves is open");
    assert!(!store.settle_retried(&lost, Log::Directory, &Settled::default()).await.unwrap());
    tokio::time::timeout(SOON, all_ended()).await.expect("a transaction of who settles is open");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_forgotten_only_while_no_server_has_its_lease() {
    let database = Database::create().await;
    let store = &database.store;
    let led = store.lease("relay-0", "test", LONG).await.unwrap().unwrap();
    let place = Cursor { epoch: 1, tx: "7".to_owned(), ord: 0, at: Timestamp(0) };
    let moves = [(READER.to_owned(), place.clone())];
    assert!(store.move_checkpoints(&led, &moves, &[]).await.unwrap());
    assert!(!relay::forget(store).await.unwrap(), "somebody relays");
    assert_eq!(store.checkpoint(READER).await.unwrap(), place);
    store.release_lease(&led).await.unwrap();
    assert!(relay::forget(store).await.unwrap());
    assert_eq!(store.checkpoint(READER).await.unwrap(), Cursor::start());
    assert!(!store.move_checkpoints(&led, &moves, &[]).await.unwrap(), "who relayed before comes too late");
    assert!(store.lease("relay-0", "next", LONG).await.unwrap().is_some(), "whoever relays next need not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_reader_nothing_waits() {
    let mut scenario = Scenario::create(2).await;
    // A reader of the other log is no reader of facts.
    scenario.database.store.enter_reader("relay/directory").await.unwrap();
    assert_eq!(scenario.purge().await, ["log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_is_parked_stays_with_its_pool_until_it_is_published() {
    let mut scenario = Scenario::create(2).await;
    let store = scenario.database.store.clone();
    let (places, lease) = (scenario.places(2).await, scenario.lease().await);
    let row = store.feed(Log::Activity, &Cursor::start(), 1).await.unwrap().remove(0);
    let parked = Parking {
        log: Log::Activity,
        user_pool_id: scenario.pool.id.to_string(),
        event_id: row.event_id,
        key: "any".to_owned(),
        kind: row.kind,
        cursor: row.cursor,
        why: Some("any".to_owned()),
    };
    scenario.read_up_to(&lease, &places[1], std::slice::from_ref(&parked)).await;
    assert_eq!(scenario.purge().await, ["activity", "log", "purges", "relay_parked"]);
    assert_eq!(scenario.facts().await, 1);
    store.retry_parked(None).await.unwrap();
    let again = store.parked_to_retry(Log::Activity, 10).await.unwrap();
    assert_eq!(again[0].row.as_ref().map(|row| row.event_id), Some(parked.event_id), "it is there to be published");
    let settled = Settled { published: vec![(parked.user_pool_id, parked.event_id, parked.key)], failed: Vec::new() };
    assert!(store.settle_retried(&lease, Log::Activity, &settled).await.unwrap());
    assert_eq!(scenario.purge().await, ["log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_partition_stays_until_every_reader_has_its_facts() {
    let database = Database::create().await;
    let store = &database.store;
    // The middle of January and of February 2026, and a time at which both months are too old.
    let (january, february) = (Timestamp(1_768_435_200_000), Timestamp(1_771_113_600_000));
    let later = january.plus_seconds((2 * 365 + 90) * 24 * 60 * 60);
    store.make_partitions(january).await.unwrap();
    for at in [january, february] {
        sqlx::query(
            "insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
             values ('pool', gen_random_uuid(), 'jane', 'user.code_sent', 1, '{}', '{}', to_timestamp($1), (select epoch from meta), 0)",
        )
        .bind(at.seconds() as f64)
        .execute(database.sql())
        .await
        .unwrap();
    }
    let nothing = Vec::<String>::new();
    store.enter_reader(READER).await.unwrap();
    assert_eq!(store.drop_old_partitions(later, 24).await.unwrap(), nothing, "nothing was read yet");
    let feed = async || store.feed(Log::Activity, &Cursor::start(), 100).await.unwrap();
    assert!(eventually(async || feed().await.len() == 2).await);
    let rows = feed().await;
    let lease = store.lease("relay-0", "test", LONG).await.unwrap().unwrap();
    let moves = |row: usize| [(READER.to_owned(), rows[row].cursor.clone())];
    let parked = Parking {
        log: Log::Activity,
        user_pool_id: "pool".to_owned(),
        event_id: rows[0].event_id,
        key: "pool/jane".to_owned(),
        kind: "user.code_sent".to_owned(),
        cursor: rows[0].cursor.clone(),
        why: Some("any".to_owned()),
    };
    assert!(store.move_checkpoints(&lease, &moves(0), std::slice::from_ref(&parked)).await.unwrap());
    assert_eq!(store.drop_old_partitions(later, 24).await.unwrap(), nothing, "a fact of January is parked");
    let published = vec![(parked.user_pool_id, parked.event_id, parked.key)];
    let settled = Settled { published, failed: Vec::new() };
    assert!(store.settle_retried(&lease, Log::Activity, &settled).await.unwrap());
    assert_eq!(store.drop_old_partitions(later, 24).await.unwrap(), ["activity_2026_01"], "February's is not read yet");
    assert!(store.move_checkpoints(&lease, &moves(1), &[]).await.unwrap());
    assert_eq!(store.drop_old_partitions(later, 24).await.unwrap(), ["activity_2026_02"]);
    let left = sqlx::query("select count(*) as left from activity").fetch_one(database.sql()).await.unwrap();
    assert_eq!(left.get::<i64, _>("left"), 0);
}
