//! Invalid input: each gets a precise refusal and never an internal error, and nothing is written.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use serde_json::{Value, json};
use sqlx::PgPool;
use tonic::transport::Channel;
use tonic::{Code, Request};
use userpool::api::aws_json::is_member;
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::{Operation, OperationInfo};
use userpool::environment::Random;
use userpool::proto::v1;

use crate::support::dev::{Address, Shared, shared_server};
use crate::support::wire::{self, Answer, Refusal, operations};

const LARGEST: usize = 1024 * 1024;

/// A pool of a test's own, with a check whether anything was written about it.
struct Bench {
    server: &'static Shared,
    channel: Channel,
    pool: String,
    client: String,
    database: PgPool,
}

impl Bench {
    async fn new(name: &str) -> Self {
        let server = shared_server().await;
        let channel = wire::channel(&server.address).await;
        let (pool, client) = wire::pool_and_client(&channel, &server.address, name).await;
        let database = PgPool::connect(&server.address.database_url).await.expect("the database is there");
        Self { server, channel, pool, client, database }
    }

    fn address(&self) -> &'static Address {
        &self.server.address
    }

    /// How many rows the two logs have about the pool.
    async fn written(&self) -> (i64, i64) {
        let count = "select (select count(*) from log where user_pool_id = $1), (select count(*) from activity where user_pool_id = $1)";
        sqlx::query_as(count).bind(&self.pool).fetch_one(&self.database).await.expect("both tables are there")
    }

    /// Asserts that nothing was written and that the log shows no fault of the server's.
    async fn assert_untouched(&self, before: (i64, i64)) {
        assert_eq!(self.written().await, before, "something was written");
        let log = self.server.dev.log();
        assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
        let faults: Vec<_> =
            log.lines().filter(|line| line.contains("a call failed") || line.contains("does not list")).collect();
        assert!(faults.is_empty(), "the server found itself at fault:\n{}", faults.join("\n"));
    }

    /// Calls the AWS door with any body, signed where that is needed. The call must be refused with the exception.
    async fn refused(&self, info: &OperationInfo, body: &[u8], exception: &str) -> String {
        let answer = wire::aws(self.address(), info, body).await;
        assert_refused(&answer, info, exception, &String::from_utf8_lossy(&body[..body.len().min(200)]))
    }
}

fn assert_refused(answer: &Answer, info: &OperationInfo, exception: &str, what: &str) -> String {
    assert!((400..500).contains(&answer.status), "{}: {} for {what}: {}", info.name, answer.status, answer.text());
    let (told, message) = answer.exception();
    assert_eq!(told, exception, "{}: {what}: {message}", info.name);
    assert!(message.len() > 10, "{}: {what}: {message:?} says nothing", info.name);
    message
}

fn built() -> impl Iterator<Item = &'static OperationInfo> {
    operations().filter(|info| info.built)
}

#[tokio::test]
async fn bodies_that_are_no_json_objects_are_refused() {
    let bench = Bench::new("no-objects").await;
    let before = bench.written().await;
    let deep = format!(r#"{{"Policies":{}1{}}}"#, r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
    let bodies: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[]",
        b"1",
        b"null",
        b"\"text\"",
        b"{} {}",
        b"{'ClientId': 'a'}",
        b"{\"ClientId\": \"a\",}",
        b"{\"ClientId\": }",
        b"{\"ClientId\": \"\\ud800\"}",
        b"{\"ClientId\": \"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        b"\0",
        b"{\"ClientId\": 1e999}",
        deep.as_bytes(),
    ];
    for info in built() {
        for body in bodies {
            bench.refused(info, body, "SerializationException").await;
        }
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    bench.refused(Operation::SignUp.info(), deep.as_bytes(), "SerializationException").await;
    bench.assert_untouched(before).await;
}

#[tokio::test]
async fn values_of_other_types_are_refused_by_name() {
    let bench = Bench::new("wrong-types").await;
    let before = bench.written().await;
    let wrong =
        [json!(1), json!(1.5), json!(true), json!([]), json!({}), json!(["a"]), json!({ "a": "b" }), json!("text")];
    let mut tried = 0;
    for info in built() {
        let request = userpool::proto::descriptor_pool().get_message_by_name(info.request).expect("a message");
        for field in request.fields().filter(is_member) {
            for value in &wrong {
                if fits(&field, value) {
                    continue;
                }
                let body = json!({ field.json_name(): value }).to_string();
                let message = bench.refused(info, body.as_bytes(), "SerializationException").await;
                assert!(message.contains(field.json_name()), "{}: {message}", info.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 100);
    bench.assert_untouched(before).await;
}

/// Whether a JSON value has a field's type, without a look inside objects and lists.
fn fits(field: &prost_reflect::FieldDescriptor, value: &Value) -> bool {
    use prost_reflect::Kind;
    let scalar = |value: &Value| match field.kind() {
        Kind::String => value.is_string(),
        Kind::Bool => value.is_boolean(),
        Kind::Int32 | Kind::Int64 => value.is_i64(),
        // Unknown members are ignored.
        Kind::Message(_) => value.is_object(),
        _ => false,
    };
    if field.is_map() {
        // Maps in requests have strings as values, or objects.
        let texts =
            matches!(field.kind(), Kind::Message(entry) if entry.map_entry_value_field().kind() == Kind::String);
        return value.as_object().is_some_and(|members| members.is_empty() || texts);
    }
    if field.is_list() { value.as_array().is_some_and(|items| items.iter().all(scalar)) } else { scalar(value) }
}

#[tokio::test]
async fn unknown_members_and_null_change_nothing() {
    let bench = Bench::new("unknown").await;
    let describe = Operation::DescribeUserPool.info();
    let plain = json!({ "UserPoolId": bench.pool }).to_string();
    let more = json!({ "UserPoolId": bench.pool, "Neu": { "a": [1, null] }, "userPoolId": 7, "": "" }).to_string();
    let one = wire::aws(bench.address(), describe, plain.as_bytes()).await;
    let other = wire::aws(bench.address(), describe, more.as_bytes()).await;
    assert_eq!((one.status, one.json()), (other.status, other.json()));
    let metrics = wire::send(bench.address().http, "GET", "/metrics", &[], b"").await.text();
    let counted = metrics.lines().find_map(|line| line.strip_prefix("userpool_unknown_members_total "));
    assert!(counted.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 3), "{counted:?}");
    let null = json!({ "UserPoolId": null, "Neu": null }).to_string();
    let message = bench.refused(describe, null.as_bytes(), "InvalidParameterException").await;
    assert!(message.contains("'userPoolId' failed to satisfy constraint: Member must not be null"), "{message}");
    for info in built() {
        let request = userpool::proto::descriptor_pool().get_message_by_name(info.request).expect("a message");
        let nulls: Value = request.fields().map(|field| (field.json_name().to_owned(), Value::Null)).collect();
        let of_nulls = bench.refused(info, nulls.to_string().as_bytes(), "InvalidParameterException").await;
        assert_eq!(of_nulls, bench.refused(info, b"", "InvalidParameterException").await, "{}", info.name);
    }
}

#[tokio::test]
async fn huge_bodies_are_refused_at_both_doors() {
    let bench = Bench::new("huge").await;
    let before = bench.written().await;
    for info in built() {
        for more in [1, LARGEST] {
            let body = vec![b' '; LARGEST + more];
            let message = bench.refused(info, &body, "SerializationException").await;
            assert!(message.contains("larger than 1048576 bytes"), "{message}");
            let status = wire::grpc(&bench.channel, bench.address(), info, body.into()).await.expect_err(info.name);
            assert_eq!(Refusal::of_status(&status).exception, "SerializationException", "{}: {status:?}", info.name);
            assert!(status.message().contains("1048576"), "{}: {status:?}", info.name);
        }
        let largest = vec![b' '; LARGEST];
        let message = bench.refused(info, &largest, "SerializationException").await;
        assert!(!message.contains("larger"), "{}: {message}", info.name);
    }
    bench.assert_untouched(before).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_or_never_ends_is_refused() {
    let bench = Bench::new("broken-off").await;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-amz-target: AWSCognitoIdentityProviderService.SignUp\r\n";
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"Cli\r\nzz\r\n");
    let answer = wire::raw(bench.address().http, chunked.as_bytes()).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    for endless in ["transfer-encoding: chunked\r\n\r\n5\r\n{\"Cli\r\n", "content-length: 100\r\n\r\n{\"Cli"] {
        let answer = wire::raw(bench.address().http, format!("{head}{endless}").as_bytes()).await;
        assert_eq!(answer.exception().0, "SerializationException", "{answer:?}");
    }
    let good = format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    let answer = wire::raw(bench.address().http, good.as_bytes()).await;
    assert_eq!(answer.exception().0, "InvalidParameterException");
}

#[tokio::test]
async fn a_message_that_never_ends_is_refused_over_grpc() {
    let bench = Bench::new("endless-message").await;
    let before = bench.written().await;
    let path = Operation::SignUp.info().path;
    let mut client = tonic::client::Grpc::new(bench.channel.clone());
    client.ready().await.expect("the server is there");
    let endless = Request::new(futures::stream::pending::<Bytes>());
    let answer = client.client_streaming(endless, PathAndQuery::from_static(path), BytesCodec);
    let over_http_1 = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 100\r\n\r\n\0\0"
    );
    let (answer, over_http_1) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), answer),
        wire::raw(bench.address().grpc, over_http_1.as_bytes()),
    );
    let status = answer.expect("an answer in time").expect_err("a refusal");
    assert_eq!(Refusal::of_status(&status).exception, "SerializationException", "{status:?}");
    assert_eq!(status.message(), "The request's body took longer than 10 seconds.");
    assert_eq!(over_http_1.header("grpc-status"), Some("3"), "{over_http_1:?}");
    assert!(over_http_1.header("grpc-status-details-bin").is_some(), "{over_http_1:?}");
    bench.assert_untouched(before).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_over_grpc() {
    let bench = Bench::new("no-messages").await;
    let before = bench.written().await;
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        let mut outer = Vec::new();
        prost::encoding::encode_key(2, prost::encoding::WireType::LengthDelimited, &mut outer);
        prost::encoding::encode_varint(nested.len() as u64, &mut outer);
        outer.append(&mut nested);
        nested = outer;
    }
    let bodies: [&[u8]; 6] =
        [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"\x08\x01", b"{\"ClientId\":\"a\"}", b"\x0b"];
    for info in built() {
        for body in bodies {
            let status =
                wire::grpc(&bench.channel, bench.address(), info, Bytes::from_static(body)).await.expect_err(info.name);
            assert_eq!(status.code(), Code::InvalidArgument, "{} {body:?}: {status:?}", info.name);
            let exception = Refusal::of_status(&status).exception;
            // A field with an unknown number is skipped; then the required field is missing.
            assert!(
                ["SerializationException", "InvalidParameterException"].contains(&exception.as_str()),
                "{exception}"
            );
        }
    }
    let create = Operation::CreateUserPool.info();
    let status = wire::grpc(&bench.channel, bench.address(), create, nested.into()).await.expect_err("no message");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    bench.assert_untouched(before).await;
}

/// Another library reads the frames of messages, but refusals of wrong frames must be right as well.
#[tokio::test]
async fn frames_of_another_form_are_refused_over_grpc() {
    let bench = Bench::new("frames").await;
    let before = bench.written().await;
    let frames: [(&str, &[u8]); 6] = [
        ("no frame", b""),
        ("half a head", b"\0\0"),
        ("a frame that breaks off", b"\0\0\0\0\x10abc"),
        ("a compressed message without an encoding", b"\x01\0\0\0\x01a"),
        ("a flag that does not exist", b"\x07\0\0\0\0"),
        ("more bytes than any message has", b"\0\xff\xff\xff\xff"),
    ];
    for (what, frame) in frames {
        for info in built() {
            let token = format!("Bearer {}", bench.address().token);
            let headers = [("content-type", "application/grpc-web+proto"), ("authorization", token.as_str())];
            let answer = wire::send(bench.address().grpc, "POST", info.path, &headers, frame).await;
            let status = answer.header("grpc-status").unwrap_or_else(|| panic!("{what}: {answer:?}"));
            assert_eq!(status, "3", "{} {what}: {answer:?}", info.name);
            assert!(answer.header("grpc-status-details-bin").is_some(), "{what}: {answer:?}");
        }
    }
    bench.assert_untouched(before).await;
}

#[tokio::test]
async fn random_bytes_are_refused_at_both_doors() {
    let bench = Bench::new("random").await;
    let before = bench.written().await;
    let random = Random::default();
    for _ in 0..20 {
        for info in built() {
            let body = random.bytes::<64>();
            let answer = wire::aws(bench.address(), info, &body).await;
            assert_refused(&answer, info, "SerializationException", &hex::encode(body));
            let body = random.bytes::<16>();
            let status = wire::grpc(&bench.channel, bench.address(), info, Bytes::copy_from_slice(&body)).await;
            let status = status.expect_err(info.name);
            assert_eq!(status.code(), Code::InvalidArgument, "{} {}: {status:?}", info.name, hex::encode(body));
        }
    }
    for _ in 0..20 {
        let noise = random.bytes::<256>();
        for address in [bench.address().http, bench.address().grpc] {
            let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &noise).await;
        }
    }
    bench.assert_untouched(before).await;
}

#[tokio::test]
async fn unknown_targets_methods_and_paths_are_refused() {
    let bench = Bench::new("targets").await;
    let http = bench.address().http;
    let targets = [
        "AWSCognitoIdentityProviderService.Nothing",
        "AWSCognitoIdentityProviderService.",
        "AWSCognitoIdentityProviderService.signup",
        "SignUp",
        "AWSCognitoIdentityService.SignUp",
        "",
        "\u{fffd}",
    ];
    for target in targets {
        let answer = wire::send(http, "POST", "/", &[("x-amz-target", target)], b"{}").await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.exception().0, "UnknownOperationException", "{target}");
    }
    let answer = wire::send(http, "POST", "/", &[], b"{}").await;
    assert_eq!((answer.status, answer.exception().0.as_str()), (400, "UnknownOperationException"));
    for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD"] {
        assert_eq!(wire::send(http, method, "/", &[], b"").await.status, 405, "{method}");
    }
    for path in [
        "/nothing",
        "/a/b/c",
        "/%00",
        "/../etc/passwd",
        "/us-east-1_x/.well-known/jwks.json",
        "/%ff/.well-known/jwks.json",
    ] {
        let answer = wire::send(http, "GET", path, &[], b"").await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    for path in ["/%00/.well-known/jwks.json", "/a%00b/.well-known/openid-configuration"] {
        let answer = wire::send(http, "GET", path, &[], b"").await;
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    for query in ["?to=%00", "?to=%ff", "?to=%F0%9F%A6%80", "?to", "?nothing=1"] {
        let answer = wire::send(http, "GET", &format!("/dev/messages{query}"), &[], b"").await;
        assert!([200, 400].contains(&answer.status), "{query}: {} {}", answer.status, answer.text());
    }
    bench.assert_untouched(bench.written().await).await;
}

#[tokio::test]
async fn the_content_type_is_ignored() {
    let bench = Bench::new("content-type").await;
    let target = wire::target("SignUp");
    for content_type in [None, Some("application/json"), Some("text/plain"), Some("application/x-amz-cbor-1.1")] {
        let mut headers = vec![("x-amz-target", target.as_str())];
        headers.extend(content_type.map(|content_type| ("content-type", content_type)));
        let answer = wire::send(bench.address().http, "POST", "/", &headers, b"{}").await;
        assert_eq!(answer.exception().0, "InvalidParameterException", "{content_type:?}");
        assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
    }
    let answer = wire::send(
        bench.address().grpc,
        "POST",
        "/userpool.v1.SignUpService/SignUp",
        &[("content-type", "text/plain")],
        b"",
    )
    .await;
    assert!(answer.status < 500, "{answer:?}");
}

#[tokio::test]
async fn malformed_headers_do_no_harm() {
    let bench = Bench::new("headers").await;
    let before = bench.written().await;
    let create = Operation::CreateUserPool.info();
    let target = wire::target(create.name);
    let body = br#"{"PoolName":"never"}"#;
    let many = "a;".repeat(5_000);
    for (authorization, exception) in [
        ("", "IncompleteSignatureException"),
        ("Bearer", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0", "IncompleteSignatureException"),
        (&format!("AWS4-HMAC-SHA256 Credential={many}"), "IncompleteSignatureException"),
        (
            "AWS4-HMAC-SHA256 Credential=A/20000101/us-east-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=0",
            "IncompleteSignatureException",
        ),
        ("\u{e9}", "IncompleteSignatureException"),
    ] {
        let headers = [("x-amz-target", target.as_str()), ("authorization", authorization)];
        let answer = wire::send(bench.address().http, "POST", "/", &headers, body).await;
        assert_eq!((answer.status, answer.exception().0.as_str()), (403, exception), "{authorization:.80}");
    }
    let good = wire::signed(bench.address(), create.name, body);
    let change = |name: &str, value: &str| -> Vec<(String, String)> {
        let changed =
            good.iter().map(|(known, old)| (known.clone(), if known == name { value.to_owned() } else { old.clone() }));
        changed.collect()
    };
    let authorization = &good.iter().find(|(name, _)| name == "authorization").expect("it is signed").1;
    for (headers, exception) in [
        (change("x-amz-date", "20000101T000000Z"), "InvalidSignatureException"),
        (change("x-amz-date", "now"), "IncompleteSignatureException"),
        (
            change("authorization", &authorization.replace("SignedHeaders=", "SignedHeaders=a b;\u{fffd};")),
            "IncompleteSignatureException",
        ),
        (change("authorization", &authorization.replace("host;", "")), "InvalidSignatureException"),
        (change("authorization", &format!("{authorization}0")), "InvalidSignatureException"),
        (
            change("authorization", &authorization.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
            "IncompleteSignatureException",
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = wire::send(bench.address().http, "POST", "/", &headers, body).await;
        assert_eq!((answer.status, answer.exception().0.as_str()), (403, exception), "{headers:?}");
    }
    for (name, value) in
        [("x-forwarded-for", ",,;\u{e9}"), ("traceparent", "\u{e9}"), ("grpc-timeout", "\u{e9}9"), ("cookie", "a")]
    {
        let target = wire::target("SignUp");
        let answer =
            wire::send(bench.address().http, "POST", "/", &[("x-amz-target", &target), (name, value)], b"{}").await;
        assert_eq!(answer.exception().0, "InvalidParameterException", "{name}");
    }
    bench.assert_untouched(before).await;
}

/// Texts that a database, a log or a header could mishandle.
const ODD: [&str; 7] = ["a\0b", "\0", "\u{feff}a", "a\r\nb: c", "\u{202e}a", "'; drop table log; --", "\u{10ffff}"];

#[tokio::test]
async fn odd_characters_are_refused_or_kept_but_never_a_fault() {
    let bench = Bench::new("odd").await;
    for odd in ODD {
        for (operation, request) in [
            (Operation::CreateUserPool, json!({ "PoolName": "odd", "UserPoolTags": { odd: odd } })),
            (
                Operation::CreateUserPool,
                json!({ "PoolName": "odd", "EmailVerificationMessage": format!("{odd}{{####}}") }),
            ),
            (
                Operation::CreateUserPool,
                json!({ "PoolName": "odd", "SmsVerificationMessage": format!("{odd}{{####}}") }),
            ),
            (
                Operation::CreateUserPool,
                json!({ "PoolName": "odd", "Schema": [{ "Name": odd, "AttributeDataType": "String" }] }),
            ),
            (Operation::DescribeUserPool, json!({ "UserPoolId": odd })),
            (
                Operation::CreateUserPoolClient,
                json!({ "UserPoolId": bench.pool, "ClientName": "odd", "CallbackURLs": [odd] }),
            ),
            (
                Operation::CreateUserPoolClient,
                json!({ "UserPoolId": bench.pool, "ClientName": "odd", "ReadAttributes": [odd] }),
            ),
            (Operation::AdminGetUser, json!({ "UserPoolId": bench.pool, "Username": odd })),
            (Operation::SignUp, json!({ "ClientId": bench.client, "Username": odd, "Password": "Correct-horse-1" })),
            (
                Operation::SignUp,
                json!({ "ClientId": bench.client, "Username": format!("odd{}", hex::encode(odd)), "Password": format!("Correct-horse-1{odd}") }),
            ),
            (
                Operation::SignUp,
                json!({ "ClientId": bench.client, "Username": format!("name{}", hex::encode(odd)), "Password": "Correct-horse-1",
                "UserAttributes": [{ "Name": "name", "Value": odd }], "ValidationData": [{ "Name": odd, "Value": odd }], "ClientMetadata": { odd: odd } }),
            ),
            (
                Operation::SignUp,
                json!({ "ClientId": bench.client, "Username": "odd", "Password": "Correct-horse-1",
                "UserAttributes": [{ "Name": odd, "Value": "a" }] }),
            ),
            (
                Operation::SignUp,
                json!({ "ClientId": bench.client, "Username": "odd", "Password": "Correct-horse-1",
                "UserAttributes": [{ "Name": "email", "Value": format!("a@b{odd}") }] }),
            ),
            (Operation::SignUp, json!({ "ClientId": odd, "Username": "odd", "Password": "Correct-horse-1" })),
            (Operation::ConfirmSignUp, json!({ "ClientId": bench.client, "Username": odd, "ConfirmationCode": odd })),
            (
                Operation::InitiateAuth,
                json!({ "ClientId": bench.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": { "USERNAME": odd, "PASSWORD": odd, odd: odd } }),
            ),
            (
                Operation::InitiateAuth,
                json!({ "ClientId": bench.client, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": { "REFRESH_TOKEN": odd, "SECRET_HASH": odd } }),
            ),
        ] {
            let info = operation.info();
            let answer = wire::aws(bench.address(), info, request.to_string().as_bytes()).await;
            assert!(answer.status < 500, "{}: {request}: {} {}", info.name, answer.status, answer.text());
            if operation == Operation::CreateUserPool {
                // A pool's keys take long to make, and both doors share the code behind them.
                continue;
            }
            let answer =
                wire::grpc(&bench.channel, bench.address(), info, wire::message_of(info.request, &request)).await;
            if let Err(status) = answer {
                assert!(!wire::is_fault(status.code()), "{}: {request}: {status:?}", info.name);
            }
        }
    }
    bench.assert_untouched(bench.written().await).await;
}

#[tokio::test]
async fn over_long_values_are_refused_with_short_answers() {
    let bench = Bench::new("over-long").await;
    let before = bench.written().await;
    let long = "a".repeat(200_000);
    let attributes = vec![json!({ "Name": "!".repeat(40), "Value": long }); 4];
    let many = vec![json!({ "Value": "x" }); 20_000];
    for (operation, request) in [
        (Operation::SignUp, json!({ "ClientId": long, "Username": long, "Password": long, "SecretHash": long })),
        (
            Operation::SignUp,
            json!({ "ClientId": bench.client, "Username": "long", "Password": "Correct-horse-1", "UserAttributes": attributes }),
        ),
        (
            Operation::SignUp,
            json!({ "ClientId": bench.client, "Username": "long", "Password": "Correct-horse-1", "UserAttributes": many }),
        ),
        (Operation::CreateUserPool, json!({ "PoolName": long, "UserPoolTags": { &long: long } })),
        (
            Operation::CreateUserPoolClient,
            json!({ "UserPoolId": bench.pool, "ClientName": "long", "ReadAttributes": vec!["name"; 50_000], "CallbackURLs": vec!["a:"; 50_000] }),
        ),
        (Operation::ConfirmSignUp, json!({ "ClientId": bench.client, "Username": "long", "ConfirmationCode": long })),
        (Operation::InitiateAuth, json!({ "ClientId": bench.client, "AuthFlow": long })),
        (Operation::DescribeUserPool, json!({ "UserPoolId": long })),
        (Operation::GetUser, json!({ "AccessToken": long })),
    ] {
        let info = operation.info();
        let answer = wire::aws(bench.address(), info, request.to_string().as_bytes()).await;
        assert_refused(&answer, info, "InvalidParameterException", "over-long values");
        for (name, value) in &answer.headers {
            // Clients read at most 8 to 64 KiB of headers.
            assert!(value.len() <= 4096, "{}: {name} has {} bytes", info.name, value.len());
        }
        let status = wire::grpc(&bench.channel, bench.address(), info, wire::message_of(info.request, &request)).await;
        let status = status.expect_err(info.name);
        assert_eq!(Refusal::of_status(&status).exception, "InvalidParameterException", "{}: {status:?}", info.name);
        let size = status.message().len() + status.details().len() * 4 / 3;
        assert!(size <= 8192, "{}: trailers of {size} bytes, more than many clients read", info.name);
    }
    // A token of the greatest length is merely a wrong token.
    let token = json!({ "AccessToken": "a".repeat(131_072) }).to_string();
    bench.refused(Operation::GetUser.info(), token.as_bytes(), "NotAuthorizedException").await;
    bench.assert_untouched(before).await;
}

/// The tokens of a user who signed in, by name.
async fn signed_in(bench: &Bench, client: &str, name: &str) -> Value {
    let address = bench.address();
    let sign_up = json!({
        "ClientId": client, "Username": name, "Password": "Correct-horse-1",
        "UserAttributes": [{ "Name": "email", "Value": format!("{name}@example.com") }],
    });
    wire::must(&bench.channel, address, "SignUp", sign_up).await;
    let path = format!("/dev/messages?to={name}@example.com");
    let mut code = None;
    for _ in 0..200 {
        let messages = wire::send(address.http, "GET", &path, &[], b"").await.json();
        code = messages[0]["code"].as_str().map(str::to_owned);
        if code.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let confirm = json!({ "ClientId": client, "Username": name, "ConfirmationCode": code.expect("a code arrives") });
    wire::must(&bench.channel, address, "ConfirmSignUp", confirm).await;
    let sign_in = json!({
        "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": name, "PASSWORD": "Correct-horse-1" },
    });
    wire::must(&bench.channel, address, "InitiateAuth", sign_in).await["AuthenticationResult"].clone()
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let mut bench = Bench::new("forged").await;
    (bench.pool, bench.client) = pool_with_mail(&bench).await;
    let tokens = signed_in(&bench, &bench.client, "forger").await;
    let token = |name: &str| tokens[name].as_str().expect("a token").to_owned();
    let (access, id, refresh) = (token("AccessToken"), token("IdToken"), token("RefreshToken"));
    let parts: Vec<_> = access.split('.').collect();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON") };
    let written = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let with = |at: usize, member: &str, value: Value| {
        let mut changed = read(parts[at]);
        changed[member] = value;
        let mut parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts[at] = written(&changed);
        parts.join(".")
    };
    let get = Operation::GetUser.info();
    let good = wire::aws(bench.address(), get, json!({ "AccessToken": access }).to_string().as_bytes()).await;
    assert_eq!(good.status, 200, "{}", good.text());
    let before = bench.written().await;
    let claims = read(parts[1]);
    let none = format!("{}.{}.", written(&json!({ "alg": "none", "kid": read(parts[0])["kid"] })), parts[1]);
    let mut flipped = URL_SAFE_NO_PAD.decode(parts[2]).expect("base64");
    flipped[0] ^= 1;
    let forged = [
        id.clone(),
        refresh.clone(),
        none,
        with(0, "alg", json!("HS256")),
        with(0, "alg", json!("RS512")),
        with(0, "kid", json!("another")),
        with(1, "sub", json!("9f3c1b0a-0000-4000-8000-000000000000")),
        with(1, "exp", json!(claims["exp"].as_i64().expect("a time") + 1)),
        with(1, "iss", json!("http://elsewhere.example/us-east-1_nothing00")),
        with(1, "iss", json!("a\u{0}b/\u{0}")),
        with(1, "scope", json!("")),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode(flipped)),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{access}A"),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ];
    for operation in [Operation::GetUser, Operation::GlobalSignOut, Operation::DeleteUser] {
        for token in &forged {
            let body = json!({ "AccessToken": token }).to_string();
            let message = bench.refused(operation.info(), body.as_bytes(), "NotAuthorizedException").await;
            assert!(message.contains("Access Token"), "{message}");
        }
    }
    // A client of another pool can use neither this pool's refresh token nor its users.
    let (_, other) = wire::pool_and_client(&bench.channel, bench.address(), "foreign").await;
    let initiate = Operation::InitiateAuth.info();
    for token in
        [&refresh, &access, &format!("{refresh}A"), &refresh.replace('.', ""), &"a.b".to_owned(), &".".to_owned()]
    {
        let body = json!({ "ClientId": other, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": { "REFRESH_TOKEN": token } });
        bench.refused(initiate, body.to_string().as_bytes(), "NotAuthorizedException").await;
    }
    let body = json!({ "UserPoolId": bench.pool, "ClientId": other }).to_string();
    bench.refused(Operation::DescribeUserPoolClient.info(), body.as_bytes(), "ResourceNotFoundException").await;
    bench.assert_untouched(before).await;
    let good = wire::aws(bench.address(), get, json!({ "AccessToken": access }).to_string().as_bytes()).await;
    assert_eq!(good.status, 200, "the user is still signed in: {}", good.text());
}

/// A new pool that verifies addresses, so that codes are sent, and a client in it.
async fn pool_with_mail(bench: &Bench) -> (String, String) {
    let pool = json!({ "PoolName": "forged", "AutoVerifiedAttributes": ["email"] });
    let pool = wire::must(&bench.channel, bench.address(), "CreateUserPool", pool).await;
    let client = json!({
        "UserPoolId": pool["UserPool"]["Id"], "ClientName": "forged",
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    let client = wire::must(&bench.channel, bench.address(), "CreateUserPoolClient", client).await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (text(&pool["UserPool"]["Id"]), text(&client["UserPoolClient"]["ClientId"]))
}

#[tokio::test]
async fn malformed_deadlines_do_no_harm() {
    let bench = Bench::new("deadlines").await;
    let info = Operation::DescribeUserPool.info();
    let body = v1::DescribeUserPoolRequest { user_pool_id: Some(bench.pool.clone()) }.encode_to_vec();
    for timeout in ["0n", "1n", "99999999H", "-1S", "1", "S", "1e9S"] {
        let mut request = tonic::Request::new(Bytes::from(body.clone()));
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {}", bench.address().token).parse().expect("text"));
        metadata.insert("grpc-timeout", timeout.parse().expect("text"));
        let mut client = tonic::client::Grpc::new(bench.channel.clone());
        client.ready().await.expect("the server is there");
        let path = http::uri::PathAndQuery::from_static(info.path);
        let answer = client.unary(request, path, userpool::api::grpc::BytesCodec).await;
        let code = answer.err().map(|status| status.code());
        assert!(code.is_none_or(|code| !wire::is_fault(code)), "{timeout}: {code:?}");
    }
    bench.assert_untouched(bench.written().await).await;
}
