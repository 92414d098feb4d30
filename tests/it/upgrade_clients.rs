//! The clients of the upgrade under load. Each signs users up, confirms them, signs them in and asks for them, without a
//! pause, over a connection that it keeps. A call that fails on its way, or that the server says it can't answer now, is
//! repeated once. What fails then is an error that a person would have noticed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws::config::interceptors::{BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef};
use aws::config::retry::RetryConfig;
use aws::config::{ConfigBag, Intercept, RuntimeComponents};
use aws::error::{BoxError, DisplayErrorContext};
use aws::types::AuthFlowType;
use aws_sdk_cognitoidentityprovider as aws;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use userpool::api::aws_json::encode::encode;
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::Operation;
use userpool::proto::descriptor_pool;
use userpool::proto::v1::Authorization;

use crate::support::balancer::Balancer;
use crate::support::wire;

const PASSWORD: &str = "Correct-horse-1";
/// How long a client waits while the server has no capacity left.
const BUSY: Duration = Duration::from_millis(100);

/// Where a client calls.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    Grpc,
    Aws,
}

/// What all clients of both doors have seen, the calls by door.
#[derive(Debug, Default)]
pub struct Tally {
    answered: [AtomicUsize; 2],
    /// Calls that were repeated over gRPC.
    repeated: AtomicUsize,
    /// Calls by the SDK, and how often it sent them.
    executed: AtomicUsize,
    attempted: AtomicUsize,
    busy: AtomicUsize,
    /// The longest call since the last row, in milliseconds.
    longest: AtomicU64,
    errors: Mutex<Vec<String>>,
    /// Why calls over gRPC were repeated.
    reasons: Mutex<Vec<String>>,
    /// The counts at the last row.
    told: Mutex<[usize; 6]>,
    stopped: AtomicBool,
}

impl Tally {
    /// The heads of the columns of a row.
    pub const HEAD: &str = "|  gRPC | again |   AWS | again |  busy | errors | longest";

    /// How many calls each door has answered.
    pub fn answered(&self) -> [usize; 2] {
        [0, 1].map(|door| self.answered[door].load(Ordering::SeqCst))
    }

    /// Calls that failed even when they were repeated.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why calls over gRPC were repeated.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all clients after their present user.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// What was seen since the last row.
    pub fn row(&self) -> String {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        // In this order, because a call is executed before it is attempted.
        let (attempted, executed) = (count(&self.attempted), count(&self.executed));
        let again = attempted.saturating_sub(executed);
        let [grpc, aws] = self.answered();
        let now = [grpc, count(&self.repeated), aws, again, count(&self.busy), self.errors().len()];
        let before = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), now);
        let [grpc, grpc_again, aws, aws_again, busy, errors] =
            std::array::from_fn(|it| now[it].saturating_sub(before[it]));
        let longest = self.longest.swap(0, Ordering::SeqCst);
        format!("| {grpc:>5} | {grpc_again:>5} | {aws:>5} | {aws_again:>5} | {busy:>5} | {errors:>6} | {longest:>4} ms")
    }

    fn ended(&self, door: Door, began: Instant) {
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest.fetch_max(milliseconds, Ordering::SeqCst);
        self.answered[door as usize].fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that keeps its connection.
pub struct Client {
    door: Door,
    channel: Channel,
    token: String,
    aws: aws::Client,
    tally: Arc<Tally>,
}

impl Client {
    /// A client of one door, which connects when it calls first.
    pub fn connect(door: Door, balancer: &Balancer, token: &str, tally: Arc<Tally>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", balancer.grpc)).expect("an address");
        let (id, secret) = token.split_once('.').expect("an id and a secret");
        let config = aws::Config::builder()
            .behavior_version_latest()
            .region(aws::config::Region::new("us-east-1"))
            .credentials_provider(aws::config::Credentials::new(id, secret, None, None, "upgrade"))
            .endpoint_url(format!("http://{}", balancer.http))
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .interceptor(Attempts(tally.clone()))
            .build();
        let (channel, aws) = (endpoint.connect_lazy(), aws::Client::from_conf(config));
        Self { door, channel, token: token.to_owned(), aws, tally }
    }

    /// Takes users through all calls until the clients are stopped. Returns the `sub`s of those whose sign-up was answered.
    pub async fn keep_calling(self, pool: String, app: String, prefix: String) -> Vec<String> {
        let mut subs = Vec::new();
        for number in 0.. {
            if self.tally.stopped.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{prefix}-{number}");
            if let Err(error) = self.user(&pool, &app, &name, &mut subs).await {
                let mut errors = self.tally.errors.lock().unwrap_or_else(PoisonError::into_inner);
                errors.push(format!("{name}: {error}"));
            }
        }
        subs
    }

    /// One user, from the sign-up on.
    async fn user(&self, pool: &str, app: &str, name: &str, subs: &mut Vec<String>) -> Result<(), String> {
        let user = json!({ "ClientId": app, "Username": name, "Password": PASSWORD });
        let signed_up = self.call(Operation::SignUp, &user).await?;
        subs.push(signed_up["UserSub"].as_str().ok_or("no sub")?.to_owned());
        let named = json!({ "UserPoolId": pool, "Username": name });
        self.call(Operation::AdminConfirmSignUp, &named).await?;
        let tokens = self.sign_in(app, "USER_PASSWORD_AUTH", json!({ "USERNAME": name, "PASSWORD": PASSWORD })).await?;
        let tokens = &tokens["AuthenticationResult"];
        self.call(Operation::GetUser, &json!({ "AccessToken": tokens["AccessToken"] })).await?;
        let refresh = json!({ "REFRESH_TOKEN": tokens["RefreshToken"] });
        self.sign_in(app, "REFRESH_TOKEN_AUTH", refresh).await?;
        self.call(Operation::AdminGetUser, &named).await?;
        Ok(())
    }

    async fn sign_in(&self, app: &str, flow: &str, parameters: Value) -> Result<Value, String> {
        let request = json!({ "ClientId": app, "AuthFlow": flow, "AuthParameters": parameters });
        self.call(Operation::InitiateAuth, &request).await
    }

    /// A call that has to succeed.
    pub async fn must(&self, operation: Operation, request: &Value) -> Value {
        self.call(operation, request).await.expect("it succeeds")
    }

    async fn call(&self, operation: Operation, request: &Value) -> Result<Value, String> {
        let began = Instant::now();
        let answer = match self.door {
            Door::Grpc => self.over_grpc(operation, request).await,
            Door::Aws => self.by_sdk(operation, request).await,
        };
        self.tally.ended(self.door, began);
        answer.map_err(|error| format!("{operation:?}: {error}"))
    }

    async fn busy(&self) {
        self.tally.busy.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(BUSY).await;
    }

    async fn over_grpc(&self, operation: Operation, request: &Value) -> Result<Value, String> {
        let info = operation.info();
        let body = wire::message_of(info.request, request);
        let mut repeated = false;
        loop {
            match self.once_over_grpc(operation, body.clone()).await {
                Ok(answer) => {
                    let response = descriptor_pool().get_message_by_name(info.response).expect("a message");
                    return Ok(encode(&DynamicMessage::decode(response, answer).expect("a message of its type")));
                }
                Err(status) if status.code() == Code::ResourceExhausted => self.busy().await,
                Err(status) if !repeated && may_be_repeated(&status) => {
                    repeated = true;
                    self.tally.repeated.fetch_add(1, Ordering::SeqCst);
                    let mut reasons = self.tally.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                    reasons.push(format!("{operation:?}: {}", causes(&status)));
                }
                Err(status) => return Err(causes(&status)),
            }
        }
    }

    async fn once_over_grpc(&self, operation: Operation, body: Bytes) -> Result<Bytes, Status> {
        let info = operation.info();
        let mut request = Request::new(body);
        if info.authorization == Authorization::Developer {
            let value = format!("Bearer {}", self.token).parse().expect("a token is text");
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        client.unary(request, PathAndQuery::from_static(info.path), BytesCodec).await.map(tonic::Response::into_inner)
    }

    async fn by_sdk(&self, operation: Operation, request: &Value) -> Result<Value, String> {
        loop {
            match self.once_by_sdk(operation, request).await {
                Err(error) if error.contains("TooManyRequestsException") => self.busy().await,
                answer => return answer,
            }
        }
    }

    /// The SDK repeats a call once by itself.
    async fn once_by_sdk(&self, operation: Operation, request: &Value) -> Result<Value, String> {
        let text = |name: &str| request[name].as_str().map(str::to_owned);
        match operation {
            Operation::SignUp => {
                let call = self.aws.sign_up().set_client_id(text("ClientId")).set_username(text("Username"));
                let answer = call.set_password(text("Password")).send().await.map_err(told)?;
                Ok(json!({ "UserSub": answer.user_sub() }))
            }
            Operation::AdminConfirmSignUp => {
                let call = self.aws.admin_confirm_sign_up().set_user_pool_id(text("UserPoolId"));
                call.set_username(text("Username")).send().await.map(|_| Value::Null).map_err(told)
            }
            Operation::InitiateAuth => {
                let flow = AuthFlowType::from(request["AuthFlow"].as_str().unwrap_or_default());
                let mut call = self.aws.initiate_auth().set_client_id(text("ClientId")).auth_flow(flow);
                for (name, value) in request["AuthParameters"].as_object().into_iter().flatten() {
                    call = call.auth_parameters(name, value.as_str().unwrap_or_default());
                }
                let answer = call.send().await.map_err(told)?;
                let tokens = answer.authentication_result().ok_or("no tokens")?;
                let tokens = json!({ "AccessToken": tokens.access_token(), "RefreshToken": tokens.refresh_token() });
                Ok(json!({ "AuthenticationResult": tokens }))
            }
            Operation::GetUser => {
                let call = self.aws.get_user().set_access_token(text("AccessToken"));
                call.send().await.map(|_| Value::Null).map_err(told)
            }
            Operation::AdminGetUser => {
                let call = self.aws.admin_get_user().set_user_pool_id(text("UserPoolId"));
                call.set_username(text("Username")).send().await.map(|_| Value::Null).map_err(told)
            }
            other => Err(format!("{other:?} is not called by the SDK")),
        }
    }
}

/// A status with all that led to it.
fn causes(status: &Status) -> String {
    let mut text = status.to_string();
    let mut next = std::error::Error::source(status);
    while let Some(cause) = next {
        text.push_str(&format!(" < {cause}"));
        next = cause.source();
    }
    text
}

/// Whether a gRPC client with a policy for retries repeats a call: the server can't answer it now, or it failed on its way.
fn may_be_repeated(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

fn told<E>(error: aws::error::SdkError<E>) -> String
where
    E: std::error::Error + 'static,
{
    DisplayErrorContext(&error).to_string()
}

/// Counts the calls that the SDK repeats: each call is executed once, and sent in one attempt or in two.
#[derive(Debug)]
struct Attempts(Arc<Tally>);

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.executed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.attempted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
