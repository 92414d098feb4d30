//! AWS Signature Version 4: the request is signed again as its headers say, and the signatures are compared.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::request::Parts;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::api::authenticate::{Refused, account, unrecognized};
use crate::app::App;
use crate::app::caller::{Credential, Developer};
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "cognito-idp";
/// A signature is valid for 15 minutes before and after its time.
const TOLERANCE_SECONDS: i64 = 15 * 60;

/// What a valid signature proves.
pub struct Signed {
    /// The caller whose secret made the signature.
    pub developer: Developer,
    /// The region in the signature's scope.
    pub region: String,
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Finds the account whose signature a request carries. Fails if there is none, or if it is old or does not fit headers
/// and body.
pub async fn verify(app: &App, parts: &Parts, body: &[u8]) -> Result<Signed, Refused> {
    let header = parts.headers.get(http::header::AUTHORIZATION).ok_or_else(Error::no_credential)?;
    let header = header.to_str().map_err(|_| incomplete("Authorization header must be text."))?;
    let authorization = parse(header)?;
    let time = signing_time(parts)?;
    check_time(&authorization, time, app.clock.now())?;
    let (account, secret) = account(app, authorization.access_key_id).await?.ok_or_else(unrecognized)?;
    let developer = Developer { account, credential: Credential::Secret };
    match signature(parts, body, &authorization, time, &secret.0) {
        Ok(expected) if bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) => {
            Ok(Signed { developer, region: authorization.region.to_owned() })
        }
        Ok(_) => Err(Refused {
            error: Error::new(
                Exception::InvalidSignatureException,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
            ),
            developer: Some(developer),
        }),
        Err(error) => Err(Refused { error, developer: Some(developer) }),
    }
}

fn incomplete(message: impl Into<String>) -> Error {
    Error::new(Exception::IncompleteSignatureException, message.into())
}

fn parse(header: &str) -> Result<Authorization<'_>, Error> {
    let Some(rest) = header.strip_prefix(ALGORITHM) else {
        return Err(incomplete(format!("Authorization header requires the algorithm {ALGORITHM}.")));
    };
    let part = |name: &str| {
        let mut parts = rest.split(',').map(str::trim);
        let value = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
    };
    let scope: Vec<_> = part("Credential")?.split('/').collect();
    let &[access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
        return Err(incomplete("Credential must be <access key id>/<date>/<region>/<service>/aws4_request."));
    };
    if service != SERVICE {
        return Err(Error::new(
            Exception::InvalidSignatureException,
            format!("Credential should be scoped to correct service: '{SERVICE}'."),
        ));
    }
    let well_formed = !region.is_empty()
        && region.len() <= 32
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !well_formed {
        return Err(Error::new(Exception::InvalidSignatureException, "Credential should be scoped to a valid region."));
    }
    let signed_headers: Vec<_> = part("SignedHeaders")?.split(';').collect();
    Ok(Authorization { access_key_id, date, region, signed_headers, signature: part("Signature")? })
}

fn signing_time(parts: &Parts) -> Result<OffsetDateTime, Error> {
    let missing = || incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
    let date = parts.headers.get("x-amz-date").ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time::PrimitiveDateTime::parse(date, format)
        .map(time::PrimitiveDateTime::assume_utc)
        .map_err(|_| incomplete("Date in X-Amz-Date must be in ISO-8601 'basic format'."))
}

fn check_time(authorization: &Authorization<'_>, time: OffsetDateTime, now: Timestamp) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::new(Exception::InvalidSignatureException, message));
    let day = format!("{:04}{:02}{:02}", time.year(), u8::from(time.month()), time.day());
    if authorization.date != day {
        return invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.".to_owned(),
        );
    }
    let age = now.seconds() - time.unix_timestamp();
    if age > TOLERANCE_SECONDS {
        return invalid("Signature expired: it is more than 15 minutes old.".to_owned());
    }
    if age < -TOLERANCE_SECONDS {
        return invalid("Signature not yet current: it is more than 15 minutes in the future.".to_owned());
    }
    Ok(())
}

/// The signature that the secret gives for the request.
fn signature(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    time: OffsetDateTime,
    secret: &str,
) -> Result<String, Error> {
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        if parts.headers.contains_key(needed) && !authorization.signed_headers.contains(&needed) {
            return Err(Error::new(
                Exception::InvalidSignatureException,
                format!("'{needed}' must be a 'SignedHeader' in the AWS Authorization."),
            ));
        }
    }
    let mut headers = Vec::new();
    for name in &authorization.signed_headers {
        let value = parts.headers.get(*name).and_then(|value| value.to_str().ok());
        // Over HTTP/2, the host is in the address.
        let value = value.or_else(|| (*name == "host").then(|| parts.uri.authority().map(|it| it.as_str())).flatten());
        let value = value.ok_or_else(|| incomplete(format!("The signed header '{name}' is not in the request.")))?;
        headers.push((*name, value));
    }
    let host = headers.iter().find(|(name, _)| *name == "host").map_or("localhost", |(_, host)| host);
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let uri = format!("http://{host}{path}");
    let mut settings = SigningSettings::default();
    settings.excluded_headers = Some(Vec::new());
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let identity = Credentials::new(authorization.access_key_id, secret, None, None, "userpool").into();
    let seconds = u64::try_from(time.unix_timestamp()).map_err(|_| incomplete("Date in X-Amz-Date is before 1970."))?;
    let at: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(authorization.region)
        .name(SERVICE)
        .time(at)
        .settings(settings)
        .build()
        .map_err(Error::internal)?;
    let request = SignableRequest::new(parts.method.as_str(), &uri, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|_| incomplete("The request can't be signed as its headers say."))?;
    let (_, signature) = sign(request, &params.into())
        .map_err(|_| incomplete("The request can't be signed as its headers say."))?
        .into_parts();
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(name: &str, value: &[u8]) -> Parts {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        http::Request::builder().header(name, value).body(()).unwrap().into_parts().0
    }

    #[test]
    fn malformed_headers_are_refused_by_their_missing_part() {
        let credential = "Credential=AKID/20260102/us-east-1/cognito-idp/aws4_request";
        for (header, exception, told) in [
            ("Bearer a.b".to_owned(), Exception::IncompleteSignatureException, "algorithm AWS4-HMAC-SHA256"),
            ("AWS4-HMAC-SHA256".to_owned(), Exception::IncompleteSignatureException, "'Credential' parameter"),
            (
                format!("AWS4-HMAC-SHA256 {credential}"),
                Exception::IncompleteSignatureException,
                "'SignedHeaders' parameter",
            ),
            (
                format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host"),
                Exception::IncompleteSignatureException,
                "'Signature' parameter",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b".to_owned(),
                Exception::IncompleteSignatureException,
                "Credential must be",
            ),
            (
                format!("AWS4-HMAC-SHA256 {}", credential.replace("cognito-idp", "s3")),
                Exception::InvalidSignatureException,
                "correct service",
            ),
            (
                format!("AWS4-HMAC-SHA256 {}", credential.replace("us-east-1", "US EAST")),
                Exception::InvalidSignatureException,
                "valid region",
            ),
        ] {
            let error = parse(&header).err().unwrap();
            assert_eq!(error.exception, exception, "{header}");
            assert!(error.message.contains(told), "{header}: {}", error.message);
        }
    }

    #[test]
    fn a_signature_is_good_for_a_quarter_of_an_hour_either_way() {
        let header =
            "AWS4-HMAC-SHA256 Credential=a/20260102/r/cognito-idp/aws4_request, SignedHeaders=host, Signature=s";
        let authorization = parse(header).ok().unwrap();
        let time = signing_time(&parts("x-amz-date", b"20260102T120000Z")).ok().unwrap();
        let at = |seconds: i64| Timestamp((time.unix_timestamp() + seconds) * 1000);
        assert!(check_time(&authorization, time, at(TOLERANCE_SECONDS)).is_ok());
        assert!(check_time(&authorization, time, at(TOLERANCE_SECONDS + 1)).is_err());
        assert!(check_time(&authorization, time, at(-TOLERANCE_SECONDS)).is_ok());
        assert!(check_time(&authorization, time, at(-TOLERANCE_SECONDS - 1)).is_err());
        let other_day = signing_time(&parts("x-amz-date", b"20260103T000000Z")).ok().unwrap();
        assert!(check_time(&authorization, other_day, Timestamp(other_day.unix_timestamp() * 1000)).is_err());
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in ".*") {
            let _ = parse(&header);
        }

        #[test]
        fn any_header_of_the_scheme_is_read_or_refused(rest in "[ ,=/;]{0,3}((Credential|SignedHeaders|Signature)[=]?[a-z0-9/;é]{0,20}[, ]{0,2}){0,4}") {
            let _ = parse(&format!("{ALGORITHM}{rest}"));
        }

        #[test]
        fn what_is_written_is_read(
            id in "[A-Z0-9]{20}", date in "[0-9]{8}", region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
            names in prop::collection::vec("[a-z-]{1,12}", 1..5), signature in "[0-9a-f]{64}", gap in "[ ]{0,2}",
        ) {
            let signed = names.join(";");
            let header = format!(
                "{ALGORITHM} Credential={id}/{date}/{region}/cognito-idp/aws4_request,{gap}SignedHeaders={signed},{gap}Signature={signature}"
            );
            let read = parse(&header).ok().unwrap();
            prop_assert_eq!((read.access_key_id, read.date, read.region), (id.as_str(), date.as_str(), region.as_str()));
            prop_assert_eq!(read.signed_headers, names.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(read.signature, signature);
        }

        #[test]
        fn any_date_is_read_or_refused(date in "[ -~]{0,20}") {
            let _ = signing_time(&parts("x-amz-date", date.as_bytes()));
        }
    }
}
