//! Responders: what answers for the triggers of a scenario's pool. One reader of all trigger topics serves every
//! scenario of this process, and hands each question to the responder of its pool.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use userpool::domain::trigger::Trigger;
use userpool::kafka::config::KafkaConfig;
use userpool::kafka::topics::{PARTITIONS, trigger_topic};
use userpool::proto::v1::LambdaConfigType;

use super::environment::environment;
use super::poll_until;

/// The function that scenarios name for a trigger.
pub fn function(trigger: Trigger) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:{}", trigger.topic())
}

/// A pool's configuration with these triggers on, those of versions and senders excepted.
pub fn lambda_config(triggers: &[Trigger]) -> LambdaConfigType {
    let on = |trigger: Trigger| triggers.contains(&trigger).then(|| function(trigger));
    LambdaConfigType {
        pre_sign_up: on(Trigger::PreSignUp),
        custom_message: on(Trigger::CustomMessage),
        post_confirmation: on(Trigger::PostConfirmation),
        pre_authentication: on(Trigger::PreAuthentication),
        post_authentication: on(Trigger::PostAuthentication),
        define_auth_challenge: on(Trigger::DefineAuthChallenge),
        create_auth_challenge: on(Trigger::CreateAuthChallenge),
        verify_auth_challenge_response: on(Trigger::VerifyAuthChallengeResponse),
        pre_token_generation: on(Trigger::PreTokenGeneration),
        user_migration: on(Trigger::UserMigration),
        ..LambdaConfigType::default()
    }
}

/// What a responder was asked or told.
#[derive(Clone, Debug)]
pub struct Asked {
    pub topic: String,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub event: Value,
}

impl Asked {
    /// Why: `PreSignUp_SignUp` and so on.
    pub fn source(&self) -> &str {
        self.event["triggerSource"].as_str().unwrap_or_default()
    }

    /// The event with these members in its `response`.
    pub fn answered(&self, response: Value) -> Reply {
        let mut event = self.event.clone();
        event["response"] = response;
        Reply::Event(event)
    }

    /// Which attempt to ask it is.
    pub fn attempt(&self) -> u32 {
        self.headers["attempt"].parse().expect("a number")
    }
}

/// How a responder answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The event, with what is in its `response`.
    Event(Value),
    /// The error of a handler.
    Error(String),
    /// These bytes.
    Raw(Vec<u8>),
    /// Several replies, one after the other.
    Many(Vec<Reply>),
    /// The reply, after this time.
    After(Duration, Box<Reply>),
    /// None.
    Silence,
}

type Handler = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// What answers for the triggers of one pool.
#[derive(Clone)]
pub struct Responder {
    handler: Handler,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Responder {
    /// Everything that it was asked or told so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, of one source.
    pub fn asked_of(&self, source: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.source() == source).collect()
    }
}

/// The responders by pool.
static RESPONDERS: LazyLock<Mutex<HashMap<String, Responder>>> = LazyLock::new(Mutex::default);

/// Answers from now on for the triggers of a pool. Without a call of this, nobody answers for it.
pub async fn respond(pool_id: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Responder {
    tokio::task::spawn_blocking(|| LazyLock::force(&READER)).await.expect("a reader of the triggers' topics");
    answer_for(pool_id, handler)
}

/// The same where a reader is listening already, or will be.
pub fn answer_for(pool_id: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Responder {
    let responder = Responder { handler: Arc::new(handler), asked: Arc::default() };
    RESPONDERS.lock().unwrap_or_else(PoisonError::into_inner).insert(pool_id.to_owned(), responder.clone());
    responder
}

/// The reader of the scenarios.
static READER: LazyLock<()> = LazyLock::new(|| listen(&KafkaConfig::new(&environment().kafka.bootstrap)));

/// Reads the topics of these brokers from now on. It knows where each partition ends before anybody is asked.
pub fn listen(config: &KafkaConfig) {
    let consumer = reader(config);
    let replies = Replies::new(&config.brokers);
    std::thread::spawn(move || {
        loop {
            // While a broker is away there are errors, and afterwards records again.
            if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
                hand_over(&message, &replies);
            }
        }
    });
}

fn reader(config: &KafkaConfig) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", "responders")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for topic in Trigger::ALL.map(|trigger| trigger_topic(config, trigger)) {
        for partition in 0..PARTITIONS {
            // A partition that was just created may have no leader yet.
            let mut end = None;
            let known = poll_until(Duration::from_secs(30), || {
                end = consumer.fetch_watermarks(&topic, partition, Duration::from_secs(5)).ok();
                end.is_some()
            });
            assert!(known, "partition {partition} of {topic} is there");
            let end = end.map_or(0, |(_, end)| end);
            partitions.add_partition_offset(&topic, partition, Offset::Offset(end)).expect("an offset");
        }
    }
    consumer.assign(&partitions).expect("an assignment");
    consumer
}

fn hand_over(message: &BorrowedMessage<'_>, replies: &Replies) {
    let asked = asked(message);
    let pool_id = asked.event["userPoolId"].as_str().unwrap_or_default().to_owned();
    let found = RESPONDERS.lock().unwrap_or_else(PoisonError::into_inner).get(&pool_id).cloned();
    let Some(responder) = found else { return };
    responder.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    let replies = replies.clone();
    // A slow handler holds up no other.
    std::thread::spawn(move || {
        let reply = (responder.handler)(&asked);
        replies.send(&asked, &reply);
    });
}

fn asked(message: &BorrowedMessage<'_>) -> Asked {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Asked {
        topic: message.topic().to_owned(),
        key: text(message.key()),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        event: serde_json::from_slice(message.payload().unwrap_or_default()).expect("an event"),
    }
}

/// Sends replies.
#[derive(Clone)]
struct Replies(FutureProducer);

impl Replies {
    fn new(brokers: &str) -> Self {
        let producer = ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").create();
        Self(producer.expect("a producer"))
    }

    #[expect(clippy::disallowed_methods, reason = "this is a thread of its own")]
    fn send(&self, asked: &Asked, reply: &Reply) {
        let bytes = match reply {
            Reply::Event(event) => event.to_string().into_bytes(),
            Reply::Error(message) => json!({"errorMessage": message, "errorType": "Error"}).to_string().into_bytes(),
            Reply::Raw(bytes) => bytes.clone(),
            Reply::Many(replies) => return replies.iter().for_each(|reply| self.send(asked, reply)),
            Reply::After(time, reply) => {
                std::thread::sleep(*time);
                return self.send(asked, reply);
            }
            Reply::Silence => return,
        };
        // What is only told has nowhere to reply to.
        let Some(topic) = asked.headers.get("reply-to") else { return };
        let value = Some(asked.headers["correlation-id"].as_str());
        let headers = OwnedHeaders::new().insert(Header { key: "correlation-id", value });
        let partition = asked.headers["reply-partition"].parse().expect("a number");
        let record = FutureRecord::<str, _>::to(topic).payload(&bytes).partition(partition).headers(headers);
        let _ = self.0.send_result(record);
    }
}
