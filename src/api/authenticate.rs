//! Authentication of callers: a bearer token or a client certificate over gRPC, a signature at the AWS door; and the
//! caller's address behind trusted proxies.

use std::time::Duration;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::api::listener::Peer;
use crate::api::observation::Observation;
use crate::api::operation::Operation;
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::App;
use crate::app::caller::{Caller, Credential, Developer};
use crate::domain::error::{Error, Exception};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AccessKeyId;
use crate::proto::userpool::v1::Authorization;
use crate::store::service_accounts::{AccountSecret, ServiceAccount};

/// A caller of whom only the headers and the connection are known.
pub fn anonymous(call: &Observation, headers: &HeaderMap, peer: Option<Peer>, proxies: &TrustedProxies) -> Caller {
    Caller {
        developer: None,
        address: peer.map(|peer| proxies.caller_address(peer.address.ip(), headers)),
        request_id: call.request_id().to_owned(),
        trace_context: call.trace_context(),
        region: None,
        patience: grpc_timeout(headers),
        operation: call.operation().info().name,
        idempotency_key: idempotency_key(headers),
        command: None,
        asked: Default::default(),
    }
}

/// Whether an operation needs a service account.
pub fn needs_account(operation: Operation) -> bool {
    operation.info().authorization == Authorization::Developer
}

/// A refusal, with the service account that was named, if it is one of ours.
pub struct Refused {
    /// The error that the caller is answered.
    pub error: Error,
    /// The account that the caller named; absent if there is no such account.
    pub developer: Option<Developer>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, developer: None }
    }
}

/// The caller of a developer operation over gRPC: the bearer token decides, or without one the connection's certificate.
pub async fn developer(app: &App, headers: &HeaderMap, peer: Option<Peer>) -> Result<Developer, Refused> {
    let certificate = peer.and_then(|peer| peer.certificate);
    match certificate.filter(|_| !headers.contains_key(http::header::AUTHORIZATION) && says_grpc(headers)) {
        Some(certificate) => by_certificate(app, certificate).await,
        None => bearer(app, headers).await,
    }
}

/// Whether the headers say that the content is gRPC's.
///
/// A web page of any origin can make a browser send us a request, and the browser may present its user's certificate.
/// But a browser asks by preflight before it sends this content type, and our CORS allows no credentials: so a forged
/// call lacks either the certificate or the content type.
fn says_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The account that a certificate is bound to.
async fn by_certificate(app: &App, certificate: Fingerprint) -> Result<Developer, Refused> {
    let account = app.store.account_of_certificate(certificate).await.map_err(Error::from)?;
    let account = account.ok_or_else(unrecognized)?;
    Ok(Developer { account, credential: Credential::Certificate(certificate) })
}

/// The account of `authorization: Bearer <access key id>.<secret>`.
async fn bearer(app: &App, headers: &HeaderMap) -> Result<Developer, Refused> {
    let header = headers
        .get(http::header::AUTHORIZATION)
        .ok_or_else(Error::no_credential)?
        .to_str()
        .map_err(|_| unrecognized())?;
    let (scheme, token) = header.split_once(' ').ok_or_else(Error::no_credential)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::no_credential().into());
    }
    let (id, secret) = token.trim().split_once('.').ok_or_else(unrecognized)?;
    let (account, expected) = account(app, id).await?.ok_or_else(unrecognized)?;
    let developer = Developer { account, credential: Credential::Secret };
    if bool::from(expected.0.as_bytes().ct_eq(secret.as_bytes())) {
        Ok(developer)
    } else {
        Err(Refused { error: unrecognized(), developer: Some(developer) })
    }
}

/// A credential was presented, but it belongs to no account.
pub fn unrecognized() -> Error {
    Error::new(Exception::UnrecognizedClientException, "The security token included in the request is invalid.")
}

/// The account of an access key, if the key can be used.
pub async fn account(app: &App, id: &str) -> Result<Option<(ServiceAccount, AccountSecret)>, Error> {
    let well_formed = id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !well_formed {
        return Ok(None);
    }
    Ok(app.store.service_account(&AccessKeyId::new(id)).await?)
}

/// The header `idempotency-key` as it came. Two headers are joined to a value that is always refused.
fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("idempotency-key").iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .reduce(|all, value| all + " " + value.as_str())
}

/// How long a gRPC caller waits: `grpc-timeout`, a number of up to eight digits with its unit.
pub fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let unit_at = value.len().checked_sub(1).filter(|at| (1..=8).contains(at) && value.is_char_boundary(*at))?;
    let (number, unit) = value.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn timeouts_of_any_form_are_read_or_ignored() {
        assert_eq!(grpc_timeout(&headers("grpc-timeout", "250m")), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout(&headers("grpc-timeout", "1S")), Some(Duration::from_secs(1)));
        for wrong in ["", "S", "12", "123456789S", "1x", "é"] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap(),
            )]);
            assert_eq!(grpc_timeout(&headers), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_timeout_is_read_or_ignored(value in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]);
                let _ = grpc_timeout(&headers);
            }
        }

        #[test]
        fn a_timeout_is_its_number_of_units(number in 0_u64..100_000_000, unit in 0_usize..6) {
            let (name, nanos) = [("H", 3_600_000_000_000), ("M", 60_000_000_000), ("S", 1_000_000_000), ("m", 1_000_000), ("u", 1_000), ("n", 1_u128)][unit];
            let read = grpc_timeout(&headers("grpc-timeout", &format!("{number}{name}")));
            prop_assert_eq!(read.map(|read| read.as_nanos()), Some(u128::from(number) * nanos));
        }
    }
}
