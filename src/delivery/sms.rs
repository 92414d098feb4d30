//! SMS through an HTTP gateway.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use tracing::Span;

use crate::delivery::DeliveryError;
use crate::delivery::body::{BodyTemplate, BodyValues};
use crate::delivery::settings::{self, SettingsError, SmsSettings};
use crate::domain::message::Message;
use crate::telemetry::trace::TraceContext;

/// A gateway that sends SMS.
#[derive(Debug)]
pub(super) struct Gateway {
    client: Client,
    url: Url,
    template: BodyTemplate,
    settings: SmsSettings,
}

impl Gateway {
    pub(super) fn new(settings: &SmsSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let limit = Duration::from_secs(settings.timeout_seconds);
        let headers: HeaderMap = settings.all_headers()?.into_iter().collect();
        let mut client = Client::builder()
            .default_headers(headers)
            .timeout(limit)
            .user_agent(concat!("userpool/", env!("CARGO_PKG_VERSION")))
            // A redirect would send codes and credentials to another server.
            .redirect(redirect::Policy::none());
        if settings.is_local() {
            client = client.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let name = "sms.ca-file";
            let unusable = || SettingsError::Certificates { name, path: path.clone() };
            let certificates = Certificate::from_pem_bundle(&settings::read(name, path)?).map_err(|_| unusable())?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            client = client.tls_certs_only(certificates);
        }
        Ok(Self {
            client: client.build().map_err(|error| SettingsError::Tls(error.to_string()))?,
            url: settings.address()?,
            template: settings.template()?,
            settings: settings.clone(),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    /// Sends a message to the gateway.
    pub(super) async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let sender = self.settings.sender.as_deref().unwrap_or_default();
        let body = self.template.filled(BodyValues { to: &message.to, message: &message.body, sender });
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, self.template.content_type()).body(body);
        let request = match TraceContext::of(&Span::current()) {
            Some(context) => request.header("traceparent", context.to_string()),
            None => request,
        };
        let status = match request.send().await {
            Ok(response) => response.status(),
            Err(error) if error.is_timeout() => {
                return Err(DeliveryError::failed("the SMS gateway did not answer in time"));
            }
            Err(error) => {
                let error = cause(&error.without_url());
                return Err(DeliveryError::failed(format!("the SMS gateway can't be reached ({error})")));
            }
        };
        match status {
            _ if self.settings.is_success(status.as_u16()) => Ok(()),
            // The request itself is at fault and would be refused again. Other statuses are about the gateway, its load
            // or the server's account there.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Err(DeliveryError::refused(format!("the SMS gateway refuses the message ({})", status.as_u16())))
            }
            _ => Err(DeliveryError::failed(format!("the SMS gateway answers {}", status.as_u16()))),
        }
    }
}

/// The innermost error: the outer ones only say that a request failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let settings = serde_json::json!({
            "url": "https://sms.example.com", "body": r#"{"to": "{to}", "text": "{message}"}"#,
            "authorization": "Bearer hunter2", "headers": { "x-key": "hunter2" },
        });
        let gateway = Gateway::new(&serde_json::from_value(settings).unwrap()).unwrap();
        assert!(!format!("{gateway:?}").contains("hunter2"));
    }
}
