//! What pages in a browser may request and read, and what they may not.

use crate::support::dev::shared_server;
use crate::support::http::{Answer, send};
use crate::support::serve::Installation;

const EVIL: (&str, &str) = ("origin", "https://evil.example");

fn allows(answer: &Answer) -> Vec<&String> {
    answer.headers.keys().filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn pages_may_call_the_api_and_read_keys_and_nothing_else() {
    let http = shared_server().await.address.http;
    let asks = [EVIL, ("access-control-request-method", "GET"), ("access-control-request-headers", "x-amz-target")];
    for path in
        ["/", "/us-east-1_000000000/.well-known/jwks.json", "/us-east-1_000000000/.well-known/openid-configuration"]
    {
        for (method, headers) in [("OPTIONS", &asks[..]), ("GET", &[EVIL])] {
            let answer = send(http, method, path, headers, b"").await;
            let allowed = answer.headers.get("access-control-allow-origin").map(String::as_str);
            assert_eq!(allowed, Some("*"), "{method} {path}: {answer:?}");
        }
    }
    let link = "/us-east-1_000000000/confirmUser?client_id=a&user_name=b&confirmation_code=1";
    for path in ["/dev/messages", "/dev/pools", "/dev/events", "/metrics", "/readyz", "/healthz", link] {
        for (method, headers) in [("OPTIONS", &asks[..]), ("GET", &[EVIL])] {
            let answer = send(http, method, path, headers, b"").await;
            assert_eq!(allows(&answer), Vec::<&String>::new(), "{method} {path}");
        }
        assert_eq!(send(http, "GET", path, &[EVIL], b"").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn under_dev_codes_and_metrics_are_shown_only_under_names_of_this_server() {
    let http = shared_server().await.address.http;
    let streams = ["/dev/messages/stream", "/dev/events/stream"];
    let pages =
        ["/dev/messages", "/dev/messages?to=jane@example.com", "/dev/pools", "/dev/events", "/dev/assets/console.js"];
    for path in pages.into_iter().chain(streams).chain(["/metrics"]) {
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "192.0.2.1", ""] {
            let answer = send(http, "GET", path, &[("host", host)], b"").await;
            assert_eq!(answer.status, 421, "{host}{path}: {}", answer.text());
            assert!(answer.text().starts_with("This is answered only to requests for"), "{}", answer.text());
        }
        if streams.contains(&path) {
            // Streams don't end when they are answered.
            continue;
        }
        let own = http.to_string();
        for host in ["localhost", "localhost:3000", "[::1]:80", "127.0.0.1", &own] {
            assert_eq!(send(http, "GET", path, &[("host", host)], b"").await.status, 200, "{host}{path}");
        }
    }
    // Public paths answer under every host name.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(http, "GET", path, &[("host", "users.example")], b"").await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_production_are_shown_under_every_name_and_there_is_no_console() {
    let start = || {
        let postgres = &crate::support::dev::shared().postgres;
        postgres.create_database("pages_metrics");
        Installation::on(&postgres.url("pages_metrics")).start(&[])
    };
    let server = tokio::task::spawn_blocking(start).await.expect("the server starts");
    let host = [("host", "userpool.monitoring.example:8080")];
    assert_eq!(send(server.http, "GET", "/metrics", &host, b"").await.status, 200);
    for path in ["/dev", "/dev/messages", "/dev/messages/stream", "/dev/pools", "/dev/events", "/dev/assets/console.js"]
    {
        assert_eq!(send(server.http, "GET", path, &[], b"").await.status, 404, "{path}");
    }
    tokio::task::spawn_blocking(move || drop(server)).await.expect("it ends");
}
