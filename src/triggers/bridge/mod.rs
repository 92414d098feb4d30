//! The bridge: a responder that calls functions over HTTP, as Lambda's Invoke API is called.
//!
//! ```text
//!   userpool.triggers.<trigger> ──▶ bridge ──▶ POST <endpoint>/2015-03-31/functions/<name>/invocations
//!   userpool.triggers.replies   ◀── (what the function returned, if the record is a question)
//! ```
//!
//! **A question** is worth nothing after its deadline, so it is not kept: its offset is committed at once, and what is
//! called has the time that is left. A call that surely did not begin (no connection, 429, 5xx) is made again within that
//! time. One that broke off is not: the server asks again, under the same correlation id. Without an answer there is no
//! reply.
//!
//! **What is told** is kept: offsets are committed only behind what is done, and records of a key come one after another. A
//! call is repeated until the endpoint has answered. An error of the handler, or a refusal of the endpoint, is given up
//! after [`TELLINGS`] calls.

mod consumer;
mod endpoints;
mod invoke;
mod lane;
mod received;

pub use consumer::Membership;
pub use endpoints::{EndpointError, Endpoints, Named};

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use reqwest::{Certificate, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::domain::trigger::Trigger;
use crate::environment::Clock;
use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::kafka::pause::Pause;
use crate::telemetry::metrics;
use crate::telemetry::trace::{self, TraceContext};
use crate::triggers::record::CORRELATION_ID;
use consumer::Context;
use invoke::{Answer, Invoker, Unavailable};
use lane::{Partition, Turn};
use received::{Question, Received};

/// How often something is told whose handler fails or whose endpoint refuses.
pub const TELLINGS: u32 = 10;
/// How many calls of an endpoint are under way at most, unless the operator says otherwise.
pub const IN_FLIGHT: usize = 64;

/// The most questions at once. More go without an answer.
const MOST_QUESTIONS: usize = 8_192;
/// How long a function may take for what it is told.
const TELLING: Duration = Duration::from_secs(30);
/// After this time the topics no longer have what was told, so it is given up here as well.
const LONGEST_TELLING_MILLIS: i64 = 86_400_000;
/// The pause after an error of the brokers.
const PAUSE: Duration = Duration::from_millis(500);
/// How long questions may take when the bridge is told to stop: no question waits longer.
const DRAIN: Duration = Duration::from_secs(6);
/// How long the last replies may take to leave.
const FLUSH: Duration = Duration::from_secs(2);
/// About how many functions without an endpoint a warning is logged.
const MOST_WARNINGS: usize = 1_000;

/// What a bridge is made of.
#[derive(Debug)]
pub struct Settings {
    /// The brokers.
    pub kafka: KafkaConfig,
    /// The triggers that it serves.
    pub triggers: Vec<Trigger>,
    /// How partitions come to it.
    pub membership: Membership,
    /// The endpoints of functions.
    pub endpoints: Endpoints,
    /// Authorities of the endpoints' certificates, instead of the system's.
    pub authorities: Vec<Certificate>,
    /// How many calls of one endpoint are under way at most: questions, and as many of what is told.
    pub in_flight: usize,
}

/// Calls functions for triggers.
#[derive(Debug)]
pub struct Bridge {
    settings: Settings,
    invoker: Invoker,
    connected: CancellationToken,
}

impl Bridge {
    /// A bridge that is not connected yet. Fails if no TLS is to be had.
    pub fn new(settings: Settings) -> reqwest::Result<Self> {
        let is_local = matches!(settings.endpoints, Endpoints::Loopback);
        let invoker = Invoker::new(settings.authorities.clone(), settings.kafka.largest_record(), is_local)?;
        Ok(Self { settings, invoker, connected: CancellationToken::new() })
    }

    /// Cancelled when the bridge has reached the brokers for the first time.
    pub fn connected(&self) -> CancellationToken {
        self.connected.clone()
    }

    /// Serves until it is told to stop. It never fails: it waits for anything that is unavailable.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.serve(&stop).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the trigger bridge can't reach the brokers");
                    let _ = timeout(PAUSE, stop.cancelled()).await;
                }
            }
        }
    }

    async fn serve(&self, stop: &CancellationToken) -> Result<(), KafkaError> {
        let Settings { kafka, triggers, membership, .. } = &self.settings;
        let connected = tokio::task::spawn_blocking({
            let (kafka, triggers, membership, stop) = (kafka.clone(), triggers.clone(), *membership, stop.clone());
            move || consumer::connect(&kafka, &triggers, membership, &stop)
        });
        // A thread that panicked is a failure like any other: it is tried again.
        let consumer = connected.await.map_err(|_| KafkaError::Canceled)??;
        let producer = kafka.replying_producer().create_with_context(Listener::default())?;
        self.connected.cancel();
        let work = Arc::new(Work {
            invoker: self.invoker.clone(),
            places: Places { most: self.settings.in_flight, by_endpoint: Mutex::default() },
            consumer,
            producer,
        });
        let mut calls = JoinSet::new();
        let mut without_endpoint = HashSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = calls.join_next() => {}
                record = work.consumer.recv() => match record {
                    Ok(record) => self.take(&work, &record, &mut calls, &mut without_endpoint),
                    Err(error) => {
                        tracing::warn!(%error, "the trigger bridge can't read for the moment");
                        let _ = timeout(PAUSE, stop.cancelled()).await;
                    }
                },
            }
        }
        finish(work, calls).await;
        Ok(())
    }

    /// Begins what a record asks for.
    fn take(
        &self,
        work: &Arc<Work>,
        record: &BorrowedMessage<'_>,
        calls: &mut JoinSet<()>,
        without_endpoint: &mut HashSet<String>,
    ) {
        let partition = Partition { topic: record.topic().to_owned(), number: record.partition() };
        let lane = work.consumer.context().lanes.of(&partition);
        let turn = lane.enter(record.key().unwrap_or_default(), record.offset());
        let received = match Received::read(&self.settings.kafka.prefix, record) {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(topic = partition.topic, %error, "a record of a trigger can't be understood");
                return work.end(&partition, turn);
            }
        };
        let Some(address) = self.settings.endpoints.address(&received.function) else {
            self.warn_once(&received, without_endpoint);
            return work.end(&partition, turn);
        };
        let (work, span) = (work.clone(), span(&received));
        match received.question.clone() {
            Some(question) => {
                work.end(&partition, turn);
                if calls.len() < MOST_QUESTIONS {
                    calls.spawn(async move { work.answer(&received, &question, &address).await }.instrument(span));
                }
            }
            None => {
                if lane.is_filled() {
                    consumer::adjust(&partition, Offset::Invalid, |list| work.consumer.pause(list));
                }
                calls.spawn(async move { work.tell(&received, &address, &partition, turn).await }.instrument(span));
            }
        }
    }

    /// In development other responders may serve the function.
    fn warn_once(&self, received: &Received, without_endpoint: &mut HashSet<String>) {
        let Received { function, trigger, .. } = received;
        let is_new = without_endpoint.len() < MOST_WARNINGS && without_endpoint.insert(function.clone());
        if is_new && matches!(self.settings.endpoints, Endpoints::Named(_)) {
            tracing::warn!(function, trigger = trigger.name(), "no endpoint is named for a function: it is not called");
        }
    }
}

/// Ends in order: questions are answered, what is told ends where it is, and what is done is committed.
async fn finish(work: Arc<Work>, mut calls: JoinSet<()>) {
    work.consumer.context().lanes.end_all();
    if timeout(DRAIN, async { while calls.join_next().await.is_some() {} }).await.is_err() {
        calls.shutdown().await;
    }
    let finished = tokio::task::spawn_blocking(move || {
        if let Err(error) = work.producer.flush(FLUSH) {
            tracing::warn!(%error, "the last replies did not leave");
        }
        consumer::commit(&work.consumer);
    });
    let _ = finished.await;
}

fn span(received: &Received) -> Span {
    trace::continued(received.trace_context, || {
        let name = received.trigger.topic();
        tracing::info_span!(target: trace::ROOT, "invoke", otel.name = format!("invoke {name}"), otel.kind = "client")
    })
}

/// What the calls of one connection share.
struct Work {
    invoker: Invoker,
    places: Places,
    consumer: StreamConsumer<Context>,
    producer: FutureProducer<Listener>,
}

impl Work {
    /// Calls the function for a question, and replies.
    async fn answer(&self, received: &Received, question: &Question, address: &Url) {
        let started = Instant::now();
        let left = Duration::from_millis(u64::try_from(question.deadline.0 - Clock.now().0).unwrap_or(0));
        let asked = timeout(left, self.ask(received, address, started + left)).await;
        let outcome = match asked.unwrap_or(Err(Unavailable::Late)) {
            Ok(Answer::Returned(reply)) => self.reply(question, &reply, "answered").await,
            Ok(Answer::Failed(reply)) => self.reply(question, &reply, "failed").await,
            Err(why) => {
                tracing::warn!(%why, function = received.function, "a question of a trigger goes without an answer");
                outcome(&why)
            }
        };
        metrics::TRIGGER_BRIDGE_DURATION.record(started.elapsed(), [received.trigger.topic(), outcome]);
    }

    async fn ask(&self, received: &Received, address: &Url, until: Instant) -> Result<Answer, Unavailable> {
        let _place = self.places.take(address, Kind::Asked).await;
        let mut pause = Pause::default();
        loop {
            match self.invoke(received, address, until.duration_since(Instant::now())).await {
                Err(why) if why.may_pass() => {
                    tracing::debug!(%why, function = received.function, "a question of a trigger is asked again");
                    tokio::time::sleep(pause.next_pause()).await;
                    if Instant::now() >= until {
                        return Err(why);
                    }
                }
                answered => return answered,
            }
        }
    }

    async fn reply(&self, question: &Question, reply: &[u8], outcome: &'static str) -> &'static str {
        let id = question.correlation_id.as_str();
        let headers = OwnedHeaders::new().insert(Header { key: CORRELATION_ID, value: Some(id) });
        let record = FutureRecord::to(&question.topic).partition(question.partition).key(id).payload(reply);
        match self.producer.send(record.headers(headers), Duration::ZERO).await {
            Ok(_) => outcome,
            Err((error, _)) => {
                tracing::warn!(%error, "a reply can't be sent");
                "unsent"
            }
        }
    }

    /// Calls the function for what it is told, until it is done.
    async fn tell(&self, received: &Received, address: &Url, partition: &Partition, mut turn: Turn) {
        let ended = turn.ended();
        if !turn.comes().await {
            return;
        }
        tokio::select! {
            () = self.tell_until_done(received, address) => self.end(partition, turn),
            // Another process tells it, or this one when it starts again.
            () = ended.cancelled() => {}
        }
    }

    async fn tell_until_done(&self, received: &Received, address: &Url) {
        let (mut pause, mut refusals) = (Pause::default(), 0);
        loop {
            let started = Instant::now();
            let place = self.places.take(address, Kind::Told).await;
            let told = self.invoke(received, address, TELLING).await;
            drop(place);
            let (outcome, why) = match told {
                Ok(Answer::Returned(_)) => ("answered", None),
                Ok(Answer::Failed(_)) => ("failed", Some("the function has failed".to_owned())),
                Err(why) => (outcome(&why), Some(why.to_string())),
            };
            metrics::TRIGGER_BRIDGE_DURATION.record(started.elapsed(), [received.trigger.topic(), outcome]);
            let Some(why) = why else { return };
            refusals += u32::from(matches!(outcome, "failed" | "refused"));
            if refusals == TELLINGS || is_outdated(received) {
                tracing::error!(why, function = received.function, "what a trigger is told is given up");
                return;
            }
            tracing::warn!(why, function = received.function, "a trigger will be told again");
            tokio::time::sleep(pause.next_pause()).await;
        }
    }

    async fn invoke(&self, received: &Received, address: &Url, limit: Duration) -> Result<Answer, Unavailable> {
        let trace = TraceContext::of(&Span::current()).or(received.trace_context);
        self.invoker.invoke(address.clone(), received.event.clone(), trace, limit).await
    }

    /// Notes that a record is done.
    fn end(&self, partition: &Partition, turn: Turn) {
        let store = |position| {
            consumer::adjust(partition, Offset::Offset(position), |list| self.consumer.store_offsets(list));
        };
        if turn.end(store) {
            consumer::adjust(partition, Offset::Invalid, |list| self.consumer.resume(list));
        }
    }
}

fn is_outdated(received: &Received) -> bool {
    received.written.is_some_and(|written| Clock.now().0 - written.0 > LONGEST_TELLING_MILLIS)
}

/// What becomes of a call, as metrics have it.
fn outcome(why: &Unavailable) -> &'static str {
    match why {
        Unavailable::Refused(_) => "refused",
        Unavailable::Late => "late",
        Unavailable::Status(_) | Unavailable::Unreachable(_) | Unavailable::Broken(_) => "unavailable",
    }
}

/// What a call is for. What is told takes no places from questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Asked,
    Told,
}

/// Bounds how many calls of one endpoint are under way.
#[derive(Debug)]
struct Places {
    most: usize,
    by_endpoint: Mutex<HashMap<(String, Kind), Arc<Semaphore>>>,
}

impl Places {
    /// A place at an endpoint, once one is free. `None` never comes: the places are never closed.
    async fn take(&self, address: &Url, kind: Kind) -> Option<OwnedSemaphorePermit> {
        let endpoint = address.origin().ascii_serialization();
        let places = {
            let mut by_endpoint = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
            by_endpoint.entry((endpoint, kind)).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
        };
        places.acquire_owned().await.ok()
    }
}
