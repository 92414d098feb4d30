//! How a production server delivers messages: the settings of the mail relay and of the SMS gateway.
//!
//! The types are the sections `[email]` and `[sms]` of a configuration, with names in hyphens. Unknown names are
//! refused. [`EmailSettings::check`] and [`SmsSettings::check`] find unsafe or contradictory settings before a server
//! starts.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::delivery::body::{BodyError, BodyFormat, BodyTemplate};
use crate::domain::message::NamedAddress;
use crate::secret_file::{self, SecretFileError};

/// Longest time of one attempt at one message, in seconds. Well below the time for which a message is claimed, so that
/// no other worker sends it meanwhile.
pub const LONGEST_TIMEOUT_SECONDS: u64 = 30;
const DEFAULT_TIMEOUT_SECONDS: u64 = 20;
const DEFAULT_CONCURRENCY: usize = 8;
const MOST_CONCURRENCY: usize = 64;
const IMPLICIT_TLS_PORT: u16 = 465;
const STARTTLS_PORT: u16 = 587;
const PLAIN_PORT: u16 = 25;

/// A secret value: Debug hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How the connection to a mail relay is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// TLS from the first byte on.
    #[default]
    Tls,
    /// A plain connection that is upgraded before anything is sent. A relay that doesn't offer that gets nothing.
    Starttls,
    /// No TLS: only for a relay on the loopback address.
    None,
}

/// The mail relay, and the sender of e-mails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EmailSettings {
    /// The host of the relay.
    pub host: String,
    /// The relay's port; by default 465, 587 or 25, by the kind of security.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected: `tls`, `starttls` or `none`.
    #[serde(default)]
    pub security: Security,
    /// The sender, `name@example.com` or `Name <name@example.com>`, unless a pool's `EmailConfiguration.From` names another.
    pub from: String,
    /// The address for answers, unless a pool's `EmailConfiguration.ReplyToEmailAddress` names another.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The domains allowed in a pool's `From`. If absent, any: then the relay has to refuse senders that are not yours.
    #[serde(default)]
    pub sender_domains: Option<Vec<String>>,
    /// The user name at the relay; if absent, the server does not sign in.
    #[serde(default)]
    pub username: Option<String>,
    /// The password at the relay.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The file with the password, instead of `password`. A line break at its end is not part of it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A file of CA certificates in PEM for the relay's certificate, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The name that the server gives itself at the relay; the host's own by default.
    #[serde(default)]
    pub hello_name: Option<String>,
    /// Longest time of one attempt at a message in seconds, connecting included.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
    /// How many e-mails are sent at once, each over its own connection, which is reused.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

/// The HTTP gateway that sends SMS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmsSettings {
    /// The address of requests: `POST`, over `https`, or over `http` to the loopback address only.
    pub url: String,
    /// The form of the body: `json` or `form`.
    #[serde(default)]
    pub format: BodyFormat,
    /// The body, with the placeholders `{to}`, `{message}` and `{sender}`: JSON whose texts contain them, or
    /// `name={to}&…`. Values are escaped as the format needs it.
    pub body: String,
    /// The value of `{sender}`: a number or a name that the gateway knows.
    #[serde(default)]
    pub sender: Option<String>,
    /// The value of the header `authorization`.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// The file with that value, instead of `authorization`. A line break at its end is not part of it.
    #[serde(default)]
    pub authorization_file: Option<PathBuf>,
    /// Other headers of a request. Their values are not shown either: some gateways expect a key in one.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The statuses with which the gateway accepts a message; by default 200 to 299.
    #[serde(default)]
    pub success_statuses: Option<Vec<u16>>,
    /// A file of CA certificates in PEM for the gateway's certificate, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time of one attempt at a message in seconds, connecting included.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
    /// How many requests are sent at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

fn default_timeout_seconds() -> u64 {
    DEFAULT_TIMEOUT_SECONDS
}

fn default_concurrency() -> usize {
    DEFAULT_CONCURRENCY
}

/// Settings with which messages can't be delivered.
#[allow(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A setting is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Two settings have the same meaning.
    #[error("{0} and {1} say the same thing: give one of them")]
    Both(&'static str, &'static str),
    /// A setting needs another one.
    #[error("{0} is given without {1}")]
    Without(&'static str, &'static str),
    /// A number is out of its range.
    #[error("{name} must be between 1 and {most}")]
    Range { name: &'static str, most: u64 },
    /// A value is malformed.
    #[error("{name} is not {what}")]
    Form { name: &'static str, what: &'static str },
    /// Codes and passwords would cross a network unencrypted.
    #[error("{0} would send codes in plain text over the network: that is only possible to the loopback address")]
    PlainText(&'static str),
    /// The template of an SMS request can't be used.
    #[error("sms.body: {0}")]
    Body(#[from] BodyError),
    /// A file can't be read.
    #[error("{name}: {} can't be read ({source})", path.display())]
    File { name: &'static str, path: PathBuf, source: std::io::Error },
    /// A file with a secret can't be used, for example because others can read it.
    #[error("{name}: {}: {source}", path.display())]
    SecretFile { name: &'static str, path: PathBuf, source: SecretFileError },
    /// A file has no usable certificates.
    #[error("{name}: {} holds no usable certificates", path.display())]
    Certificates { name: &'static str, path: PathBuf },
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

impl EmailSettings {
    /// Finds all problems that need neither a connection nor a file.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.host.trim().is_empty() {
            return Err(SettingsError::Missing("email.host"));
        }
        if self.host.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(SettingsError::Form { name: "email.host", what: "the name or address of a host" });
        }
        if self.port == Some(0) {
            return Err(SettingsError::Form { name: "email.port", what: "a port" });
        }
        if self.security == Security::None && !is_loopback(&self.host) {
            return Err(SettingsError::PlainText("email.security"));
        }
        if self.security == Security::None && self.ca_file.is_some() {
            return Err(SettingsError::Without("email.ca-file", "email.security tls or starttls"));
        }
        self.sender()?;
        let domains = self.sender_domains.iter().flatten();
        if domains.into_iter().any(|domain| domain.is_empty() || domain.contains('@')) {
            return Err(SettingsError::Form { name: "email.sender-domains", what: "a list of domains" });
        }
        if let Some(name) = &self.hello_name
            && (name.is_empty() || name.chars().any(|character| !character.is_ascii_graphic()))
        {
            return Err(SettingsError::Form { name: "email.hello-name", what: "the name of a host" });
        }
        let password = one_of("email.password", &self.password, "email.password-file", &self.password_file)?;
        match (self.username.as_deref(), password) {
            (Some(""), _) => Err(SettingsError::Missing("email.username")),
            (Some(_), false) => Err(SettingsError::Without("email.username", "email.password or email.password-file")),
            (None, true) => Err(SettingsError::Without("email.password", "email.username")),
            _ => in_range(self.timeout_seconds, self.concurrency, "email.timeout-seconds", "email.concurrency"),
        }
    }

    /// The sender and the address for answers, by the server's settings.
    pub(super) fn sender(&self) -> Result<(NamedAddress, Option<NamedAddress>), SettingsError> {
        let what = "an e-mail address, or `Name <address>`";
        let parse = |name, text: &str| NamedAddress::parse(text).ok_or(SettingsError::Form { name, what });
        let reply_to = self.reply_to.as_deref().map(|text| parse("email.reply-to", text)).transpose()?;
        Ok((parse("email.from", &self.from)?, reply_to))
    }

    /// The host as connections need it: an IPv6 address without its brackets.
    pub(super) fn host_name(&self) -> &str {
        without_brackets(&self.host)
    }

    /// The port that is set, or the default for the kind of security.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::Tls => IMPLICIT_TLS_PORT,
            Security::Starttls => STARTTLS_PORT,
            Security::None => PLAIN_PORT,
        })
    }

    /// User name and password, if there are any.
    pub(super) fn credentials(&self) -> Result<Option<(String, Secret)>, SettingsError> {
        let password = secret("email.password-file", &self.password, &self.password_file)?;
        Ok(self.username.clone().zip(password))
    }
}

impl SmsSettings {
    /// Finds all problems that need neither a connection nor a file.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.address()?;
        let template = self.template()?;
        if template.names_sender() && self.sender.is_none() {
            return Err(SettingsError::Without("{sender} in sms.body", "sms.sender"));
        }
        one_of("sms.authorization", &self.authorization, "sms.authorization-file", &self.authorization_file)?;
        if let Some(value) = &self.authorization {
            header_value("sms.authorization", value)?;
        }
        self.other_headers()?;
        if self
            .success_statuses
            .as_ref()
            .is_some_and(|statuses| statuses.is_empty() || statuses.iter().any(|status| !(200..400).contains(status)))
        {
            return Err(SettingsError::Form {
                name: "sms.success-statuses",
                what: "a list of statuses from 200 to 399",
            });
        }
        in_range(self.timeout_seconds, self.concurrency, "sms.timeout-seconds", "sms.concurrency")
    }

    /// The gateway's address, checked.
    pub(super) fn address(&self) -> Result<Url, SettingsError> {
        let form =
            SettingsError::Form { name: "sms.url", what: "the https URL of a gateway, without a user name in it" };
        let Ok(url) = Url::parse(&self.url) else { return Err(form) };
        let Some(host) = url.host_str() else { return Err(form) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(form);
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(host) => Ok(url),
            "http" => Err(SettingsError::PlainText("sms.url")),
            _ => Err(form),
        }
    }

    /// Whether the gateway is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.address().is_ok_and(|url| url.host_str().is_some_and(is_loopback))
    }

    /// The body's template, parsed and checked.
    pub(super) fn template(&self) -> Result<BodyTemplate, SettingsError> {
        Ok(BodyTemplate::parse(self.format, &self.body)?)
    }

    /// All headers, the secret one included.
    pub(super) fn all_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let mut headers = self.other_headers()?;
        if let Some(value) = secret("sms.authorization-file", &self.authorization, &self.authorization_file)? {
            headers.push((reqwest::header::AUTHORIZATION, header_value("sms.authorization", &value)?));
        }
        Ok(headers)
    }

    fn other_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let header = |(name, value): (&String, &Secret)| {
            let form = SettingsError::Form { name: "sms.headers", what: "a table of headers and their values" };
            let name: HeaderName = name.parse().map_err(|_| form)?;
            if name == reqwest::header::AUTHORIZATION {
                return Err(SettingsError::Both("sms.headers.authorization", "sms.authorization"));
            }
            Ok((name, header_value("sms.headers", value)?))
        };
        self.headers.iter().map(header).collect()
    }

    /// Whether a status means that the gateway has accepted the message.
    pub(super) fn is_success(&self, status: u16) -> bool {
        match &self.success_statuses {
            Some(statuses) => statuses.contains(&status),
            None => (200..300).contains(&status),
        }
    }
}

fn header_value(name: &'static str, value: &Secret) -> Result<HeaderValue, SettingsError> {
    let mut value: HeaderValue =
        value.0.parse().map_err(|_| SettingsError::Form { name, what: "the value of a header" })?;
    value.set_sensitive(true);
    Ok(value)
}

fn in_range(
    seconds: u64,
    concurrency: usize,
    seconds_name: &'static str,
    concurrency_name: &'static str,
) -> Result<(), SettingsError> {
    if !(1..=LONGEST_TIMEOUT_SECONDS).contains(&seconds) {
        return Err(SettingsError::Range { name: seconds_name, most: LONGEST_TIMEOUT_SECONDS });
    }
    if !(1..=MOST_CONCURRENCY).contains(&concurrency) {
        return Err(SettingsError::Range { name: concurrency_name, most: MOST_CONCURRENCY as u64 });
    }
    Ok(())
}

/// Whether a value is given in one of its two forms; an error if it is given in both.
fn one_of(
    name: &'static str,
    value: &Option<Secret>,
    file_name: &'static str,
    file: &Option<PathBuf>,
) -> Result<bool, SettingsError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(SettingsError::Both(name, file_name)),
        (Some(Secret(value)), None) if value.is_empty() => Err(SettingsError::Missing(name)),
        (value, file) => Ok(value.is_some() || file.is_some()),
    }
}

/// A secret that is given directly or in a file.
fn secret(name: &'static str, value: &Option<Secret>, file: &Option<PathBuf>) -> Result<Option<Secret>, SettingsError> {
    let Some(path) = file else { return Ok(value.clone()) };
    let file = |source| SettingsError::SecretFile { name, path: path.to_owned(), source };
    let bytes = secret_file::read(path).map_err(file)?;
    let text = String::from_utf8(bytes).map_err(|_| SettingsError::Form { name, what: "a file of text" })?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(SettingsError::Missing(name));
    }
    Ok(Some(Secret(text.to_owned())))
}

/// The bytes of a file that a setting names.
pub(super) fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|source| SettingsError::File { name, path: path.to_owned(), source })
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether a host is surely this machine.
fn is_loopback(host: &str) -> bool {
    let address = without_brackets(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with(mut base: Value, changes: Value) -> Value {
        let (Value::Object(base_object), Value::Object(changes)) = (&mut base, changes) else { panic!("objects") };
        base_object.extend(changes);
        base
    }

    fn email(changes: Value) -> Result<EmailSettings, String> {
        let base = json!({ "host": "smtp.example.com", "from": "Codes <codes@example.com>" });
        let settings: EmailSettings = serde_json::from_value(with(base, changes)).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    fn sms(changes: Value) -> Result<SmsSettings, String> {
        let base = json!({ "url": "https://sms.example.com/send", "body": r#"{"to": "{to}", "text": "{message}"}"# });
        let settings: SmsSettings = serde_json::from_value(with(base, changes)).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn a_relay_is_reached_by_tls_by_default() {
        let port = |changes| email(changes).map(|settings| (settings.security, settings.port()));
        assert_eq!(port(json!({})), Ok((Security::Tls, 465)));
        assert_eq!(port(json!({ "security": "starttls" })), Ok((Security::Starttls, 587)));
        assert_eq!(port(json!({ "port": 2465 })), Ok((Security::Tls, 2465)));
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert_eq!(port(json!({ "security": "none", "host": host })), Ok((Security::None, 25)), "{host}");
        }
    }

    #[test]
    fn plain_text_never_leaves_the_machine() {
        for host in ["smtp.example.com", "10.0.0.1", "localhost.example.com"] {
            let refused = email(json!({ "security": "none", "host": host })).unwrap_err();
            assert!(refused.starts_with("email.security would send codes in plain text"), "{refused}");
        }
        let refused = sms(json!({ "url": "http://sms.example.com/send" })).unwrap_err();
        assert!(refused.starts_with("sms.url would send codes in plain text"), "{refused}");
        assert!(sms(json!({ "url": "http://127.0.0.1:8025/send" })).is_ok());
    }

    #[test]
    fn contradictory_and_missing_settings_are_refused_by_name() {
        let refusals = [
            (json!({ "host": " " }), "email.host is missing"),
            (json!({ "from": "codes" }), "email.from is not an e-mail address"),
            (json!({ "from": "Codes <codes@example.com>\r\nBcc: <x@example.com>" }), "email.from is not"),
            (json!({ "reply-to": "nobody" }), "email.reply-to is not"),
            (json!({ "username": "me" }), "email.username is given without email.password"),
            (json!({ "password": "hunter2" }), "email.password is given without email.username"),
            (json!({ "username": "me", "password": "" }), "email.password is missing"),
            (
                json!({ "username": "me", "password": "x", "password-file": "/x" }),
                "email.password and email.password-file say the same thing",
            ),
            (json!({ "host": "localhost", "security": "none", "ca-file": "/x" }), "email.ca-file is given without"),
            (json!({ "timeout-seconds": 31 }), "email.timeout-seconds must be between 1 and 30"),
            (json!({ "timeout-seconds": 0 }), "email.timeout-seconds must be between 1 and 30"),
            (json!({ "concurrency": 0 }), "email.concurrency must be between 1 and 64"),
            (json!({ "sender-domains": ["a@example.com"] }), "email.sender-domains is not"),
            (json!({ "pasword": "hunter2" }), "unknown field `pasword`"),
        ];
        for (changes, expected) in refusals {
            let refused = email(changes.clone()).expect_err(&changes.to_string());
            assert!(refused.starts_with(expected), "{changes}: {refused}");
        }
    }

    #[test]
    fn a_gateway_needs_an_address_and_a_body_with_placeholders() {
        let refusals = [
            (json!({ "url": "sms.example.com" }), "sms.url is not"),
            (json!({ "url": "ftp://sms.example.com" }), "sms.url is not"),
            (json!({ "url": "https://me:secret@sms.example.com" }), "sms.url is not"),
            (json!({ "body": "{}" }), "sms.body: it has no place for {to}"),
            (json!({ "body": r#"{"to": "{to}", "text": "{message}", "from": "{sender}"}"# }), "{sender} in sms.body"),
            (json!({ "headers": { "bad name": "x" } }), "sms.headers is not"),
            (json!({ "headers": { "x-key": "a\nb" } }), "sms.headers is not"),
            (json!({ "headers": { "Authorization": "x" } }), "sms.headers.authorization and sms.authorization say"),
            (json!({ "success-statuses": [] }), "sms.success-statuses is not"),
            (json!({ "success-statuses": [500] }), "sms.success-statuses is not"),
            (json!({ "header": {} }), "unknown field `header`"),
        ];
        for (changes, expected) in refusals {
            let refused = sms(changes.clone()).expect_err(&changes.to_string());
            assert!(refused.starts_with(expected), "{changes}: {refused}");
        }
        let settings = sms(json!({ "success-statuses": [202] })).unwrap();
        assert!(settings.is_success(202) && !settings.is_success(200));
    }

    #[test]
    fn a_secret_comes_from_a_file_without_the_line_break_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let read = |text: &str| {
            let _ = std::fs::remove_file(&file);
            secret_file::create(&file, text.as_bytes()).unwrap();
            let settings = email(json!({ "username": "me", "password-file": file })).unwrap();
            settings.credentials().map(|found| found.map(|(user, Secret(password))| (user, password)))
        };
        let found = |password: &str| Some(("me".to_owned(), password.to_owned()));
        assert_eq!(read("hunter2\n").unwrap(), found("hunter2"));
        assert_eq!(read(" hunter2\r\n").unwrap(), found(" hunter2"));
        assert!(matches!(read("\n"), Err(SettingsError::Missing("email.password-file"))));
        let missing = email(json!({ "username": "me", "password-file": "/nowhere/password" })).unwrap();
        assert!(matches!(missing.credentials(), Err(SettingsError::SecretFile { .. })));
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let exposed = [
            email(json!({ "username": "me", "password-file": file })).unwrap().credentials().map(drop),
            sms(json!({ "authorization-file": file })).unwrap().all_headers().map(drop),
        ];
        for refused in exposed {
            let told = refused.unwrap_err().to_string();
            assert!(told.contains("-file") && told.contains("mode 0644"), "{told}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings = email(json!({ "username": "me", "password": "hunter2" })).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let settings = sms(json!({ "authorization": "Bearer hunter2", "headers": { "x-key": "hunter2" } })).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!format!("{:?}", settings.all_headers().unwrap()).contains("hunter2"));
    }
}
