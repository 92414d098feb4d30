//! `userpool trigger-bridge`: functions behind HTTP decide, and what is told reaches them at least once and in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use userpool::proto::v1::*;

use crate::support::client::{assert_refused, eventually};
use crate::support::environment::environment;
use crate::support::pool::{Pool, email_pool, password_client, unique};
use crate::support::process::{Process, userpool};

/// An endpoint in the form of Lambda's Invoke API.
#[derive(Clone, Default)]
struct Endpoint {
    /// The events that each function was called with.
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    /// How often each user name is answered with 503 before the handler runs.
    busy: Arc<Mutex<HashMap<String, u32>>>,
}

impl Endpoint {
    /// Listens on this machine, and returns its address.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let path = "/2015-03-31/functions/{name}/invocations";
        let router = Router::new().route(path, post(invoke)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn is_busy_for(&self, name: &str, times: u32) {
        self.busy.lock().unwrap().insert(name.to_owned(), times);
    }

    /// The names of the users that a function was called about.
    fn users(&self, function: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let of_function = calls.iter().filter(|(name, _)| name == function);
        of_function.map(|(_, event)| event["userName"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

async fn invoke(State(endpoint): State<Endpoint>, Path(function): Path<String>, body: String) -> Response {
    let mut event: Value = serde_json::from_str(&body).unwrap();
    let name = event["userName"].as_str().unwrap_or_default().to_owned();
    endpoint.calls.lock().unwrap().push((function, event.clone()));
    if let Some(left) = endpoint.busy.lock().unwrap().get_mut(&name)
        && *left > 0
    {
        *left -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if name.starts_with("bad") {
        let error = json!({ "errorMessage": "not you", "errorType": "Error" }).to_string();
        return ([("x-amz-function-error", "Unhandled")], error).into_response();
    }
    event["response"] = json!({ "autoConfirmUser": true });
    event.to_string().into_response()
}

/// Starts a bridge and waits until it is connected.
async fn start(arguments: Vec<String>) -> Process {
    let started = tokio::task::spawn_blocking(move || {
        let mut command = userpool();
        command.args(["trigger-bridge", "--kafka-brokers", &environment().kafka.bootstrap]).args(arguments);
        let mut bridge = Process::spawn(command);
        assert!(bridge.says("userpool trigger-bridge is ready"), "{}", bridge.log());
        bridge
    });
    started.await.unwrap()
}

async fn stop(mut bridge: Process) -> String {
    let stopped = tokio::task::spawn_blocking(move || {
        assert!(bridge.end(Signal::SIGTERM).success(), "{}", bridge.log());
        bridge.log()
    });
    stopped.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_behind_http_decides() {
    let endpoint = Endpoint::default();
    let gate = "arn:aws:lambda:us-east-1:123456789012:function:bridge-gate";
    let lambda_config = Some(LambdaConfigType { pre_sign_up: Some(gate.to_owned()), ..LambdaConfigType::default() });
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..email_pool() }, password_client()).await;
    let function = format!("--function={gate}={}", endpoint.listen().await);
    let bridge = start(vec![function, "--trigger=pre-sign-up".to_owned()]).await;

    assert!(pool.sign_up(&unique("jane"), &[]).await.unwrap().user_confirmed());
    let refusal = pool.sign_up(&unique("bad"), &[]).await;
    assert_refused(refusal, "UserLambdaValidationException", "PreSignUp failed with error not you.");
    let patient = unique("jill");
    endpoint.is_busy_for(&patient, 2);
    assert!(pool.sign_up(&patient, &[]).await.unwrap().user_confirmed());
    assert_eq!(endpoint.users("bridge-gate").iter().filter(|name| **name == patient).count(), 3);
    let log = stop(bridge).await;
    assert!(!log.contains(&patient), "the event is not logged: {log}");
    pool.verify().await;
}

/// Tells triggers as a server does.
async fn tell(prefix: &str, user: &str) {
    let brokers = &environment().kafka.bootstrap;
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topic = format!("{prefix}userpool.triggers.post-confirmation");
    let headers = OwnedHeaders::new().insert(Header { key: "function", value: Some("greet") });
    let event = json!({ "userName": user, "response": {} }).to_string();
    let record = FutureRecord::to(&topic).key("one key").payload(&event).headers(headers);
    producer.send(record, std::time::Duration::from_secs(30)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_comes_in_order_and_again_until_it_is_done() {
    let endpoint = Endpoint::default();
    let url = endpoint.listen().await;
    let arguments = || vec![format!("--endpoint={url}"), "--kafka-prefix=bridge.".to_owned()];
    let told = async |expected: &[&str]| {
        let is_told = eventually(async || endpoint.users("greet") == expected).await;
        assert!(is_told, "{:?}", endpoint.users("greet"));
    };
    // The first start makes the topics.
    let bridge = start(arguments()).await;
    endpoint.is_busy_for("first", 2);
    for user in ["first", "second"] {
        tell("bridge.", user).await;
    }
    told(&["first", "first", "first", "second"]).await;

    endpoint.calls.lock().unwrap().clear();
    endpoint.is_busy_for("third", u32::MAX);
    for user in ["third", "fourth"] {
        tell("bridge.", user).await;
    }
    assert!(eventually(async || endpoint.users("greet").len() > 1).await);
    stop(bridge).await;
    assert!(endpoint.users("greet").iter().all(|user| user == "third"), "{:?}", endpoint.users("greet"));

    // Another start has neither the first two, which are done, nor loses the others.
    endpoint.calls.lock().unwrap().clear();
    endpoint.is_busy_for("third", 0);
    let bridge = start(arguments()).await;
    told(&["third", "fourth"]).await;
    stop(bridge).await;
}
