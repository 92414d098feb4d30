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
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
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
    /// The file with them, instead of `headers`: a line `name: value` for each. Blank lines don't count.
    #[serde(default)]
    pub headers_file: Option<PathBuf>,
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
        if self.headers_file.is_some() && !self.headers.is_empty() {
            return Err(SettingsError::Both("sms.headers", "sms.headers-file"));
        }
        self.shown_headers()?;
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

    /// All headers, those of files included.
    pub(super) fn all_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let mut headers = self.shown_headers()?;
        headers.extend(self.headers_of_file()?);
        if let Some(value) = secret("sms.authorization-file", &self.authorization, &self.authorization_file)? {
            headers.push((AUTHORIZATION, header_value("sms.authorization", &value)?));
        }
        Ok(headers)
    }

    /// The headers that the configuration itself shows.
    fn shown_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let what = "a table of headers and their values";
        let header = |(name, value): (&String, &Secret)| header("sms.headers", what, name, value);
        self.headers.iter().map(header).collect()
    }

    fn headers_of_file(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let (name, what) = ("sms.headers-file", "a file with a line `name: value` for each header");
        let Some(Secret(text)) = secret(name, &None, &self.headers_file)? else { return Ok(Vec::new()) };
        let form = || SettingsError::Form { name, what };
        let mut headers = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or_else(form)?;
            let header = header(name, what, key.trim(), &Secret(value.trim().to_owned()))?;
            // Only one of two values would be sent.
            if headers.iter().any(|(other, _)| *other == header.0) {
                return Err(form());
            }
            headers.push(header);
        }
        Ok(headers)
    }

    /// Whether a status means that the gateway has accepted the message.
    pub(super) fn is_success(&self, status: u16) -> bool {
        match &self.success_statuses {
            Some(statuses) => statuses.contains(&status),
            None => (200..300).contains(&status),
        }
    }
}

/// A header other than `authorization`, which has a setting of its own.
fn header(
    setting: &'static str,
    what: &'static str,
    name: &str,
    value: &Secret,
) -> Result<(HeaderName, HeaderValue), SettingsError> {
    let name: HeaderName = name.parse().map_err(|_| SettingsError::Form { name: setting, what })?;
    if name == AUTHORIZATION {
        return Err(SettingsError::Both("sms.headers.authorization", "sms.authorization"));
    }
    Ok((name, header_value(setting, value)?))
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
mod tests;
