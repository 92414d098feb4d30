//! A guard for pages that only this machine may read under `dev`: a foreign page whose name is made to resolve to this
//! machine (DNS rebinding) must not read them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{StatusCode, header};

const REFUSAL: &str =
    "This is answered only to requests for the address on which the server listens, or for localhost.\n";

/// Answers a request that is addressed to this server, refuses others.
pub(super) async fn only(listens: SocketAddr, request: Request, next: Next) -> Response {
    if host(&request).is_some_and(|host| is_ours(host.host(), listens.ip())) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, REFUSAL).into_response()
}

/// The host that a request is addressed to: HTTP/2 has it in the address, HTTP/1.1 in a header that must occur once.
fn host(request: &Request) -> Option<Authority> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let header = headers.next();
    if headers.next().is_some() {
        return None;
    }
    let header = header.map(|header| header.to_str().ok()?.parse().ok());
    match (request.uri().authority(), header) {
        (Some(authority), None) => Some(authority.clone()),
        (None, Some(header)) => header,
        // A web page can choose neither; a client that sends both must send the same.
        (Some(authority), Some(header)) => header.filter(|header| header.host() == authority.host()),
        (None, None) => None,
    }
}

/// Names that resolve to this machine everywhere, and addresses that only this machine has.
fn is_ours(host: &str, listens: IpAddr) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    let address: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
    address
        .map(|address| address.to_canonical())
        .is_some_and(|address| address.is_loopback() || address == listens.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(axum::body::Body::empty()).unwrap()
    }

    fn is_answered(uri: &str, hosts: &[&str]) -> bool {
        host(&request(uri, hosts)).is_some_and(|host| is_ours(host.host(), IpAddr::from([192, 0, 2, 7])))
    }

    #[test]
    fn names_and_addresses_of_this_machine_are_answered_and_no_others() {
        for ours in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "app.localhost:3000",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:80",
            "[::ffff:127.0.0.1]",
            "192.0.2.7:8080",
        ] {
            assert!(is_answered("/metrics", &[ours]), "{ours}");
        }
        for other in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            "192.0.2.8",
            "127.0.0.1.evil.example",
            "[2001:db8::1]",
            "0.0.0.0",
            "",
            "a b",
            "127.0.0.1@evil.example",
        ] {
            assert!(!is_answered("/metrics", &[other]), "{other}");
        }
    }

    #[test]
    fn a_request_is_for_one_host() {
        assert!(!is_answered("/metrics", &[]));
        assert!(!is_answered("/metrics", &["localhost", "localhost"]));
        assert!(is_answered("http://localhost:8080/metrics", &[]));
        assert!(!is_answered("http://evil.example/metrics", &[]));
        assert!(is_answered("http://localhost:8080/metrics", &["localhost:8080"]));
        assert!(!is_answered("http://evil.example/metrics", &["localhost"]));
        assert!(!is_answered("http://localhost/metrics", &["evil.example"]));
    }
}
