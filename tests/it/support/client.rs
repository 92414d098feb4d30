//! The clients of the scenarios: gRPC with the generated messages, and the AWS SDK. Both call the two processes in
//! turn.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ::http::uri::PathAndQuery;
use aws_sdk_cognitoidentityprovider as aws;
use bytes::Bytes;
use prost::Message;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request as Call, Status};
use tonic_types::StatusExt;
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::{Operation, Request};
use userpool::proto::userpool::v1::Authorization;

use super::dev::Address;
use super::environment::{Account, Dev, Environment, environment};
use super::{http, refusals, wire};

/// How long a scenario waits for something that happens a little later.
const PATIENCE: Duration = Duration::from_secs(20);

/// A refusal as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exception's name, such as `NotAuthorizedException`.
    pub exception: String,
    /// The exception's message, as clients compare it.
    pub message: String,
    /// The code of the gRPC status.
    pub code: Code,
    /// Names of the fields that break a constraint.
    pub fields: Vec<String>,
    /// The pause before the next try, from `RetryInfo`; `None` if there is none.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Exception and sentence, which most scenarios compare.
    pub fn pair(&self) -> (&str, &str) {
        (&self.exception, &self.message)
    }
}

/// Asserts that a call was refused with an exception and a sentence.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, exception: &str, message: &str) {
    let refusal = answer.expect_err("the call is refused");
    assert_eq!(refusal.pair(), (exception, message));
}

/// A client of the two processes.
#[derive(Clone)]
pub struct Api {
    channels: Vec<Channel>,
    processes: Vec<Dev>,
}

impl Api {
    /// A client of the scenarios' environment, on the runtime of the caller.
    pub async fn connect() -> Self {
        let environment = tokio::task::spawn_blocking(environment).await.expect("the environment starts");
        Self::of(&environment.processes)
    }

    /// A client of these processes, which share a database.
    pub fn of(processes: &[Dev]) -> Self {
        let channel = |process: &Dev| {
            let endpoint = Endpoint::from_shared(format!("http://{}", process.grpc)).expect("an address");
            endpoint.connect_lazy()
        };
        Self { channels: processes.iter().map(channel).collect(), processes: processes.to_vec() }
    }

    /// A client of these processes that calls from an address of this machine, over this many connections to each.
    pub fn from(processes: &[Dev], address: &str, connections: usize) -> Self {
        let address: IpAddr = address.parse().expect("an address");
        let channel = |process: &Dev| {
            let endpoint = Endpoint::from_shared(format!("http://{}", process.grpc)).expect("an address");
            endpoint.local_address(Some(address)).connect_lazy()
        };
        let channels = (0..connections).flat_map(|_| processes.iter().map(channel)).collect();
        Self { channels, processes: processes.to_vec() }
    }

    /// The processes that it talks to.
    pub fn processes(&self) -> &[Dev] {
        &self.processes
    }

    /// The process that gets the next call; they take turns.
    pub fn next(&self) -> &Dev {
        &self.processes[environment().next() % self.processes.len()]
    }

    /// The environment of the scenarios.
    pub fn environment(&self) -> &'static Environment {
        environment()
    }

    /// Calls as the service account of the environment, where the operation needs one. Waits, as SDKs do, while the server
    /// has no capacity left: the scenarios run in parallel on few cores.
    pub async fn call<Req: Request + Clone>(&self, request: Req) -> Result<Req::Response, Refusal> {
        self.call_patiently(self.authorization::<Req>().as_deref(), request).await
    }

    /// Calls once, without waiting for capacity.
    pub async fn call_once<Req: Request>(&self, request: Req) -> Result<Req::Response, Refusal> {
        self.call_as(self.authorization::<Req>().as_deref(), request).await
    }

    /// Calls with this `authorization` header, or none, and waits for capacity.
    pub async fn call_patiently<Req: Request + Clone>(
        &self,
        authorization: Option<&str>,
        request: Req,
    ) -> Result<Req::Response, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.call_as(authorization, request.clone()).await {
                Err(refusal) if refusal.exception == "TooManyRequestsException" && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                answer => return answer,
            }
        }
    }

    fn authorization<Req: Request>(&self) -> Option<String> {
        let developer = Req::OPERATION.info().authorization == Authorization::Developer;
        developer.then(|| format!("Bearer {}", self.account().token()))
    }

    /// Asserts a refusal where the operation declares it; sends nothing where it doesn't.
    pub async fn refused_alike<Req: Request + Clone>(&self, request: Req, exception: &str, message: &str) {
        if refusals::is_declared(Req::OPERATION, exception, message) {
            assert_refused(self.call(request).await.map(drop), exception, message);
        }
    }

    /// Calls once with this `authorization` header, or none.
    pub async fn call_as<Req: Request>(
        &self,
        authorization: Option<&str>,
        request: Req,
    ) -> Result<Req::Response, Refusal> {
        let authorization = authorization.map(|value| ("authorization", value));
        self.call_with(authorization.as_slice(), request).await
    }

    /// Calls once, as the account of the environment, with a name for the command.
    pub async fn call_named<Req: Request>(&self, name: &str, request: Req) -> Result<Req::Response, Refusal> {
        let authorization = format!("Bearer {}", self.account().token());
        self.call_with(&[("authorization", &authorization), ("idempotency-key", name)], request).await
    }

    /// Calls once with this metadata.
    pub async fn call_with<Req: Request>(
        &self,
        metadata: &[(&'static str, &str)],
        request: Req,
    ) -> Result<Req::Response, Refusal> {
        let mut call = Call::new(Bytes::from(request.encode_to_vec()));
        for (name, value) in metadata {
            call.metadata_mut().append(*name, value.parse().expect("a header"));
        }
        let mut client = tonic::client::Grpc::new(self.channels[environment().next() % self.channels.len()].clone());
        client.ready().await.expect("the server listens");
        let path = PathAndQuery::from_static(Req::OPERATION.info().path);
        let answer = client.unary(call, path, BytesCodec).await.map_err(|status| refusal(&status));
        let answer = answer.inspect_err(|it| refusals::met(Req::OPERATION.info().name, &it.exception, &it.message))?;
        Ok(Req::Response::decode(answer.into_inner()).expect("the answer is of the operation's type"))
    }

    /// Calls a developer operation at the AWS door with this JSON, unchanged by an SDK.
    pub async fn aws_json(&self, operation: &str, body: &Value) -> wire::Answer {
        let (process, account) = (self.next(), self.account());
        let address = Address {
            grpc: process.grpc,
            http: process.http,
            access_key_id: account.access_key_id.clone(),
            secret_access_key: account.secret.clone(),
            token: account.token(),
            database_url: process.database_url.clone(),
        };
        let info = Operation::by_name(operation).expect("an operation").info();
        wire::aws(&address, info, body.to_string().as_bytes()).await
    }

    /// The AWS SDK with the environment's account, at the next process.
    pub fn aws(&self) -> aws::Client {
        self.aws_as(self.account(), "us-east-1")
    }

    /// The AWS SDK with an account, in a region.
    pub fn aws_as(&self, account: &Account, region: &'static str) -> aws::Client {
        let process = self.next();
        let credentials =
            aws::config::Credentials::new(&account.access_key_id, &account.secret, None, None, "scenarios");
        let config = aws::Config::builder()
            .behavior_version_latest()
            .region(aws::config::Region::new(region))
            .credentials_provider(credentials)
            .endpoint_url(format!("http://{}", process.http))
            .build();
        aws::Client::from_conf(config)
    }

    /// The account of the environment.
    pub fn account(&self) -> &Account {
        &self.processes[0].account
    }
}

impl Api {
    /// Waits for a message to an address and returns its code.
    pub async fn code_for(&self, address: &str) -> String {
        let messages = self.messages_for(address, 1).await;
        messages[0]["code"].as_str().expect("the message carries a code").to_owned()
    }

    /// Waits until an address has at least this many messages, and returns them, the newest first.
    pub async fn messages_for(&self, address: &str, count: usize) -> Vec<Value> {
        let found = RefCell::new(Vec::new());
        let arrived = eventually(async || {
            let messages = self.mailbox(address).await;
            let enough = messages.len() >= count;
            found.replace(messages);
            enough
        });
        assert!(arrived.await, "no message arrived");
        found.into_inner()
    }

    /// The messages that have arrived at an address.
    pub async fn mailbox(&self, address: &str) -> Vec<Value> {
        let query = address.replace('%', "%25").replace('+', "%2B").replace('&', "%26");
        let answer = http::get(self.next().http, &format!("/dev/messages?to={query}")).await;
        assert_eq!(answer.status, 200);
        answer.json().as_array().cloned().expect("a list of messages")
    }
}

fn refusal(status: &Status) -> Refusal {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("a status without ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "userpool");
    assert!(details.request_info().is_some_and(|request| !request.request_id.is_empty()));
    let fields = details.bad_request().map(|it| it.field_violations.as_slice()).unwrap_or_default();
    Refusal {
        exception: info.metadata.get("exception").cloned().unwrap_or_default(),
        message: status.message().to_owned(),
        code: status.code(),
        fields: fields.iter().map(|violation| violation.field.clone()).collect(),
        retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
    }
}

/// Checks a condition until it holds or the time is over.
pub async fn eventually(condition: impl AsyncFn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
