//! The relay: which records reach Kafka, in which order, and what an absent broker or a second relay changes.
//!
//! The tests run against librdkafka's broker in this process, which fails on demand, and against Apache Kafka, which
//! alone hides the records of aborted transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::Row;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use userpool::environment::{Clock, Random};
use userpool::kafka::cloud_event::Record;
use userpool::kafka::config::KafkaConfig;
use userpool::kafka::embedded::EmbeddedBroker;
use userpool::kafka::producer::TransactionalProducer;
use userpool::kafka::relay::{Relay, reader};
use userpool::kafka::topics;
use userpool::store::Store;
use userpool::store::feed::{Cursor, Log};
use userpool::store::keys::MasterKeys;
use userpool::store::parked::{Parking, Settled};

use crate::support::kafka::Kafka;
use crate::support::postgres::Postgres;

const POOL: &str = "us-east-1_relaytest";
const LONG: Duration = Duration::from_secs(60);

/// A cluster for these tests alone, because the feed waits for every writing transaction of its cluster.
fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(Postgres::start)
}

/// One Apache Kafka for all tests that leave it running; each has its own prefix of topics.
fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(Kafka::start)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn store(name: &'static str) -> Store {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let url = blocking(move || {
        postgres().create_database(name);
        postgres().url(name)
    })
    .await;
    let master = MasterKeys::parse(&MasterKeys::generate_line("test", &Random::default())).unwrap();
    let store = Store::new(
        userpool::store::connect(&url, 10, userpool::store::ConnectionRole::Api).await.unwrap(),
        Arc::new(master),
    );
    store.migrate().await.unwrap();
    store.make_partitions(Clock.now()).await.unwrap();
    store
}

fn config(bootstrap: &str, prefix: &str) -> KafkaConfig {
    KafkaConfig { prefix: prefix.to_owned(), ..KafkaConfig::new(bootstrap) }
}

fn embedded() -> EmbeddedBroker {
    EmbeddedBroker::start(&topics::all(&KafkaConfig::new(""))).unwrap()
}

/// A relay that runs in a task of its own.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(store: &Store, config: &KafkaConfig) -> Self {
        let stop = CancellationToken::new();
        let relay = Relay::new(store.clone(), config.clone(), "test".to_owned());
        let task = tokio::spawn(relay.run(stop.clone()));
        Self { stop, task }
    }

    /// Stops the relay in order.
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends the relay as a crash would: it gives up no lease.
    fn kill(self) {
        self.task.abort();
    }
}

const METADATA: &str =
    r#"{"actor": {"kind": "service_account", "id": "AKIA"}, "operation": "SignUp", "request_id": "r"}"#;

/// Appends the next version of every stream, in one transaction.
async fn append(store: &Store, users: &[&str], version: i64) {
    sqlx::query(
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         select $1, 'users/' || u, $2, gen_random_uuid(), 'user.signed_up', 1,
                '{\"sealed\": \"c2VjcmV0\", \"password_hash\": \"c2VjcmV0\", \"client_id\": \"client\"}', $3::jsonb, clock_timestamp(),
                (select epoch from meta), (o - 1)::int
         from unnest($4::text[]) with ordinality as e (u, o)",
    )
    .bind(POOL)
    .bind(version)
    .bind(METADATA)
    .bind(users.iter().map(|user| (*user).to_owned()).collect::<Vec<_>>())
    .execute(store.database())
    .await
    .unwrap();
}

async fn append_fact(store: &Store, owner: &str) {
    sqlx::query(
        "insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
         select $1, gen_random_uuid(), $2, 'user.code_sent', 1, '{\"purpose\": \"CODE_PURPOSE_SIGN_UP\"}', $3::jsonb,
                clock_timestamp(), (select epoch from meta), 0",
    )
    .bind(POOL)
    .bind(owner)
    .bind(METADATA)
    .execute(store.database())
    .await
    .unwrap();
}

/// A record as a consumer receives it.
#[derive(Clone, Debug)]
struct Received {
    partition: i32,
    key: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Received {
    fn version(&self) -> i64 {
        self.headers["ce_streamversion"].parse().unwrap()
    }
}

/// Reads a topic from its beginning until there are enough records, or fails; then checks whether there are more.
async fn consume(
    bootstrap: &str,
    topic: String,
    isolation: &'static str,
    enough: impl Fn(&[Received]) -> bool + Send + 'static,
) -> Vec<Received> {
    let bootstrap = bootstrap.to_owned();
    blocking(move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("isolation.level", isolation)
            .set("fetch.error.backoff.ms", "20")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..topics::PARTITIONS {
            partitions.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let mut received = Vec::new();
        let deadline = Instant::now() + LONG;
        let mut quiet_since = None;
        loop {
            match consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => received.push(received_from(&message)),
                Some(Err(_)) | None if enough(&received) => {
                    let since = *quiet_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > Duration::from_millis(500) {
                        return received;
                    }
                }
                _ => {}
            }
            assert!(Instant::now() < deadline, "only {} records of {topic}", received.len());
        }
    })
    .await
}

fn received_from(message: &impl Message) -> Received {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = message.headers().unwrap();
    Received {
        partition: message.partition(),
        key: text(message.key().unwrap()),
        headers: headers.iter().map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect(),
        body: text(message.payload().unwrap()),
    }
}

fn distinct(received: &[Received]) -> usize {
    received.iter().map(|record| &record.headers["ce_id"]).collect::<BTreeSet<_>>().len()
}

/// Each event once, in the order of first arrival.
fn without_repetitions(received: Vec<Received>) -> Vec<Received> {
    let mut seen = BTreeSet::new();
    received.into_iter().filter(|record| seen.insert(record.headers["ce_id"].clone())).collect()
}

/// Asserts that every key has one partition, the one that Java would choose, and versions from 1 without a gap.
fn assert_ordered(received: &[Received], users: usize, versions: i64) {
    let mut keys: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
    for record in received {
        keys.entry(&record.key).or_default().push(record);
    }
    assert_eq!(keys.len(), users);
    for (key, records) in keys {
        let found: Vec<i64> = records.iter().map(|record| record.version()).collect();
        assert_eq!(found, (1..=versions).collect::<Vec<_>>(), "{key}");
        assert!(records.iter().all(|record| record.partition == partition_in_java(key)), "{key}");
    }
}

/// The same as `Utils.toPositive(Utils.murmur2(key)) % partitions` of Kafka's Java client.
fn partition_in_java(key: &str) -> i32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let bytes = key.as_bytes();
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let words = bytes.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut mixed = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(MULTIPLIER);
        mixed = (mixed ^ (mixed >> 24)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed;
    }
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) as i32 % topics::PARTITIONS
}

/// The names of ten users.
const USERS: [&str; 10] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"];

/// Appends versions of all users in turn, with a pause after each, until it is stopped. Returns the last version.
fn writer(store: &Store, first: i64, gap: Duration) -> (CancellationToken, JoinHandle<i64>) {
    let (store, stop) = (store.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let mut version = first - 1;
        while !stopped.is_cancelled() {
            version += 1;
            append(&store, &USERS, version).await;
            tokio::time::sleep(gap).await;
        }
        version
    });
    (stop, task)
}

async fn directory(config: &KafkaConfig, isolation: &'static str, events: usize) -> Vec<Received> {
    let topic = topics::topic(config, Log::Directory);
    consume(&config.brokers, topic, isolation, move |received| distinct(received) >= events).await
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn lease_holder(store: &Store) -> Option<String> {
    let row = sqlx::query("select holder from leases where name = 'relay-0' and expires_at > clock_timestamp()");
    row.fetch_optional(store.database()).await.unwrap().map(|row| row.get("holder"))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_in_order_and_without_what_is_private() {
    let (store, broker) = (store("relay_order").await, embedded());
    let config = config(broker.bootstrap(), "");
    append(&store, &USERS, 1).await;
    let relay = Running::start(&store, &config);
    for version in 2..=20 {
        append(&store, &USERS, version).await;
        append_fact(&store, "u0").await;
    }
    let events = directory(&config, "read_committed", 200).await;
    assert_eq!(events.len(), 200, "each once");
    assert_ordered(&events, USERS.len(), 20);
    for event in &events {
        assert_eq!(event.body, r#"{"client_id":"client"}"#);
        assert_eq!(event.headers["ce_type"], "userpool.user.signed_up.v1");
        assert_eq!(event.headers["ce_partitionkey"], event.key);
    }
    let topic = topics::topic(&config, Log::Activity);
    let facts = consume(broker.bootstrap(), topic, "read_committed", |received| received.len() >= 19).await;
    assert_eq!(facts.len(), 19);
    assert!(facts.iter().all(|fact| fact.key == format!("{POOL}/u0") && fact.headers["ce_subject"] == "users/u0"));

    relay.stop().await;
    assert_eq!(lease_holder(&store).await, None, "a relay that stops gives its lease up");
    for log in Log::ALL {
        assert_ne!(store.checkpoint(&reader(log)).await.unwrap(), Cursor::start());
    }

    // A broker that has lost everything gets everything again.
    let again = embedded();
    let config = KafkaConfig { brokers: again.bootstrap().to_owned(), ..config };
    let relay = Relay::new(store.clone(), config.clone(), "test".to_owned());
    relay.rewind().await.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(relay.run(stop.clone()));
    assert_ordered(&directory(&config, "read_committed", 200).await, USERS.len(), 20);
    stop.cancel();
    task.await.unwrap();
}

/// Transaction ids are compared as numbers: an id with more digits comes later.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_skips_nothing_where_transaction_ids_get_longer() {
    let store = store("relay_digits").await;
    sqlx::query(
        "do $$ declare goal bigint := 10 ^ length(pg_current_xact_id()::text) - 30; begin
            commit;
            while pg_current_xact_id()::text::bigint < goal loop commit; end loop;
         end $$",
    )
    .execute(store.database())
    .await
    .unwrap();
    for version in 1..=100 {
        append(&store, &["u"], version).await;
        append_fact(&store, "u").await;
    }
    for log in Log::ALL {
        let (mut cursor, mut found) = (Cursor::start(), Vec::new());
        until("the feed has everything", || async {
            store.feed(log, &Cursor::start(), 1_000).await.unwrap().len() == 100
        })
        .await;
        loop {
            let rows = store.feed(log, &cursor, 7).await.unwrap();
            let Some(last) = rows.last() else { break };
            cursor = last.cursor.clone();
            found.extend(rows.into_iter().map(|row| (row.stream_version.unwrap_or_default(), row.cursor.tx)));
        }
        let transactions: Vec<u64> = found.iter().map(|(_, tx)| tx.parse().unwrap()).collect();
        assert_eq!(found.len(), 100, "{}", log.name());
        assert!(transactions.is_sorted(), "{}", log.name());
        assert!(transactions[0].ilog10() < transactions[99].ilog10(), "{transactions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_or_fails_delays_events_and_loses_none() {
    let (store, broker) = (store("relay_outage").await, embedded());
    let config = config(broker.bootstrap(), "");
    broker.faults().unwrap().broker_down(-1).unwrap();
    let relay = Running::start(&store, &config);
    for version in 1..=5 {
        append(&store, &USERS, version).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.checkpoint(&reader(Log::Directory)).await.unwrap(), Cursor::start());
    broker.faults().unwrap().broker_up(-1).unwrap();
    let up = Instant::now();
    assert_ordered(&without_repetitions(directory(&config, "read_committed", 50).await), USERS.len(), 5);
    println!("all events {:?} after the broker came up", up.elapsed());

    // The broker goes away while events come, and refuses each kind of request of a transaction.
    let (stop, written) = writer(&store, 6, Duration::from_millis(5));
    let refusals = [
        (RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
        (RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE),
        (RDKafkaApiKey::AddPartitionsToTxn, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED),
        (RDKafkaApiKey::EndTxn, RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE),
        (RDKafkaApiKey::EndTxn, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR),
        (RDKafkaApiKey::InitProducerId, RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
    ];
    for _ in 0..2 {
        for (request, error) in refusals {
            broker.faults().unwrap().request_errors(request, &[error]);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        broker.faults().unwrap().broker_down(-1).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.faults().unwrap().broker_up(-1).unwrap();
    }
    stop.cancel();
    let versions = written.await.unwrap();
    let events = directory(&config, "read_committed", USERS.len() * versions as usize).await;
    println!("{versions} versions of ten users, {} records", events.len());
    assert_ordered(&without_repetitions(events), USERS.len(), versions);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_stops_at_once_even_without_a_broker() {
    let store = store("relay_stop").await;
    let relay = Running::start(&store, &config("127.0.0.1:1", ""));
    until("the relay takes the lease", || async { lease_holder(&store).await.is_some() }).await;
    append(&store, &USERS, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    relay.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    println!("stopped after {:?}", asked.elapsed());
    assert_eq!(lease_holder(&store).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_pool_that_is_purged_while_the_broker_is_away_arrive_when_it_is_back() {
    const FACTS: usize = 50;
    let (store, broker) = (store("relay_purge").await, embedded());
    let config = config(broker.bootstrap(), "");
    broker.faults().unwrap().broker_down(-1).unwrap();
    let relay = Relay::new(store.clone(), config.clone(), "test".to_owned());
    // The server does this before it purges anything.
    relay.enter().await.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(relay.run(stop.clone()));
    for _ in 0..FACTS {
        append_fact(&store, "u0").await;
    }
    sqlx::query("insert into purges (user_pool_id, next_at) values ($1, now() - interval '1 second')")
        .bind(POOL)
        .execute(store.database())
        .await
        .unwrap();
    let mut now = Clock.now();
    let mut purge = async || {
        while store.purge_step(now).await.unwrap() {}
        now = now.plus_seconds(60);
    };
    for _ in 0..5 {
        purge().await;
    }
    broker.faults().unwrap().broker_up(-1).unwrap();
    let topic = topics::topic(&config, Log::Activity);
    let facts = consume(broker.bootstrap(), topic, "read_committed", |received| distinct(received) >= FACTS).await;
    assert_eq!(distinct(&facts), FACTS);
    let purges = async || {
        let purges = sqlx::query_scalar::<_, i64>("select count(*) from purges").fetch_one(store.database());
        purges.await.unwrap()
    };
    while purges().await > 0 {
        purge().await;
    }
    let left: i64 = sqlx::query_scalar("select count(*) from activity").fetch_one(store.database()).await.unwrap();
    assert_eq!(left, 0);
    stop.cancel();
    task.await.unwrap();
}

/// Appends an invalid event to a user's stream: of this type, with this payload.
async fn append_odd(store: &Store, user: &str, version: i64, kind: &str, payload: serde_json::Value) {
    sqlx::query(
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         values ($1, 'users/' || $2, $3, gen_random_uuid(), $4, 1, $5, $6::jsonb, clock_timestamp(), (select epoch from meta), 0)",
    )
    .bind(POOL)
    .bind(user)
    .bind(version)
    .bind(kind)
    .bind(payload)
    .bind(METADATA)
    .execute(store.database())
    .await
    .unwrap();
}

/// Simulates an update to a release that knows a type: changes the events of that type to a known one.
#[expect(clippy::disallowed_methods, reason = "nobody drops it while it begins")]
async fn make_known(store: &Store, kind: &str) {
    let mut transaction = store.database().begin().await.unwrap();
    sqlx::query("alter table log disable trigger all").execute(&mut *transaction).await.unwrap();
    sqlx::query("update log set type = 'user.signed_out' where type = $1")
        .bind(kind)
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("alter table log enable trigger all").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// The parked events: the user of the key, the reason, and whether an operator asked to try it again.
async fn parked(store: &Store) -> Vec<(String, Option<String>, bool)> {
    let parked = store.list_parked(None, 1_000).await.unwrap();
    let user = |key: String| key.strip_prefix(&format!("{POOL}/")).unwrap().to_owned();
    parked.into_iter().map(|event| (user(event.key), event.why, event.retry)).collect()
}

fn of_user(events: &[Received], user: &str) -> Vec<i64> {
    let key = format!("{POOL}/{user}");
    events.iter().filter(|event| event.key == key).map(Received::version).collect()
}

const UNKNOWN: &str = "its type is unknown to this release";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_published_is_parked_with_its_key_and_the_rest_goes_on() {
    let (store, broker) = (store("relay_poison").await, embedded());
    let config = config(broker.bootstrap(), "");
    append(&store, &USERS, 1).await;
    append_odd(&store, "u0", 2, "user.of_tomorrow", serde_json::json!({})).await;
    append(&store, &USERS[1..], 2).await;
    append(&store, &["u0", "u1"], 3).await;
    let relay = Running::start(&store, &config);
    let events = directory(&config, "read_committed", 20).await;
    assert_eq!(events.len(), 20, "all but u0's from the second on");
    assert_eq!((of_user(&events, "u0"), of_user(&events, "u1")), (vec![1], vec![1, 2, 3]));
    let first = ("u0".to_owned(), Some(UNKNOWN.to_owned()), false);
    let next = ("u0".to_owned(), None, false);
    assert_eq!(parked(&store).await, [first.clone(), next.clone()]);

    // Later events of the key join it, also by another relay that was not there at the time; other keys and the other
    // log go on.
    relay.kill();
    append(&store, &["u0"], 4).await;
    append(&store, &["u1"], 4).await;
    append_fact(&store, "u0").await;
    let relay = Running::start(&store, &config);
    assert_eq!(of_user(&directory(&config, "read_committed", 21).await, "u0"), [1]);
    let topic = topics::topic(&config, Log::Activity);
    consume(broker.bootstrap(), topic, "read_committed", |received| received.len() == 1).await;
    until("the next one is parked", || async { parked(&store).await.len() == 3 }).await;

    // Nothing has changed: it is tried again, and stays parked.
    assert_eq!(store.retry_parked(Some("no such key")).await.unwrap(), 0);
    let key = format!("{POOL}/u0");
    assert_eq!(store.retry_parked(Some(&key)).await.unwrap(), 3);
    until("it was tried again", || async { parked(&store).await.iter().all(|(.., retry)| !retry) }).await;
    assert_eq!(parked(&store).await, [first, next.clone(), next]);

    make_known(&store, "user.of_tomorrow").await;
    store.retry_parked(Some(&key)).await.unwrap();
    append(&store, &["u0"], 5).await;
    let events = without_repetitions(directory(&config, "read_committed", 25).await);
    assert_eq!(of_user(&events, "u0"), [1, 2, 3, 4, 5], "in order, with what came meanwhile");
    until("nothing is parked", || async { parked(&store).await.is_empty() }).await;
    append(&store, &["u0"], 6).await;
    let events = without_repetitions(directory(&config, "read_committed", 26).await);
    assert_eq!(of_user(&events, "u0"), [1, 2, 3, 4, 5, 6], "nothing joins any more");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_larger_than_the_producer_sends_is_parked_until_it_sends_more() {
    let (store, broker) = (store("relay_large").await, embedded());
    let small = config(broker.bootstrap(), "");
    let large = serde_json::json!({ "client_id": "x".repeat(1_200_000) });
    append_odd(&store, "u0", 1, "user.signed_up", large).await;
    append(&store, &["u0"], 2).await;
    append(&store, &["u1"], 1).await;
    let relay = Running::start(&store, &small);
    let events = directory(&small, "read_committed", 1).await;
    assert_eq!((of_user(&events, "u0"), of_user(&events, "u1")), (vec![], vec![1]));
    let found = parked(&store).await;
    let why = found[0].1.as_deref().unwrap();
    assert!(why.ends_with("is larger than the 1000000 of message.max.bytes"), "{why}");
    assert_eq!((found.len(), &found[1].1), (2, &None));
    relay.stop().await;

    let mut larger = small.clone();
    larger.properties.insert("message.max.bytes".to_owned(), "3000000".to_owned());
    let relay = Running::start(&store, &larger);
    store.retry_parked(None).await.unwrap();
    until("nothing is parked", || async { parked(&store).await.is_empty() }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_brokers_refuse_as_too_large_are_parked_and_the_others_of_the_batch_are_not() {
    let store = store("relay_refused").await;
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "refused.");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &kafka.bootstrap).create().unwrap();
    let topic = topics::topic(&config, Log::Directory);
    let new = NewTopic::new(&topic, topics::PARTITIONS, TopicReplication::Fixed(1)).set("max.message.bytes", "100000");
    admin.create_topics(&[new], &AdminOptions::new()).await.unwrap().into_iter().for_each(|made| drop(made.unwrap()));

    let large = serde_json::json!({ "client_id": "x".repeat(200_000) });
    append(&store, &USERS, 1).await;
    for user in ["u0", "u1"] {
        append_odd(&store, user, 2, "user.signed_up", large.clone()).await;
    }
    append(&store, &USERS[2..], 2).await;
    append(&store, &USERS, 3).await;
    let relay = Running::start(&store, &config);
    let events = without_repetitions(directory(&config, "read_committed", 2 + 8 * 3).await);
    assert_eq!((of_user(&events, "u0"), of_user(&events, "u2")), (vec![1], vec![1, 2, 3]));
    until("both keys are parked", || async { parked(&store).await.len() == 4 }).await;
    let found = parked(&store).await;
    let why = found[0].1.as_deref().unwrap();
    assert!(why.starts_with("the brokers refuse its record of 20"), "{why}");
    assert!(found[2].1.is_none() && found[3].1.is_none());

    // If it is tried again before the topic accepts more, it stays parked, and the relay goes on.
    store.retry_parked(None).await.unwrap();
    until("it was tried again", || async { parked(&store).await.iter().all(|(.., retry)| !retry) }).await;
    assert_eq!(parked(&store).await.len(), 4);
    append(&store, &USERS, 4).await;
    until("what comes later joins them", || async { parked(&store).await.len() == 6 }).await;

    let topic_config = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "1000000");
    for altered in admin.alter_configs(&[topic_config], &AdminOptions::new()).await.unwrap() {
        altered.unwrap();
    }
    until("nothing is parked", || async {
        store.retry_parked(None).await.unwrap();
        parked(&store).await.is_empty()
    })
    .await;
    let events = without_repetitions(directory(&config, "read_committed", 40).await);
    assert_ordered(&events, USERS.len(), 4);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_are_killed_while_keys_are_parked_and_tried_again_lose_nothing_and_keep_the_order() {
    let store = store("relay_parked_kills").await;
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "parkedkills.");
    let (stop, written) = writer(&store, 1, Duration::from_millis(5));
    let odd = ["o0", "o1", "o2"];
    for round in 0..3 {
        let relay = Running::start(&store, &config);
        for user in odd {
            append_odd(&store, user, 2 * round + 1, "user.of_tomorrow", serde_json::json!({})).await;
        }
        append(&store, &odd, 2 * round + 2).await;
        until("all is parked", || async { parked(&store).await.len() == odd.len() * 2 }).await;
        make_known(&store, "user.of_tomorrow").await;
        store.retry_parked(None).await.unwrap();
        // At a different moment of the retry each time, once before it.
        until("it goes on", || async { round == 0 || parked(&store).await.len() < odd.len() * 2 }).await;
        relay.kill();
        let relay = Running::start(&store, &config);
        until("all is published", || async { parked(&store).await.is_empty() }).await;
        relay.stop().await;
    }
    stop.cancel();
    let versions = written.await.unwrap();
    let relay = Running::start(&store, &config);
    let all = USERS.len() * versions as usize + odd.len() * 6;
    let mut events = without_repetitions(directory(&config, "read_committed", all).await);
    for user in odd {
        assert_eq!(of_user(&events, user), [1, 2, 3, 4, 5, 6], "{user}");
    }
    events.retain(|event| !event.key.contains("/o"));
    assert_ordered(&events, USERS.len(), versions);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_forgotten_when_the_relay_starts_from_the_beginning() {
    let (store, broker) = (store("relay_parked_rewind").await, embedded());
    let config = config(broker.bootstrap(), "");
    append_odd(&store, "u0", 1, "user.of_tomorrow", serde_json::json!({})).await;
    let relay = Running::start(&store, &config);
    until("it is parked", || async { parked(&store).await.len() == 1 }).await;
    relay.stop().await;
    make_known(&store, "user.of_tomorrow").await;
    let again = Relay::new(store.clone(), config.clone(), "test".to_owned());
    again.rewind().await.unwrap();
    assert_eq!(parked(&store).await, []);
    let stop = CancellationToken::new();
    let task = tokio::spawn(again.run(stop.clone()));
    assert_eq!(of_user(&directory(&config, "read_committed", 1).await, "u0"), [1]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_relays_at_a_time_and_another_takes_over() {
    let store = store("relay_takeover").await;
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "takeover.");
    let (stop, written) = writer(&store, 1, Duration::from_millis(2));
    let first = Running::start(&store, &config);
    until("the first relays", || async { lease_holder(&store).await.is_some() }).await;
    let second = Running::start(&store, &config);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = lease_holder(&store).await;

    first.stop().await;
    until("the second takes over", || async {
        lease_holder(&store).await.is_some_and(|holder| Some(holder) != before)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let before = lease_holder(&store).await;
    let third = Running::start(&store, &config);
    let killed = Instant::now();
    second.kill();
    until("the third takes over", || async { lease_holder(&store).await.is_some_and(|holder| Some(holder) != before) })
        .await;
    println!("taken over {:?} after the kill", killed.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    let versions = written.await.unwrap();

    let events = directory(&config, "read_committed", USERS.len() * versions as usize).await;
    println!("{versions} versions of ten users, {} records", events.len());
    // Only the batch that was under way at the kill may have come twice.
    assert!(events.len() <= USERS.len() * versions as usize + 500);
    assert_ordered(&without_repetitions(events), USERS.len(), versions);
    third.stop().await;
}

fn records(key: &str, count: usize) -> Vec<Record> {
    let headers = |id| vec![("ce_id", format!("{key}{id}")), ("ce_streamversion", "1".to_owned())];
    (0..count).map(|id| Record { key: key.to_owned(), headers: headers(id), body: b"{}".to_vec() }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_and_fenced_records_are_invisible_to_read_committed_consumers() {
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "fenced.");
    let topic = topics::topic(&config, Log::Directory);
    let (producer_config, to) = (config.clone(), topic.clone());
    blocking(move || {
        let go_on = CancellationToken::new();
        topics::create_missing(&producer_config, &go_on).unwrap();
        let give_up = CancellationToken::new();
        give_up.cancel();
        let connect = || TransactionalProducer::connect(&producer_config, "fenced", &go_on).unwrap();
        let publish = |producer: &TransactionalProducer, key: &str, token| {
            let records = records(key, 100);
            producer.publish(records.iter().map(|record| (to.as_str(), record)), token)
        };

        let aborted = connect();
        publish(&aborted, "committed", &go_on).unwrap();
        publish(&aborted, "aborted", &give_up).unwrap_err();

        let predecessor = connect();
        publish(&predecessor, "earlier", &go_on).unwrap();
        let successor = connect();
        let fenced = publish(&predecessor, "fenced", &go_on).unwrap_err();
        assert!(fenced.is_fenced(), "{fenced}");
        publish(&successor, "later", &go_on).unwrap();
    })
    .await;
    let seen = consume(&kafka.bootstrap, topic, "read_committed", |received| received.len() >= 300).await;
    let keys: BTreeSet<&str> = seen.iter().map(|record| record.key.as_str()).collect();
    assert_eq!((seen.len(), keys), (300, BTreeSet::from(["committed", "earlier", "later"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predecessor_can_not_move_a_checkpoint() {
    let store = store("relay_checkpoint").await;
    let short = Duration::from_millis(50);
    let predecessor = store.lease("relay-0", "one", short).await.unwrap().unwrap();
    let moves = [(reader(Log::Directory), Cursor { epoch: 1, tx: "5".to_owned(), ord: 0, at: Clock.now() })];
    assert!(store.move_checkpoints(&predecessor, &moves, &[]).await.unwrap());
    tokio::time::sleep(2 * short).await;
    let successor = store.lease("relay-0", "two", LONG).await.unwrap().unwrap();
    assert!(store.lease("relay-0", "one", short).await.unwrap().is_none());
    let parked = [Parking {
        log: Log::Directory,
        user_pool_id: POOL.to_owned(),
        event_id: Random::default().uuid(),
        key: format!("{POOL}/u0"),
        kind: "user.of_tomorrow".to_owned(),
        cursor: moves[0].1.clone(),
        why: Some("any".to_owned()),
    }];
    assert!(!store.move_checkpoints(&predecessor, &moves, &parked).await.unwrap());
    assert_eq!(store.count_parked(Log::Directory).await.unwrap(), 0, "nor park anything");
    assert!(store.move_checkpoints(&successor, &moves, &parked).await.unwrap());
    let published = vec![(POOL.to_owned(), parked[0].event_id, parked[0].key.clone())];
    let settled = Settled { published, failed: Vec::new() };
    assert!(!store.settle_retried(&predecessor, Log::Directory, &settled).await.unwrap());
    assert_eq!(store.count_parked(Log::Directory).await.unwrap(), 1, "nor take anything out");
    assert!(store.settle_retried(&successor, Log::Directory, &settled).await.unwrap());
    assert_eq!(store.count_parked(Log::Directory).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_loses_its_lease_moves_nothing_until_it_has_it_again() {
    let (store, broker) = (store("relay_theft").await, embedded());
    let config = config(broker.bootstrap(), "");
    append(&store, &USERS, 1).await;
    let relay = Running::start(&store, &config);
    until("the first events are published", || async {
        store.checkpoint(&reader(Log::Directory)).await.unwrap() != Cursor::start()
    })
    .await;
    // As if another relay had taken the lease while this one was asleep.
    let theft =
        "update leases set holder = 'another', token = token + 1, expires_at = clock_timestamp() + interval '3 s'";
    sqlx::query(theft).execute(store.database()).await.unwrap();
    let before = store.checkpoint(&reader(Log::Directory)).await.unwrap();
    append(&store, &USERS, 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(store.checkpoint(&reader(Log::Directory)).await.unwrap(), before);
    let events = without_repetitions(directory(&config, "read_committed", 20).await);
    assert_ordered(&events, USERS.len(), 2);
    until("the checkpoint moves on", || async { store.checkpoint(&reader(Log::Directory)).await.unwrap() != before })
        .await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_the_broker_lose_nothing() {
    let store = store("relay_crashes").await;
    let mut broker = blocking(Kafka::start).await;
    let config = config(&broker.bootstrap, "");
    let relay = Running::start(&store, &config);
    let (stop, written) = writer(&store, 1, Duration::from_millis(2));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        broker = blocking(move || {
            broker.kill();
            broker
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        broker = blocking(move || {
            broker.restart();
            broker
        })
        .await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    let versions = written.await.unwrap();
    let last = Instant::now();
    let events = directory(&config, "read_committed", USERS.len() * versions as usize).await;
    println!("{versions} versions of ten users, {} records, all {:?} after the last", events.len(), last.elapsed());
    assert_ordered(&without_repetitions(events), USERS.len(), versions);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_created_as_declared() {
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "created.");
    let creation = config.clone();
    blocking(move || {
        for _ in 0..2 {
            topics::create_missing(&creation, &CancellationToken::new()).unwrap();
        }
    })
    .await;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &kafka.bootstrap).create().unwrap();
    for (log, retention) in [(Log::Directory, "-1"), (Log::Activity, "604800000")] {
        let name = topics::topic(&config, log);
        let described = async || {
            let topic = [ResourceSpecifier::Topic(&name)];
            let results = admin.describe_configs(&topic, &AdminOptions::new()).await.unwrap();
            results.into_iter().next().unwrap().unwrap()
        };
        // A broker confirms the creation a moment before it lists the topic.
        until("the broker knows the topic", || async { described().await.get("retention.ms").is_some() }).await;
        let resource = described().await;
        let value = |name| resource.get(name).and_then(|entry| entry.value.clone()).unwrap();
        assert_eq!(value("retention.ms"), retention);
        assert_eq!(value("cleanup.policy"), "delete");
        assert_eq!(value("min.insync.replicas"), "1", "there is one broker");
        let metadata = admin.inner().fetch_metadata(Some(&name), Duration::from_secs(5)).unwrap();
        assert_eq!(metadata.topics()[0].partitions().len(), 12);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_keeps_up() {
    let store = store("relay_speed").await;
    let kafka = blocking(kafka).await;
    let config = config(&kafka.bootstrap, "speed.");
    const VERSIONS: i64 = 2_000;
    for version in 1..=VERSIONS {
        append(&store, &USERS, version).await;
    }
    let total = USERS.len() * VERSIONS as usize;
    let began = Instant::now();
    let relay = Running::start(&store, &config);
    until("everything is published", || async {
        let cursor = store.checkpoint(&reader(Log::Directory)).await.unwrap();
        store.feed(Log::Directory, &cursor, 1).await.unwrap().is_empty()
    })
    .await;
    let backlog = began.elapsed();
    println!("a backlog of {total} events in {backlog:?}: {:.0} a second", total as f64 / backlog.as_secs_f64());

    // One at a time: the time of an event from its commit until the checkpoint is behind it.
    let mut delays = Vec::new();
    let stop_waking = CancellationToken::new();
    let waking = tokio::spawn(store.wake().clone().run(store.clone(), stop_waking.clone()));
    for version in 1..=50 {
        let before = store.checkpoint(&reader(Log::Directory)).await.unwrap();
        append(&store, &["single"], version).await;
        // Every commit of the server sends this notification shortly afterwards.
        sqlx::query("select pg_notify('userpool', '')").execute(store.database()).await.unwrap();
        let committed = Instant::now();
        while store.checkpoint(&reader(Log::Directory)).await.unwrap() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        delays.push(committed.elapsed());
    }
    delays.sort();
    println!("one event: p50 {:?}, slowest {:?}", delays[25], delays[49]);
    relay.stop().await;
    stop_waking.cancel();
    waking.await.unwrap();
}
