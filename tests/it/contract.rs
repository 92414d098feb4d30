//! The promises of the protos, and that the server keeps them: services and operations, operations that are not built,
//! reflection, health, and browsers.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost_reflect::{Kind, MessageDescriptor};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;
use userpool::api::operation::{Operation, OperationInfo, SERVICES};
use userpool::domain::error::Exception;
use userpool::proto::descriptor_pool;
use userpool::proto::v1::Authorization;

use crate::support::dev::shared_server;
use crate::support::refusals::contract::{self, Entry, Sets};
use crate::support::refusals::method;
use crate::support::wire::{self, Refusal, operations};

/// The operations of the first contract, and seven that Cognito added later: RevokeToken, GetTokensFromRefreshToken,
/// GetUserAuthFactors, and the four of passkeys.
const OPERATIONS: usize = 107;

#[test]
fn sixteen_services_hold_a_hundred_operations_and_seven_later_ones_each_once() {
    assert_eq!(SERVICES.len(), 16);
    assert_eq!(Operation::ALL.len(), OPERATIONS);
    let services: BTreeSet<_> = operations().map(|info| format!("userpool.v1.{}", info.service)).collect();
    assert_eq!(services, SERVICES.iter().map(|name| (*name).to_owned()).collect());
    let names: BTreeSet<_> = operations().map(|info| info.name).collect();
    assert_eq!(names.len(), OPERATIONS);
    for info in operations() {
        assert_eq!(Operation::by_name(info.name), Some(info.operation));
        assert_eq!(info.path, format!("/userpool.v1.{}/{}", info.service, info.name));
    }
}

#[test]
fn every_rpc_has_a_comment_and_messages_of_its_own() {
    let mut messages = BTreeSet::new();
    for service in descriptor_pool().services().filter(|service| service.package_name() == "userpool.v1") {
        for method in service.methods() {
            let name = method.name();
            assert_eq!(method.input().full_name(), format!("userpool.v1.{name}Request"));
            assert_eq!(method.output().full_name(), format!("userpool.v1.{name}Response"));
            assert!(messages.insert(method.input().full_name().to_owned()), "{name} shares its request");
            assert!(messages.insert(method.output().full_name().to_owned()), "{name} shares its response");
            assert!(!method.is_client_streaming() && !method.is_server_streaming());
            let file = method.parent_file();
            let source = file.file_descriptor_proto().source_code_info.clone().unwrap_or_default();
            let location = source.location.iter().find(|location| location.path == method.path());
            let comment = location.map(|location| location.leading_comments().trim().to_owned()).unwrap_or_default();
            assert!(comment.len() > 10, "{name} has no comment");
        }
    }
    assert_eq!(messages.len(), 2 * OPERATIONS);
}

#[test]
fn fields_have_cognitos_names_and_tell_whether_they_are_set() {
    for message in messages_of_operations() {
        for field in message.fields() {
            // The one structure whose members have lower-case names in Cognito.
            let small = message.name() == "HttpHeader";
            assert!(
                small || field.json_name().starts_with(|first: char| first.is_ascii_uppercase()),
                "{}",
                field.full_name()
            );
            assert!(field.is_list() || field.is_map() || field.supports_presence(), "{}", field.full_name());
            assert!(
                !matches!(field.kind(), Kind::Enum(_)),
                "{}: enumerations of Cognito are strings",
                field.full_name()
            );
        }
    }
}

#[test]
fn refusals_are_declared_once_and_reads_list_no_conflicts() {
    for info in operations() {
        let refusals = contract::of(&method(info)).expect(info.name);
        let different: BTreeSet<_> = refusals.iter().collect();
        assert_eq!(different.len(), refusals.len(), "{}: a refusal is declared twice", info.name);
        assert!(info.errors.contains(&Exception::InternalErrorException), "{}", info.name);
        if info.read {
            assert!(!info.errors.contains(&Exception::ConcurrentModificationException), "{}", info.name);
        }
    }
}

#[test]
fn refusals_shared_by_operations_are_declared_once_in_a_set() {
    let sets = Sets::of(&method(Operation::SignUp.info())).expect("the sets");
    let kind = descriptor_pool().get_enum_by_name("userpool.v1.RefusalSet").expect("their names");
    let declared: BTreeSet<_> = kind.values().map(|value| value.number()).filter(|number| *number != 0).collect();
    let of_sets = declared.iter().flat_map(|number| sets.entries(*number).expect("a set"));
    let of_operations = operations().flat_map(|info| contract::entries(&method(info)).expect(info.name));
    let (mut said, mut included) = (BTreeSet::new(), BTreeSet::new());
    for entry in of_sets.chain(of_operations) {
        match entry {
            // For an operation that is not built, only the exception's name is declared so far.
            Entry::Own(refusal) if refusal.when.is_empty() => {}
            Entry::Own(refusal) => {
                assert!(!said.contains(&refusal), "said twice, so it belongs in a set: {refusal:?}");
                said.insert(refusal);
            }
            Entry::Set(number) => {
                included.insert(number);
            }
        }
    }
    assert_eq!(included, declared, "a set that no operation includes");
}

/// Every request and response message, and every message inside them.
fn messages_of_operations() -> Vec<MessageDescriptor> {
    let message = |name: &str| descriptor_pool().get_message_by_name(name).expect("a message");
    let mut open: Vec<_> = operations().flat_map(|info| [message(info.request), message(info.response)]).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(message) = open.pop() {
        if message.package_name() != "userpool.v1" || !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            let Kind::Message(inner) = field.kind() else { continue };
            let value = inner.is_map_entry().then(|| inner.map_entry_value_field().kind());
            open.extend(value.map_or(Some(inner.clone()), |value| value.as_message().cloned()));
        }
        found.push(message);
    }
    found
}

#[tokio::test]
async fn an_operation_that_is_not_built_says_so_at_both_doors() {
    let server = shared_server().await;
    let channel = wire::channel(&server.address).await;
    let built = operations().filter(|info| info.built).count();
    let mut unbuilt = 0;
    for info in operations().filter(|info| !info.built) {
        let told = format!("{} is not implemented yet.", info.name);
        let status = wire::grpc(&channel, &server.address, info, Bytes::new()).await.expect_err(info.name);
        assert_eq!(status.code(), Code::Unimplemented, "{}", info.name);
        let details = status.get_error_details();
        let error = details.error_info().expect("an ErrorInfo");
        assert_eq!((error.reason.as_str(), error.domain.as_str()), ("NOT_IMPLEMENTED", "userpool"));
        assert_eq!(error.metadata["exception"], "NotImplementedException");
        assert_eq!(status.message(), told);

        let answer = wire::aws(&server.address, info, b"{}").await;
        assert_eq!(answer.status, 400, "{}", info.name);
        assert_eq!(answer.exception(), ("NotImplementedException".to_owned(), told));
        unbuilt += 1;
    }
    assert_eq!(unbuilt, OPERATIONS - built);
}

#[tokio::test]
async fn developer_operations_need_a_credential_at_both_doors_and_others_ignore_one() {
    let server = shared_server().await;
    let channel = wire::channel(&server.address).await;
    let developer = |info: &&OperationInfo| info.authorization == Authorization::Developer;
    for info in operations().filter(developer) {
        let status = wire::grpc_as(&channel, info.path, None, Bytes::new()).await.expect_err(info.name);
        assert_eq!(status.code(), Code::Unauthenticated, "{}", info.name);
        assert_eq!(Refusal::of_status(&status).exception, "MissingAuthenticationTokenException");
        let wrong = "AKIAAAAAAAAAAAAAAAAA.wrong";
        let status = wire::grpc_as(&channel, info.path, Some(wrong), Bytes::new()).await.expect_err(info.name);
        assert_eq!(Refusal::of_status(&status).exception, "UnrecognizedClientException");

        let target = wire::target(info.name);
        let answer = wire::send(server.address.http, "POST", "/", &[("x-amz-target", &target)], b"{}").await;
        assert_eq!(answer.status, 403, "{}", info.name);
        assert_eq!(answer.exception().0, "MissingAuthenticationTokenException");
    }
    for info in operations().filter(|info| !developer(info)) {
        let status = wire::grpc_as(&channel, info.path, Some("no.body"), Bytes::new()).await.expect_err(info.name);
        assert_ne!(status.code(), Code::Unauthenticated, "{}", info.name);
    }
}

#[tokio::test]
async fn reflection_lists_all_services_and_knows_the_types_of_errors() {
    let server = shared_server().await;
    let mut client = ServerReflectionClient::new(wire::channel(&server.address).await);
    let asked = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("userpool.v1.SignUpService".to_owned()),
        MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".to_owned()),
        MessageRequest::FileContainingSymbol("google.rpc.BadRequest".to_owned()),
    ];
    let requests = asked.map(|request| ServerReflectionRequest { host: String::new(), message_request: Some(request) });
    let count = requests.len();
    let mut answers =
        client.server_reflection_info(tokio_stream::iter(requests)).await.expect("it is served").into_inner();
    let mut read = Vec::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        read.push(answer.message_response.expect("a response"));
    }
    assert_eq!(read.len(), count);
    let MessageResponse::ListServicesResponse(listed) = &read[0] else { panic!("not a list: {:?}", read[0]) };
    let listed: BTreeSet<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in SERVICES.iter().copied().chain(["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]) {
        assert!(listed.contains(service), "{service} is not listed in {listed:?}");
    }
    for answer in &read[1..] {
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
}

#[tokio::test]
async fn health_is_told_for_the_server_and_for_each_service() {
    let server = shared_server().await;
    let mut client = HealthClient::new(wire::channel(&server.address).await);
    for service in SERVICES.iter().copied().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.expect("it is served").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = client.check(HealthCheckRequest { service: "none".to_owned() }).await;
    assert_eq!(unknown.expect_err("no such service").code(), Code::NotFound);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(wire::send(server.address.http, "GET", path, &[], b"").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_method_that_no_service_has_is_unimplemented() {
    let server = shared_server().await;
    let channel = wire::channel(&server.address).await;
    for path in ["/userpool.v1.UserService/Nothing", "/nothing.v1.Service/Method", "/"] {
        let status = wire::grpc_as(&channel, path, None, Bytes::new()).await.expect_err(path);
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

const PAGE: &str = "https://app.example";

#[tokio::test]
async fn a_browser_calls_over_grpc_web() {
    let server = shared_server().await;
    let info = Operation::GetUser.info();
    let preflight = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-grpc-web,authorization"),
    ];
    let allowed = wire::send(server.address.grpc, "OPTIONS", info.path, &preflight, b"").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("*"));
    assert!(allowed.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let headers = allowed.header("access-control-allow-headers").unwrap_or_default();
    assert!(["content-type", "x-grpc-web", "authorization"].iter().all(|name| headers.contains(name)), "{headers}");

    let message = wire::message_of(info.request, &serde_json::json!({ "AccessToken": "no.such.token" }));
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).expect("a short message").to_be_bytes());
    body.extend_from_slice(&message);
    let headers = [("origin", PAGE), ("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
    let answer = wire::send(server.address.grpc, "POST", info.path, &headers, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    assert!(exposed.contains("grpc-status") && exposed.contains("grpc-message"), "{exposed}");
    // The status is in the headers if nothing precedes it, else in the trailers at the end of the body.
    let trailers = String::from_utf8_lossy(&answer.body).into_owned();
    let status = answer.header("grpc-status").map(str::to_owned);
    assert!(status.as_deref() == Some("16") || trailers.contains("grpc-status:16"), "{status:?} {trailers:?}");
}

#[tokio::test]
async fn a_browser_calls_at_the_aws_door() {
    let server = shared_server().await;
    let asked = "authorization,cache-control,content-type,x-amz-date,x-amz-target,x-amz-user-agent";
    let preflight =
        [("origin", PAGE), ("access-control-request-method", "POST"), ("access-control-request-headers", asked)];
    let allowed = wire::send(server.address.http, "OPTIONS", "/", &preflight, b"").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("*"));
    assert!(allowed.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    assert_eq!(allowed.header("access-control-allow-headers"), Some(asked));
    assert!(allowed.header("access-control-max-age").is_some());
    assert_eq!(allowed.header("access-control-allow-credentials"), None, "no cookies, no credentials of a browser");

    let target = wire::target("GetUser");
    let headers = [("origin", PAGE), ("x-amz-target", target.as_str())];
    let answer = wire::send(server.address.http, "POST", "/", &headers, br#"{"AccessToken":"no.such.token"}"#).await;
    assert_eq!(answer.exception().0, "NotAuthorizedException");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    let read = ["x-amzn-errortype", "x-amzn-requestid", "date"];
    assert!(read.iter().all(|name| exposed.split(',').any(|exposed| exposed.trim() == *name)), "{exposed}");
    assert!(answer.header("date").is_some(), "by which SDKs mend their clocks");
}
