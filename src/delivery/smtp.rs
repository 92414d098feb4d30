//! E-mail through a mail relay.

use std::sync::Mutex;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::{Mailbox, Message as Email, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::{Error as SmtpError, response::Severity};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::delivery::DeliveryError;
use crate::delivery::plain_text::plain_text;
use crate::delivery::settings::{self, EmailSettings, Secret, Security, SettingsError};
use crate::domain::addresses;
use crate::domain::message::{Message, NamedAddress};

/// Connections that were idle for longer are not reused: relays close theirs after some minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// A relay answers at once whether an idle connection still works, or not at all.
const LONGEST_TEST: Duration = Duration::from_secs(2);
/// How long a relay may take to close a connection.
const LONGEST_FAREWELL: Duration = Duration::from_secs(5);

/// A mail relay with its connections.
///
/// lettre has its own pool, which is not used: it takes a connection back even if a time limit has cut off its
/// exchange, and would then read the late answer to one message as the answer to the next. Here a connection returns
/// only after a complete exchange.
pub(super) struct Relay {
    host: String,
    port: u16,
    security: Security,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello_name: ClientId,
    sender: NamedAddress,
    reply_to: Option<NamedAddress>,
    sender_domains: Option<Vec<String>>,
    timeout: Duration,
    concurrency: usize,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// An e-mail with its envelope.
struct Letter {
    from: lettre::Address,
    to: lettre::Address,
    content: Vec<u8>,
}

impl Relay {
    pub(super) fn new(settings: &EmailSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let (sender, reply_to) = settings.sender()?;
        let tls = match settings.security {
            Security::None => None,
            Security::Tls | Security::Starttls => Some(tls_parameters(settings)?),
        };
        let credentials = settings.credentials()?.map(|(user, Secret(password))| Credentials::new(user, password));
        Ok(Self {
            host: settings.host_name().to_owned(),
            port: settings.port(),
            security: settings.security,
            tls,
            credentials,
            hello_name: settings.hello_name.clone().map_or_else(ClientId::default, ClientId::Domain),
            sender,
            reply_to,
            sender_domains: settings.sender_domains.clone(),
            timeout: Duration::from_secs(settings.timeout_seconds),
            concurrency: settings.concurrency,
            idle: Mutex::default(),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Sends a message to the relay.
    pub(super) async fn send(&self, id: Uuid, message: &Message) -> Result<(), DeliveryError> {
        let letter = self.letter(id, message)?;
        match timeout(self.timeout, self.hand_over(&letter)).await {
            Ok(result) => result,
            Err(_) => Err(DeliveryError::failed("the mail relay did not answer in time")),
        }
    }

    /// The e-mail in its final form.
    fn letter(&self, id: Uuid, message: &Message) -> Result<Letter, DeliveryError> {
        let sender = match &message.from {
            Some(text) => self.allowed(NamedAddress::parse(text))?,
            None => self.sender.clone(),
        };
        let reply_to = match &message.reply_to {
            Some(text) => {
                let malformed = || DeliveryError::refused("the pool's ReplyToEmailAddress is not an address");
                Some(NamedAddress::parse(text).ok_or_else(malformed)?)
            }
            None => self.reply_to.clone(),
        };
        let malformed = |_| DeliveryError::refused("the recipient's address can't be written in an e-mail");
        let to = mailbox(NamedAddress { name: None, address: message.to.clone() }).map_err(malformed)?;
        let malformed = |_| DeliveryError::refused("the sender's address can't be written in an e-mail");
        let from = mailbox(sender).map_err(malformed)?;
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()]).map_err(unwritable)?;
        // The same for each attempt, so that a mail server can recognise the e-mail.
        let message_id = format!("<{id}@{}>", from.email.domain());
        let (sender, recipient) = (from.email.clone(), to.email.clone());
        let mut email = Email::builder()
            .envelope(envelope)
            .from(from)
            .to(to)
            .message_id(Some(message_id))
            .subject(one_line(message.subject.as_deref().unwrap_or_default()));
        if let Some(reply_to) = reply_to {
            let malformed = |_| DeliveryError::refused("the address for answers can't be written in an e-mail");
            email = email.reply_to(mailbox(reply_to).map_err(malformed)?);
        }
        let content = MultiPart::alternative_plain_html(plain_text(&message.body), message.body.clone());
        let email = email.multipart(content).map_err(unwritable)?;
        Ok(Letter { from: sender, to: recipient, content: email.formatted() })
    }

    fn allowed(&self, sender: Option<NamedAddress>) -> Result<NamedAddress, DeliveryError> {
        let sender = sender.ok_or_else(|| DeliveryError::refused("the pool's From is not an address"))?;
        let (_, domain) = sender.address.rsplit_once('@').unwrap_or_default();
        match &self.sender_domains {
            Some(domains) if !domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) => {
                Err(DeliveryError::refused("the pool's From is of a domain that this server does not send for"))
            }
            _ => Ok(sender),
        }
    }

    async fn hand_over(&self, letter: &Letter) -> Result<(), DeliveryError> {
        let mut connection = self.connection().await?;
        match exchange(&mut connection, letter).await {
            Ok(()) => {
                self.give_back(connection);
                Ok(())
            }
            Err(error) => {
                // The relay's answer counts; the time for closing the connection does not.
                tokio::spawn(async move { timeout(LONGEST_FAREWELL, connection.abort()).await });
                Err(error)
            }
        }
    }

    /// A working connection: an idle one, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        while let Some(mut connection) = self.take_idle() {
            if timeout(LONGEST_TEST, connection.test_connected()).await == Ok(true) {
                return Ok(connection);
            }
        }
        self.connect().await.map_err(|error| match error.status() {
            Some(_) => DeliveryError::failed(format!("the mail relay refuses this server ({})", code_of(&error))),
            None => DeliveryError::failed(format!("the mail relay can't be used ({})", described(&error))),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let (host, hello) = ((self.host.as_str(), self.port), &self.hello_name);
        let implicit = self.tls.clone().filter(|_| self.security == Security::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(host, Some(self.timeout), hello, implicit, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.security == Security::Starttls) {
            connection.starttls(tls, hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn give_back(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.push((connection, Instant::now()));
    }
}

/// Sends one e-mail over a connection. Only a refusal of this recipient or this e-mail is final: earlier refusals are
/// about the server or its settings, which can be corrected.
async fn exchange(connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), DeliveryError> {
    let mut parameters = Vec::new();
    if [&letter.from, &letter.to].into_iter().any(|address| !address.to_string().is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(DeliveryError::refused("the mail relay takes only addresses in ASCII"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = connection.command(Mail::new(Some(letter.from.clone()), parameters)).await;
    sender.map_err(|error| failure(&error, "the sender"))?;
    let recipient = connection.command(Rcpt::new(letter.to.clone(), Vec::new())).await;
    recipient.map_err(|error| verdict(&error, "the recipient"))?;
    let data = connection.command(Data).await;
    data.map_err(|error| failure(&error, "the message"))?;
    let content = connection.message(&letter.content).await;
    content.map_err(|error| verdict(&error, "the message"))?;
    Ok(())
}

/// The meaning of a refusal that may be final.
fn verdict(error: &SmtpError, what: &str) -> DeliveryError {
    match error.status() {
        Some(status) if status.severity == Severity::PermanentNegativeCompletion => {
            DeliveryError::refused(format!("the mail relay refuses {what} ({})", code_of(error)))
        }
        _ => failure(error, what),
    }
}

/// The meaning of a refusal that is not final.
fn failure(error: &SmtpError, what: &str) -> DeliveryError {
    match error.status() {
        Some(_) => {
            DeliveryError::failed(format!("the mail relay does not take {what} at the moment ({})", code_of(error)))
        }
        None => DeliveryError::failed(format!("the connection to the mail relay broke ({})", described(error))),
    }
}

/// An error without an answer of the relay. Unreadable answers are left out: they may repeat an address.
fn described(error: &SmtpError) -> String {
    if error.is_response() {
        return "it closed the connection, or does not speak SMTP".to_owned();
    }
    error.to_string()
}

/// The code of an answer, and the enhanced code if there is one: numbers only. The text often repeats the address.
fn code_of(error: &SmtpError) -> String {
    let Some(status) = error.status() else { return String::new() };
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let enhanced = text.split_whitespace().next().filter(|word| is_enhanced_code(word));
    match enhanced {
        Some(enhanced) => format!("{status} {enhanced}"),
        None => status.to_string(),
    }
}

/// Whether a word is a status code of RFC 3463, such as `5.1.1`.
fn is_enhanced_code(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(number)
}

/// An address for lettre: the normalised mailbox, with a domain that every relay accepts.
fn mailbox(address: NamedAddress) -> Result<Mailbox, lettre::address::AddressError> {
    let mailbox = addresses::mailbox(&address.address).ok_or(lettre::address::AddressError::InvalidInput)?;
    let (user, domain) = mailbox.rsplit_once('@').ok_or(lettre::address::AddressError::MissingParts)?;
    Ok(Mailbox::new(address.name, lettre::Address::new(user, domain)?))
}

/// A text without line breaks, so that it can't add a header.
fn one_line(text: &str) -> String {
    text.split(|character: char| character.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn unwritable(error: lettre::error::Error) -> DeliveryError {
    DeliveryError::refused(format!("the e-mail can't be written ({error})"))
}

fn tls_parameters(settings: &EmailSettings) -> Result<TlsParameters, SettingsError> {
    let mut builder = TlsParameters::builder(settings.host_name().to_owned());
    if let Some(path) = &settings.ca_file {
        let name = "email.ca-file";
        let pem = settings::read(name, path)?;
        let unusable = || SettingsError::Certificates { name, path: path.clone() };
        if !String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") {
            return Err(unusable());
        }
        let certificates = Certificate::from_pem(&pem).map_err(|_| unusable())?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    }
    builder.build_rustls().map_err(|error| SettingsError::Tls(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::message::Medium;

    fn relay() -> Relay {
        let settings = json!({
            "host": "localhost", "security": "none", "from": "Codes <codes@example.com>", "username": "me", "password": "hunter2",
        });
        Relay::new(&serde_json::from_value(settings).unwrap()).unwrap()
    }

    fn message() -> Message {
        Message {
            medium: Medium::Email,
            to: "jane@example.com".to_owned(),
            from: None,
            reply_to: None,
            subject: Some("Your code".to_owned()),
            body: "Your code is 123456".to_owned(),
            code: Some("123456".to_owned()),
            link: None,
        }
    }

    /// The headers of an e-mail, each with its lines joined.
    fn headers(message: &Message) -> Result<Vec<String>, String> {
        let letter = relay().letter(Uuid::nil(), message).map_err(|error| error.to_string())?;
        let content = String::from_utf8(letter.content).unwrap();
        let (head, _) = content.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        Ok(head.split("\r\n").map(str::to_owned).collect())
    }

    fn names(headers: &[String]) -> Vec<&str> {
        headers.iter().map(|header| header.split_once(": ").unwrap_or_else(|| panic!("{header:?}")).0).collect()
    }

    const NAMES: [&str; 7] = ["From", "To", "Message-ID", "Subject", "MIME-Version", "Date", "Content-Type"];

    #[test]
    fn an_email_has_these_headers() {
        let headers = headers(&message()).unwrap();
        assert_eq!(names(&headers), NAMES);
        assert!(headers.contains(&"Message-ID: <00000000-0000-0000-0000-000000000000@example.com>".to_owned()));
        let kind = headers.last().unwrap();
        assert!(kind.starts_with("Content-Type: multipart/alternative;"), "{kind}");
    }

    #[test]
    fn an_email_goes_to_the_normalised_mailbox() {
        for to in ["Jane@exam\u{ad}ple.com", "Jane@\u{ff45}xample.com", "Jane@EXAMPLE.com"] {
            let headers = headers(&Message { to: to.to_owned(), ..message() }).unwrap();
            assert!(headers.contains(&"To: Jane@example.com".to_owned()), "{to:?}: {headers:?}");
        }
    }

    #[test]
    fn texts_of_a_pool_add_no_headers() {
        let subject = Message { subject: Some("a\r\nBcc: b@example.com\r\n\r\nHello".to_owned()), ..message() };
        let found = headers(&subject).unwrap();
        assert_eq!(names(&found), NAMES);
        assert!(found.contains(&"Subject: a Bcc: b@example.com Hello".to_owned()), "{found:?}");
        let evil = Some("a@example.com\r\nBcc: b@example.com".to_owned());
        let refusals = [
            (Message { from: evil.clone(), ..message() }, "the pool's From is not an address"),
            (Message { reply_to: evil, ..message() }, "the pool's ReplyToEmailAddress is not an address"),
            (
                Message { to: "a@example.com>\r\nRCPT TO:<b@example.com".to_owned(), ..message() },
                "the recipient's address can't be written in an e-mail",
            ),
        ];
        for (message, expected) in refusals {
            assert_eq!(headers(&message).unwrap_err(), expected);
        }
    }

    #[test]
    fn only_numbers_of_an_answer_are_kept() {
        for (word, is) in [("5.1.1", true), ("4.7.512", true), ("5.1", false), ("5.1.x", false), ("jane@x.y", false)] {
            assert_eq!(is_enhanced_code(word), is, "{word}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", relay()).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_adds_a_header(subject in any::<String>(), from in any::<String>(), name in any::<String>()) {
            let named = format!("{name} <a@example.com>");
            for from in [from, named] {
                let message = Message { subject: Some(subject.clone()), from: Some(from), ..message() };
                if let Ok(found) = headers(&message) {
                    prop_assert_eq!(names(&found), NAMES);
                }
            }
        }
    }
}
