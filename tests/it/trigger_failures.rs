//! Asking triggers while parts fail: brokers restart, replicas are killed, no broker is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use userpool::domain::trigger::Trigger;
use userpool::environment::Random;
use userpool::kafka::config::KafkaConfig;
use userpool::kafka::topics;
use userpool::store::keys::MasterKeys;
use userpool::store::{ConnectionRole, Store};
use userpool::triggers::{Call, IN_FLIGHT, Triggers, Unanswered};

use crate::support::environment::environment;
use crate::support::http::send_if_there;
use crate::support::kafka::Kafka;
use crate::support::pool::unique;
use crate::support::process::PATIENCE;
use crate::support::serve::Installation;
use crate::support::triggers::{answer_for, function, lambda_config, listen};

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

async fn store(name: &'static str) -> Store {
    let url = blocking(move || {
        environment().postgres.create_database(name);
        environment().postgres.url(name)
    })
    .await;
    let master = MasterKeys::parse(&MasterKeys::generate_line("test", &Random::default())).unwrap();
    let database = userpool::store::connect(&url, 4, ConnectionRole::Api).await.unwrap();
    let store = Store::new(database, Arc::new(master));
    store.migrate().await.unwrap();
    store
}

/// Triggers that listen for replies until the test ends.
fn triggers(store: &Store, config: &KafkaConfig, holder: &str) -> Triggers {
    let triggers = Triggers::new(config.clone(), IN_FLIGHT);
    tokio::spawn(triggers.clone().run(store.clone(), holder.to_owned(), CancellationToken::new()));
    triggers
}

/// Asks about a pool that need not exist: the event is as small as a responder allows.
async fn ask(triggers: &Triggers, pool: &str) -> Result<serde_json::Value, Unanswered> {
    let event = json!({ "userPoolId": pool }).to_string();
    let function = function(Trigger::PreSignUp);
    let call = Call {
        trigger: Trigger::PreSignUp,
        function: &function,
        user_pool_id: pool,
        event: event.as_bytes(),
        trace_context: None,
    };
    let reply = triggers.ask(call).await?;
    Ok(serde_json::from_slice(&reply).unwrap())
}

#[tokio::test]
async fn without_brokers_no_trigger_answers() {
    assert_eq!(ask(&Triggers::default(), "nowhere").await, Err(Unanswered::NoBrokers));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_reads_a_partition_of_its_own() {
    let config = KafkaConfig { prefix: "replicas.".to_owned(), ..KafkaConfig::new(&environment().kafka.bootstrap) };
    let store = store("trigger_replicas").await;
    let one = triggers(&store, &config, "one");
    let other = triggers(&store, &config, "other");
    let listening = config.clone();
    blocking(move || {
        topics::create_missing(&listening, &CancellationToken::new()).unwrap();
        listen(&listening);
    })
    .await;
    let responder =
        answer_for("replicas", |asked| asked.answered(json!({"partition": asked.headers["reply-partition"]})));
    let (first, second) = tokio::join!(ask(&one, "replicas"), ask(&other, "replicas"));
    assert_ne!(first.unwrap()["response"], second.unwrap()["response"]);
    assert_eq!(responder.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_again_once_the_broker_is_back() {
    let (mut kafka, config) = blocking(|| {
        let kafka = Kafka::start();
        let config = KafkaConfig::new(&kafka.bootstrap);
        topics::create_missing(&config, &CancellationToken::new()).unwrap();
        listen(&config);
        (kafka, config)
    })
    .await;
    let store = store("trigger_restart").await;
    let triggers = triggers(&store, &config, "one");
    answer_for("restart", |asked| asked.answered(json!({})));
    ask(&triggers, "restart").await.unwrap();
    let mut kafka = blocking(move || {
        kafka.kill();
        kafka
    })
    .await;
    let asking = tokio::spawn(async move {
        let began = Instant::now();
        while ask(&triggers, "restart").await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the broker is not back, or not found");
        }
    });
    let kafka = blocking(move || {
        kafka.restart();
        kafka
    })
    .await;
    asking.await.unwrap();
    blocking(move || drop(kafka)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_while_it_asks_leaves_nothing_behind_and_the_other_takes_over() {
    const PREFIX: &str = "asking.";
    let config = KafkaConfig { prefix: PREFIX.to_owned(), ..KafkaConfig::new(&environment().kafka.bootstrap) };
    let (installation, mut killed, other) = blocking(|| {
        environment().postgres.create_database("asking");
        let installation = Installation::on(&environment().postgres.url("asking"));
        let brokers = &environment().kafka.bootstrap;
        let start = || installation.start(&["--kafka-brokers", brokers, "--kafka-prefix", PREFIX]);
        let (killed, other) = (start(), start());
        (installation, killed, other)
    })
    .await;
    let listening = config.clone();
    blocking(move || {
        topics::create_missing(&listening, &CancellationToken::new()).unwrap();
        listen(&listening);
    })
    .await;
    let call = |operation: &str, request: serde_json::Value| {
        let (grpc, request) = (other.grpc.to_string(), request.to_string());
        let printed =
            installation.run(&["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token]);
        serde_json::from_str::<serde_json::Value>(&printed).expect("it prints JSON")
    };
    let function = lambda_config(&[Trigger::PreSignUp]).pre_sign_up.unwrap();
    let pool = call("CreateUserPool", json!({ "PoolName": "asking", "LambdaConfig": { "PreSignUp": function } }));
    let pool_id = pool["UserPool"]["Id"].as_str().unwrap().to_owned();
    let client = call("CreateUserPoolClient", json!({ "UserPoolId": pool_id, "ClientName": "app" }));
    let client_id = client["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
    let name = unique("jane");
    let body = json!({ "ClientId": client_id, "Username": name, "Password": "Correct-horse-1" }).to_string();
    let responder = answer_for(&pool_id, |_| crate::support::triggers::Reply::Silence);
    let sign_up = |address| {
        let body = body.clone();
        async move {
            let target = [("x-amz-target", "AWSCognitoIdentityProviderService.SignUp")];
            send_if_there(address, "POST", "/", &target, body.as_bytes()).await
        }
    };
    let asking = tokio::spawn(sign_up(killed.http));
    let began = Instant::now();
    while responder.asked().is_empty() {
        assert!(began.elapsed() < PATIENCE, "{}", killed.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    blocking(move || killed.end(Signal::SIGKILL)).await;
    assert!(asking.await.unwrap().is_none(), "there is no answer");
    let database = PgPool::connect(&installation.database_url).await.unwrap();
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&database).await.unwrap();
    assert_eq!(users, 0);
    answer_for(&pool_id, |asked| asked.answered(json!({"autoConfirmUser": true})));
    let answer = sign_up(other.http).await.expect("an answer");
    assert_eq!(answer.json()["UserConfirmed"], json!(true), "{}", answer.text());
    blocking(move || drop((installation, other))).await;
}
