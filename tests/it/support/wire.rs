//! Both doors from outside: raw bytes, and errors as a client sees them.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use userpool::api::aws_json::encode::encode;
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::{Operation, OperationInfo};
use userpool::environment::Clock;
use userpool::proto::descriptor_pool;
use userpool::proto::v1::Authorization;

use super::dev::Address;
use super::refusals;

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Pairs of name, in small letters, and value.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The exception that the AWS door names, with its message.
    pub fn exception(&self) -> (String, String) {
        let json = self.json();
        let member = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.header("x-amzn-errortype"), Some(member("__type").as_str()), "{}", self.text());
        assert!(self.header("x-amzn-requestid").is_some());
        (member("__type"), member("message"))
    }
}

/// Sends bytes unchanged over a new connection and reads the answer.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    // A server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "no end of the answer: {}", String::from_utf8_lossy(&answer));
    parse(&answer)
}

/// Sends a request with these headers, `host`, and the headers that frame the body.
pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    raw(address, &request).await
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("not an answer: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = &answer[end + 4..];
    let body = if chunked { dechunked(body) } else { body.to_vec() };
    Answer { status: status.expect("an answer has a status"), headers, body }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk has a size");
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk has a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

/// The value of `X-Amz-Target` for an operation.
pub fn target(name: &str) -> String {
    format!("AWSCognitoIdentityProviderService.{name}")
}

/// The headers of a call at the AWS door, signed.
pub fn signed(address: &Address, name: &str, body: &[u8]) -> Vec<(String, String)> {
    let identity = Credentials::new(&address.access_key_id, &address.secret_access_key, None, None, "test").into();
    let now = u64::try_from(Clock.now().seconds()).expect("after 1970");
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("cognito-idp")
        .time(UNIX_EPOCH + Duration::from_secs(now))
        .settings(SigningSettings::default())
        .build()
        .expect("all is given")
        .into();
    let mut headers = vec![
        ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
        ("x-amz-target".to_owned(), target(name)),
    ];
    let host = address.http.to_string();
    let signable = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([("host", host.as_str())]);
    let uri = format!("http://{host}/");
    let request = SignableRequest::new("POST", &uri, signable, SignableBody::Bytes(body)).expect("a plain request");
    let (instructions, _) = sign(request, &params).expect("it can be signed").into_parts();
    headers.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
    headers
}

/// Calls an operation at the AWS door, with a signature where one is needed.
pub async fn aws(address: &Address, info: &OperationInfo, body: &[u8]) -> Answer {
    let headers = if info.authorization == Authorization::Developer {
        signed(address, info.name, body)
    } else {
        vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target".to_owned(), target(info.name)),
        ]
    };
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = send(address.http, "POST", "/", &headers, body).await;
    if let Some(refusal) = Refusal::of_answer(&answer) {
        refusals::met(info.name, &refusal.exception, &refusal.message);
    }
    answer
}

/// A connection to the gRPC door.
pub async fn channel(address: &Address) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", address.grpc)).expect("an address");
    endpoint.connect().await.expect("the server listens")
}

/// Calls an operation over gRPC, with the credential where one is needed.
pub async fn grpc(channel: &Channel, address: &Address, info: &OperationInfo, body: Bytes) -> Result<Bytes, Status> {
    let token = (info.authorization == Authorization::Developer).then_some(address.token.as_str());
    let answer = grpc_as(channel, info.path, token, body).await;
    answer.inspect_err(|status| {
        let refusal = Refusal::of_status(status);
        refusals::met(info.name, &refusal.exception, &refusal.message);
    })
}

/// Calls a path over gRPC with a bearer token or none.
pub async fn grpc_as(channel: &Channel, path: &'static str, token: Option<&str>, body: Bytes) -> Result<Bytes, Status> {
    let mut request = Request::new(body);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a token is text");
        request.metadata_mut().insert("authorization", value);
    }
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("the server is there");
    client.unary(request, PathAndQuery::from_static(path), BytesCodec).await.map(tonic::Response::into_inner)
}

/// A refusal, at either door.
#[derive(Debug)]
pub struct Refusal {
    /// Cognito's name of the exception.
    pub exception: String,
    /// The exception's message, as clients compare it.
    pub message: String,
    /// Fields at fault, by path and sentence; over gRPC only.
    pub fields: Vec<(String, String)>,
}

impl Refusal {
    /// From the status of a gRPC call.
    pub fn of_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Self {
            exception: info.and_then(|info| info.metadata.get("exception").cloned()).unwrap_or_default(),
            message: status.message().to_owned(),
            fields: fields.into_iter().map(|violation| (violation.field, violation.description)).collect(),
        }
    }

    /// From an answer of the AWS door; `None` if that is no refusal.
    pub fn of_answer(answer: &Answer) -> Option<Self> {
        if answer.status == 200 {
            return None;
        }
        let (exception, message) = answer.exception();
        Some(Self { exception, message, fields: Vec::new() })
    }
}

/// Whether a status code means a fault of the server's.
pub fn is_fault(code: Code) -> bool {
    matches!(code, Code::Internal | Code::Unknown | Code::DataLoss)
}

/// Every operation, with its declaration.
pub fn operations() -> impl Iterator<Item = &'static OperationInfo> {
    Operation::ALL.into_iter().map(Operation::info)
}

/// Calls a developer operation over gRPC with JSON in Cognito's names; it must succeed.
pub async fn must(channel: &Channel, address: &Address, name: &str, request: Value) -> Value {
    let info = Operation::by_name(name).expect("an operation").info();
    let answer = grpc(channel, address, info, message_of(info.request, &request)).await;
    let answer = answer.unwrap_or_else(|status| panic!("{name}: {status:?}"));
    let response = descriptor_pool().get_message_by_name(info.response).expect("a message");
    encode(&DynamicMessage::decode(response, answer).expect("a message of its type"))
}

/// An encoded message, from JSON in Cognito's names.
pub fn message_of(full_name: &str, json: &Value) -> Bytes {
    let descriptor = descriptor_pool().get_message_by_name(full_name).expect("a message");
    userpool::api::aws_json::decode::decode(&descriptor, json.to_string().as_bytes())
        .expect("JSON that fits the message")
}

/// A pool of a test's own, and its client, which takes passwords. Returns their ids.
pub async fn pool_and_client(channel: &Channel, address: &Address, name: &str) -> (String, String) {
    let pool = must(channel, address, "CreateUserPool", serde_json::json!({ "PoolName": name })).await;
    let pool_id = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
    let client = serde_json::json!({
        "UserPoolId": pool_id,
        "ClientName": name,
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    let client = must(channel, address, "CreateUserPoolClient", client).await;
    let client_id = client["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned();
    (pool_id, client_id)
}
