//! Who calls: a bearer token or a certificate over gRPC, a signature at the AWS door, and the address behind trusted
//! proxies.

use std::time::Duration;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::api::listener::Peer;
use crate::api::operation::Operation;
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::App;
use crate::app::caller::{Caller, Credential, Developer};
use crate::domain::error::{Error, Exception};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AccessKeyId;
use crate::proto::userpool::v1::Authorization;
use crate::store::service_accounts::{AccountSecret, ServiceAccount};

/// A caller of whom only headers and connection are known.
pub fn anonymous(
    app: &App,
    operation: Operation,
    headers: &HeaderMap,
    peer: Option<Peer>,
    proxies: &TrustedProxies,
) -> Caller {
    Caller {
        developer: None,
        address: peer.map(|peer| proxies.caller_address(peer.address.ip(), headers)),
        request_id: app.random.uuid().to_string(),
        traceparent: traceparent(headers),
        region: None,
        patience: grpc_timeout(headers),
        operation: operation.info().name,
        idempotency_key: idempotency_key(headers),
        command: None,
    }
}

/// Whether an operation needs a service account.
pub fn needs_account(operation: Operation) -> bool {
    operation.info().authorization == Authorization::Developer
}

/// A refusal, with the account that was named, if it is one of ours.
pub struct Refused {
    /// Why.
    pub error: Error,
    /// Whose name was used.
    pub developer: Option<Developer>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, developer: None }
    }
}

/// The caller of a developer operation over gRPC: by its bearer token, or without one by the connection's certificate.
pub async fn developer(app: &App, headers: &HeaderMap, peer: Option<Peer>) -> Result<Developer, Refused> {
    let certificate = peer.and_then(|peer| peer.certificate);
    match certificate.filter(|_| !headers.contains_key(http::header::AUTHORIZATION) && says_grpc(headers)) {
        Some(certificate) => by_certificate(app, certificate).await,
        None => bearer(app, headers).await,
    }
}

/// Whether the content is said to be gRPC's.
///
/// A page anywhere can have a browser send a request to us, and the browser may show its user's certificate with it. But
/// content of this type has to be asked for first, and our CORS allows no credentials: so a call that a page forges comes
/// without the certificate, or without the type.
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

/// There is one, and it is nobody's.
pub fn unrecognized() -> Error {
    Error::new(Exception::UnrecognizedClientException, "The security token included in the request is invalid.")
}

/// The account of an access key, if it is of use.
pub async fn account(app: &App, id: &str) -> Result<Option<(ServiceAccount, AccountSecret)>, Error> {
    let well_formed = id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !well_formed {
        return Ok(None);
    }
    Ok(app.store.service_account(&AccessKeyId::new(id)).await?)
}

/// The header `idempotency-key` as it came. Given twice, it has no form that is accepted.
fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("idempotency-key").iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).reduce(|all, value| all + " " + &value)
}

/// The trace context of a request, if it has the form that W3C gives it.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let plain = value.len() == 55 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    plain.then(|| value.to_owned())
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

        #[test]
        fn any_traceparent_is_taken_only_in_its_form(value in "[ -~]{0,60}") {
            if let Some(taken) = traceparent(&headers("traceparent", &value)) {
                prop_assert!(taken.len() == 55 && taken.chars().all(|character| character.is_ascii_hexdigit() || character == '-'));
            }
        }
    }
}
