//! Asking triggers: a question goes to the trigger's topic, and the reply comes back on a partition that only this
//! process reads.
//!
//! ```text
//!   ask ──▶ userpool.triggers.<trigger> ──▶ a responder ──▶ userpool.triggers.replies, partition n ──▶ ask
//!            correlation-id, reply-to, reply-partition n, deadline, attempt, function, traceparent
//! ```
//!
//! A question has one correlation id, which nobody can guess. It is asked at most three times, five seconds each, and
//! the first reply under its id counts. Replies to nobody are counted and dropped: doubled ones, late ones, and those to
//! a process that had the partition before.
//!
//! A process connects when it asks for the first time, and knows where its partition ends before it sends. The brokers
//! may be away: then a question goes without an answer, as it does if there is no responder.

mod asked;
pub mod bridge;
mod inbox;
mod partition;
mod places;
mod record;
mod route;
mod telling;
mod wire;

pub use asked::Asked;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::FutureProducer;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::domain::trigger::Trigger;
use crate::environment::{Clock, Random};
use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::kafka::topics::trigger_topic;
use crate::store::Store;
use crate::telemetry::metrics;
use crate::telemetry::trace::TraceContext;
use inbox::Inbox;
use places::Places;
use record::Question;
use route::Route;
use wire::Wire;

/// How often a question is asked, as Cognito asks a Lambda function.
pub const ATTEMPTS: u32 = 3;
/// How long each attempt waits for a reply.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How many calls of one function of a pool are under way at most, unless the operator says otherwise.
pub const IN_FLIGHT: usize = 64;

/// A call of a trigger. Debug does not show the event, which can have a password.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The trigger.
    pub trigger: Trigger,
    /// The pool's value for it in `LambdaConfig`.
    pub function: &'a str,
    /// The id of the pool.
    pub user_pool_id: &'a str,
    /// The event, as JSON.
    pub event: &'a [u8],
    /// The trace that the call belongs to.
    pub trace_context: Option<TraceContext>,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({} of {})", self.trigger.name(), self.user_pool_id)
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nobody has replied in time.
    #[error("no reply within the time of all attempts")]
    Silence,
    /// As many calls of the function are under way as may be.
    #[error("too many calls of the function are under way")]
    Crowded,
    /// The server has no brokers.
    #[error("no Kafka brokers are configured")]
    NoBrokers,
}

/// The triggers of a server's pools. Without brokers, none answers.
#[derive(Clone, Debug, Default)]
pub struct Triggers(Option<Arc<Exchange>>);

/// What asks, and what listens.
#[derive(Debug)]
struct Exchange {
    config: KafkaConfig,
    random: Random,
    clock: Clock,
    places: Places,
    inbox: Arc<Inbox>,
    /// Raised by the first question.
    wanted: Notify,
    /// Where replies arrive, once it is known.
    route: watch::Sender<Option<Route>>,
}

impl Triggers {
    /// Triggers behind these brokers. Nothing is asked before [`Triggers::run`].
    pub fn new(config: KafkaConfig, in_flight: usize) -> Self {
        Self(Some(Arc::new(Exchange {
            config,
            random: Random::default(),
            clock: Clock,
            places: Places::new(in_flight),
            inbox: Arc::default(),
            wanted: Notify::new(),
            route: watch::Sender::new(None),
        })))
    }

    /// Tells triggers and listens for replies until it is told to stop. It never fails: it waits for anything that is
    /// unavailable.
    pub async fn run(self, store: Store, holder: String, stop: CancellationToken) {
        let Some(exchange) = self.0 else { return };
        let telling = telling::run(&exchange.config, &store, &stop);
        tokio::join!(telling, exchange.listen(store.clone(), holder, &stop));
    }

    /// Asks a trigger, and returns the first reply.
    pub async fn ask(&self, call: Call<'_>) -> Result<Vec<u8>, Unanswered> {
        let started = Instant::now();
        let answer = match &self.0 {
            Some(exchange) => exchange.ask(call).await,
            None => Err(Unanswered::NoBrokers),
        };
        let outcome = match answer {
            Ok(_) => "answered",
            Err(Unanswered::Silence) => "silent",
            Err(Unanswered::Crowded) => "refused",
            Err(Unanswered::NoBrokers) => "no_brokers",
        };
        metrics::TRIGGER_DURATION.record(started.elapsed(), [call.trigger.topic(), outcome]);
        answer
    }
}

impl Exchange {
    /// Listens for replies, from the first question on.
    async fn listen(&self, store: Store, holder: String, stop: &CancellationToken) {
        tokio::select! {
            () = self.wanted.notified() => {}
            () = stop.cancelled() => return,
        }
        let wire = Wire { config: &self.config, inbox: &self.inbox, route: &self.route, store, holder };
        wire.keep(stop).await;
    }

    async fn ask(&self, call: Call<'_>) -> Result<Vec<u8>, Unanswered> {
        let _place = self.places.take(call.user_pool_id, call.function).ok_or(Unanswered::Crowded)?;
        let correlation_id = hex::encode(self.random.bytes::<16>());
        let mut expected = self.inbox.expect(&correlation_id);
        let topic = trigger_topic(&self.config, call.trigger);
        self.wanted.notify_one();
        for attempt in 1..=ATTEMPTS {
            let until = Instant::now() + PATIENCE;
            let deadline = self.clock.now().0 + PATIENCE.as_millis() as i64;
            let Some(route) = self.route(until).await else { continue };
            let question = Question {
                topic: &topic,
                correlation_id: &correlation_id,
                attempt,
                deadline,
                route: &route,
                call: &call,
            };
            if attempt > 1 {
                metrics::TRIGGER_REPEATS.add(1, [call.trigger.topic()]);
            }
            send(&route.producer, &question);
            if let Ok(reply) = timeout_at(until, expected.reply()).await {
                return Ok(reply);
            }
        }
        Err(Unanswered::Silence)
    }

    /// Where replies arrive; `None` if that is not known until then.
    async fn route(&self, until: Instant) -> Option<Route> {
        let mut route = self.route.subscribe();
        let found = timeout_at(until, route.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }
}

/// Hands a question over to the brokers. What becomes of it shows by the reply.
fn send(producer: &FutureProducer<Listener>, question: &Question<'_>) {
    if let Err((error, _)) = producer.send_result(question.record()) {
        tracing::warn!(%error, trigger = question.call.trigger.name(), "a trigger can't be asked");
    }
}
