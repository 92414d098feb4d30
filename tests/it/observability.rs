//! What operators see: traces from the call to the consumer, metrics under one name everywhere, and log lines that name
//! their call.

use std::collections::BTreeSet;
use std::process::Command;

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::{Value, json};
use userpool::proto::v1::SignUpRequest;
use userpool::telemetry::metrics;

use crate::support::client::eventually;
use crate::support::dev::{Address, Dev, data_directory, shared};
use crate::support::events::{DIRECTORY, Record, read_until};
use crate::support::http::{Answer, get, send};
use crate::support::otlp::{Receiver, attribute};
use crate::support::serve::{Installation, Serve};
use crate::support::wire;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const SIGN_UP: &str = "userpool.v1.SignUpService/SignUp";

/// A server on a database of its own, with further variables.
fn server(name: &str, adjust: impl FnOnce(&mut Command)) -> Dev {
    shared().postgres.create_database(name);
    let url = shared().postgres.url(name);
    Dev::start(&data_directory(name), |command| {
        command.env("USERPOOL_DATABASE_URL", &url).env("NO_COLOR", "1");
        // Tests wait for what is sent.
        command.env("OTEL_BSP_SCHEDULE_DELAY", "50").env("OTEL_METRIC_EXPORT_INTERVAL", "100");
        adjust(command);
    })
}

/// The id of a client in a pool that sends codes by e-mail.
async fn client(address: &Address) -> String {
    let channel = wire::channel(address).await;
    let pool = json!({ "PoolName": "observed", "AutoVerifiedAttributes": ["email"] });
    let pool = wire::must(&channel, address, "CreateUserPool", pool).await;
    let client = json!({ "UserPoolId": pool["UserPool"]["Id"], "ClientName": "observed" });
    let client = wire::must(&channel, address, "CreateUserPoolClient", client).await;
    client["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned()
}

/// Signs a user up at the AWS door and returns the answer.
async fn sign_up(address: &Address, client: &str, name: &str, traceparent: Option<&str>) -> Answer {
    let body = json!({
        "ClientId": client, "Username": name, "Password": "Correct-horse-staple-7",
        "UserAttributes": [{ "Name": "email", "Value": format!("{name}@example.com") }],
    });
    let target = "AWSCognitoIdentityProviderService.SignUp";
    let headers = [("x-amz-target", target), ("traceparent", traceparent.unwrap_or_default())];
    let headers = if traceparent.is_some() { &headers[..] } else { &headers[..1] };
    send(address.http, "POST", "/", headers, body.to_string().as_bytes()).await
}

fn spans_of(receiver: &Receiver, trace_id: &str) -> Vec<Span> {
    receiver.received().spans.into_iter().filter(|span| hex::encode(&span.trace_id) == trace_id).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_joins_the_trace_of_the_sign_up_that_caused_its_event() {
    let receiver = Receiver::start().await;
    let endpoint = format!("http://{}", receiver.grpc);
    let mut dev = server("traces_grpc", |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        command.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    });
    let address = dev.address();
    let client = client(&address).await;
    let answer = sign_up(&address, &client, "jane", Some(&format!("00-{TRACE_ID}-{CALLER}-01"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    // The call's span and its steps, the delivery of the code, and the event on its way to Kafka.
    let steps = ["read", "hashing", "commit"];
    let expected: BTreeSet<_> =
        steps.into_iter().chain([SIGN_UP, "deliver EMAIL", "send userpool.directory"]).collect();
    let is_there = async || {
        let spans = spans_of(&receiver, TRACE_ID);
        expected.iter().all(|name| spans.iter().any(|span| span.name == *name))
    };
    assert!(eventually(is_there).await, "{:#?}", spans_of(&receiver, TRACE_ID));
    let spans = spans_of(&receiver, TRACE_ID);
    let call = named(&spans, SIGN_UP);
    assert_eq!(hex::encode(&call.parent_span_id), CALLER);
    assert_eq!(call.kind, SpanKind::Server as i32);
    assert_eq!(attribute(&call.attributes, "rpc.system.name"), Some("aws_json"));
    assert_eq!(attribute(&call.attributes, "rpc.method"), Some(SIGN_UP));
    assert_eq!(attribute(&call.attributes, "rpc.response.status_code"), Some("200"));
    assert_eq!(attribute(&call.attributes, "error.type"), None);
    let request_id = &answer.headers["x-amzn-requestid"];
    assert_eq!(attribute(&call.attributes, "userpool.request_id"), Some(request_id.as_str()));
    for step in steps {
        assert_eq!(named(&spans, step).parent_span_id, call.span_id, "{step}");
    }
    for (name, kind) in [("deliver EMAIL", SpanKind::Client), ("send userpool.directory", SpanKind::Producer)] {
        let span = named(&spans, name);
        assert_eq!((&span.parent_span_id, span.kind), (&call.span_id, kind as i32), "{name}");
        assert!(span.end_time_unix_nano >= call.start_time_unix_nano, "{name}");
    }

    // The consumer's span would be a child of the one that sent the record.
    let brokers = dev.variables()["USERPOOL_KAFKA_BROKERS"].clone();
    let signed_up = |record: &Record| record.kind() == "user.signed_up";
    let records = read_until(&brokers, DIRECTORY, move |records| records.iter().any(signed_up)).await;
    let record = records.iter().find(|record| signed_up(record)).expect("it was waited for");
    let sender = hex::encode(&named(&spans, "send userpool.directory").span_id);
    assert_eq!(record.header("traceparent"), format!("00-{TRACE_ID}-{sender}-01"));

    // Who sends.
    let resource = receiver.received().resources[0].attributes.clone();
    assert_eq!(attribute(&resource, "service.name"), Some("userpool"));
    assert_eq!(attribute(&resource, "service.version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(attribute(&resource, "deployment.environment.name"), Some("test"));
    assert!(dev.end(Signal::SIGTERM).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_no_error_of_its_span_and_has_its_exception() {
    let receiver = Receiver::start().await;
    let endpoint = format!("http://{}", receiver.grpc);
    let dev = server("traces_refusal", |command| {
        command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    });
    let address = dev.address();
    let answer =
        sign_up(&address, "1234567890abcdefghijklmnop", "jane", Some(&format!("00-{TRACE_ID}-{CALLER}-01"))).await;
    assert_eq!(answer.exception().0, "ResourceNotFoundException");
    assert!(eventually(async || spans_of(&receiver, TRACE_ID).iter().any(|span| span.name == SIGN_UP)).await);
    let spans = spans_of(&receiver, TRACE_ID);
    let call = named(&spans, SIGN_UP);
    assert_eq!(attribute(&call.attributes, "error.type"), Some("ResourceNotFoundException"));
    assert_eq!(attribute(&call.attributes, "rpc.response.status_code"), Some("400"));
    assert_eq!(call.status.as_ref().map_or(0, |status| status.code), 0, "unset");
    let shown = get(address.http, "/metrics").await.text();
    let counted = format!(
        r#"rpc_server_call_duration_seconds_count{{error_type="ResourceNotFoundException",rpc_method="{SIGN_UP}",rpc_response_status_code="400",rpc_system_name="aws_json"}} 1"#
    );
    let same = |line: &str| labels(line) == labels(&counted);
    assert!(shown.lines().any(same), "{counted} is not in\n{shown}");
}

/// A line of metrics with its labels in one order.
fn labels(line: &str) -> (String, BTreeSet<String>, String) {
    let (name, rest) = line.split_once('{').unwrap_or((line, "} "));
    let (labels, value) = rest.rsplit_once('}').unwrap_or_default();
    (name.to_owned(), labels.split(',').map(str::to_owned).collect(), value.to_owned())
}

/// A tenth of the calls and the like: whatever the ratio, a caller who traces decides for the calls of its trace.
#[tokio::test(flavor = "multi_thread")]
async fn only_sampled_calls_are_traced_and_what_they_leave_behind() {
    let receiver = Receiver::start().await;
    let endpoint = format!("http://{}", receiver.http);
    let dev = server("traces_http", |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        command.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio").env("OTEL_TRACES_SAMPLER_ARG", "0");
        command.env("OTEL_SERVICE_NAME", "users");
    });
    let address = dev.address();
    let client = client(&address).await;
    let not_sampled = format!("00-{}-{CALLER}-00", "1".repeat(32));
    for (name, traceparent) in [("joan", None), ("john", Some(not_sampled.as_str()))] {
        assert_eq!(sign_up(&address, &client, name, traceparent).await.status, 200);
    }
    let sampled = format!("00-{TRACE_ID}-{CALLER}-01");
    assert_eq!(sign_up(&address, &client, "jane", Some(&sampled)).await.status, 200);
    let is_whole = async || {
        let spans = spans_of(&receiver, TRACE_ID);
        [SIGN_UP, "deliver EMAIL", "send userpool.directory"]
            .iter()
            .all(|name| spans.iter().any(|span| span.name == *name))
    };
    assert!(eventually(is_whole).await, "{:?}", receiver.received().spans);
    let others = receiver.received().spans.into_iter().filter(|span| hex::encode(&span.trace_id) != TRACE_ID);
    assert_eq!(others.count(), 0);
    assert_eq!(attribute(&receiver.received().resources[0].attributes, "service.name"), Some("users"));

    // A caller's own trace goes on although the call has no span here.
    let brokers = dev.variables()["USERPOOL_KAFKA_BROKERS"].clone();
    let of_john = not_sampled.clone();
    let passed_on =
        move |records: &[Record]| records.iter().any(|record| record.headers.get("traceparent") == Some(&of_john));
    read_until(&brokers, DIRECTORY, passed_on).await;

    // Metrics have one set of names: what is sent is declared, and so is what Prometheus reads.
    let is_sent = async || receiver.received().metrics.iter().any(|name| name == "rpc.server.call.duration");
    assert!(eventually(is_sent).await);
    let declared: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.definition().name).collect();
    for name in receiver.received().metrics {
        assert!(declared.contains(name.as_str()), "{name}");
    }
    let shown = get(address.http, "/metrics").await;
    assert!(shown.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let declared: BTreeSet<_> = metrics::ALL.iter().map(|metric| metrics::prometheus_name(*metric)).collect();
    let text = shown.text();
    let typed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(typed.len() > 15, "{typed:?}");
    for line in typed.into_iter().filter(|line| !line.starts_with("target_info ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        let metric = metrics::ALL.iter().find(|metric| metrics::prometheus_name(**metric) == name);
        assert_eq!(metric.map(|metric| metric.kind()), Some(kind), "{name} of {declared:?}");
    }
}

/// Faults before this test: calls that ended before the pipeline were not counted.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_never_reach_their_operation_are_counted_with_what_the_caller_reads() {
    let dev = server("counted_calls", |_| {});
    let address = dev.address();
    let path = format!("/{SIGN_UP}");
    let web = ("content-type", "application/grpc-web+proto");
    let request = SignUpRequest {
        client_id: Some("1234567890abcdefghijklmnop".to_owned()),
        username: Some("jane".to_owned()),
        password: Some("Correct-horse-staple-7".to_owned()),
        ..Default::default()
    };
    let request = request.encode_to_vec();
    let message = [&[0][..], &u32::try_from(request.len()).expect("it is short").to_be_bytes(), &request].concat();
    for (headers, body, error, status) in [
        (&[web, ("grpc-timeout", "1m")][..], &message[..], "deadline_exceeded", "DEADLINE_EXCEEDED"),
        (&[web][..], &[7, 7, 7, 7, 7, 7][..], "SerializationException", "INVALID_ARGUMENT"),
        (&[web][..], &message[..], "ResourceNotFoundException", "NOT_FOUND"),
    ] {
        send(address.grpc, "POST", &path, headers, body).await;
        let counted = format!(
            r#"rpc_server_call_duration_seconds_count{{error_type="{error}",rpc_method="{SIGN_UP}",rpc_response_status_code="{status}",rpc_system_name="grpc"}} 1"#
        );
        let shown = get(address.http, "/metrics").await.text();
        assert!(shown.lines().any(|line| labels(line) == labels(&counted)), "{counted} is not in\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_in_json_names_its_call_and_its_trace() {
    shared().postgres.create_database("logs_json");
    let installation = Installation::on(&shared().postgres.url("logs_json"));
    let process = installation.spawn(&["--log-format", "json"], |command| {
        // The driver logs each statement, so that there is a line within the call.
        command.env("RUST_LOG", "userpool=info,sqlx::query=trace");
    });
    let server = Serve::ready(process);
    let target = "AWSCognitoIdentityProviderService.GetUser";
    let traceparent = format!("00-{TRACE_ID}-{CALLER}-00");
    let headers = [("x-amz-target", target), ("traceparent", traceparent.as_str())];
    let body = json!({ "AccessToken": "no.access.token" }).to_string();
    let refused = send(server.http, "POST", "/", &headers, body.as_bytes()).await;
    assert_eq!(refused.exception().0, "NotAuthorizedException");
    let target = "AWSCognitoIdentityProviderService.SignUp";
    let headers = [("x-amz-target", target), ("traceparent", traceparent.as_str())];
    let body = json!({ "ClientId": "1234567890abcdefghijklmnop", "Username": "jane", "Password": "secret-7-Horses" });
    let answer = send(server.http, "POST", "/", &headers, body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let request_id = answer.headers["x-amzn-requestid"].as_str();
    let of_call = lines.iter().find(|line| line["call"]["request_id"] == request_id);
    let call = &of_call.unwrap_or_else(|| panic!("no line of {request_id} in {log}"))["call"];
    assert_eq!(*call, json!({ "operation": "SignUp", "request_id": request_id, "trace_id": TRACE_ID }));
}

#[test]
fn a_wrong_variable_of_opentelemetry_ends_the_start_with_a_sentence() {
    for (variable, value) in [("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_METRICS_EXPORTER", "statsd")] {
        let mut dev = Dev::spawn(&data_directory("wrong_variable"), |command| {
            command.env(variable, value);
        });
        assert!(!dev.is_ready());
        assert!(dev.log().contains(&format!("{variable} is {value:?}: ")), "{}", dev.log());
    }
}

/// Spans that nobody takes are given up, and calls don't notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_changes_no_answer() {
    let mut dev = server("traces_away", |command| {
        // Nobody listens at the discard port.
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    });
    let address = dev.address();
    let client = client(&address).await;
    let answer = sign_up(&address, &client, "jane", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
}
