//! A mail relay for tests: speaks as much SMTP as a client needs, with or without TLS, keeps the e-mails that it gets,
//! and fails as a test tells it to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How connections to the relay are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// From the first byte on.
    Tls,
    /// By STARTTLS; nothing else is answered before.
    Starttls,
    /// No TLS, and no offer of STARTTLS.
    None,
}

/// An e-mail as it arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The sender of the envelope.
    pub from: String,
    /// The recipient of the envelope.
    pub to: String,
    /// Headers and body as sent, with doubled dots undone.
    pub content: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// The account that had signed in, if any.
    pub user: Option<String>,
}

impl Mail {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.content, name)
    }

    /// The HTML part, decoded.
    pub fn body(&self) -> String {
        self.part("text/html; charset=utf-8")
    }

    /// The plain-text part, decoded.
    pub fn plain_text(&self) -> String {
        self.part("text/plain; charset=utf-8")
    }

    /// One of the two parts, by its content type.
    fn part(&self, kind: &str) -> String {
        let whole = self.header("content-type").expect("a type");
        let boundary = whole.strip_prefix("multipart/alternative;").expect("two parts").trim();
        let boundary = boundary.strip_prefix("boundary=\"").and_then(|it| it.strip_suffix('"')).expect("a boundary");
        let (_, body) = self.content.split_once("\r\n\r\n").expect("headers and a body");
        let (parts, _) = body.split_once(&format!("--{boundary}--")).expect("an end");
        let parts: Vec<_> = parts.split(&format!("--{boundary}\r\n")).skip(1).collect();
        assert_eq!(parts.len(), 2);
        let found = parts.into_iter().find(|part| header(part, "content-type").as_deref() == Some(kind));
        decoded(found.unwrap_or_else(|| panic!("no part of {kind}")))
    }
}

fn header(content: &str, name: &str) -> Option<String> {
    let (head, _) = content.split_once("\r\n\r\n").expect("headers and a body");
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let find = |line: &str| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    head.split("\r\n").find_map(find)
}

fn decoded(part: &str) -> String {
    let (_, body) = part.split_once("\r\n\r\n").expect("headers and a body");
    match header(part, "content-transfer-encoding").as_deref() {
        Some("base64") => {
            let joined: String = body.split_whitespace().collect();
            String::from_utf8(STANDARD.decode(joined).expect("base64")).expect("text")
        }
        Some("quoted-printable") => {
            let bytes = quoted_printable::decode(body, quoted_printable::ParseMode::Strict).expect("an encoding");
            String::from_utf8(bytes).expect("text").trim_end().to_owned()
        }
        _ => body.trim_end().to_owned(),
    }
}

/// How the relay answers a command.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With its usual answer.
    Usual,
    /// With this line instead of the usual answer.
    Line(String),
    /// Not at all, until the test calls `go_on`.
    Wait,
}

type Script = Box<dyn Fn(&str, &str) -> Answer + Send + Sync>;

struct State {
    protection: Protection,
    account: Option<(String, String)>,
    tls: Option<TlsAcceptor>,
    script: Mutex<Script>,
    mails: Mutex<Vec<Mail>>,
    sessions: AtomicUsize,
    sending: AtomicUsize,
    most_sending: AtomicUsize,
    go_on: Semaphore,
}

/// A running relay; ends when dropped.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
    listening: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Relay {
    /// A relay on a port of its own.
    pub async fn start(protection: Protection, account: Option<(&str, &str)>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), protection, account).await
    }

    /// A relay at an address.
    pub async fn start_at(address: SocketAddr, protection: Protection, account: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let state = Arc::new(State {
            protection,
            account: account.map(|(user, password)| (user.to_owned(), password.to_owned())),
            tls: (protection != Protection::None).then(|| certificates().acceptor.clone()),
            script: Mutex::new(Box::new(|_, _| Answer::Usual)),
            mails: Mutex::default(),
            sessions: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            most_sending: AtomicUsize::new(0),
            go_on: Semaphore::new(0),
        });
        let address = listener.local_addr().expect("an address");
        let connections: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let listening = tokio::spawn(accept(listener, state.clone(), connections.clone()));
        Self { address, state, listening, connections }
    }

    /// Sets the answers from now on: a function of the command (`MAIL`, `RCPT`, `DATA`, or `.` for the end of an
    /// e-mail) and of the recipient, as far as known.
    pub fn answers(&self, script: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    /// Lets one connection that waits go on.
    pub fn go_on(&self) {
        self.state.go_on.add_permits(1);
    }

    /// The e-mails that have arrived, in their order.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// The e-mails that have arrived for an address.
    pub fn mails_for(&self, to: &str) -> Vec<Mail> {
        self.mails().into_iter().filter(|mail| mail.to == to).collect()
    }

    /// How many sessions there have been.
    pub fn sessions(&self) -> usize {
        self.state.sessions.load(Ordering::SeqCst)
    }

    /// How many e-mails are under way: content received, not answered yet.
    pub fn sending(&self) -> usize {
        self.state.sending.load(Ordering::SeqCst)
    }

    /// The largest number of e-mails that were under way at once.
    pub fn most_sending(&self) -> usize {
        self.state.most_sending.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

/// The file with the certificate that signed those of all relays.
pub fn ca_file() -> PathBuf {
    certificates().directory.path().join("ca.pem")
}

/// The file with a certificate that signed none of them.
pub fn other_ca_file() -> PathBuf {
    certificates().directory.path().join("other.pem")
}

struct Certificates {
    acceptor: TlsAcceptor,
    directory: TempDir,
}

fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(|| {
        let authority = || {
            let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("parameters");
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("a certificate")
        };
        let (authority, other) = (authority(), authority());
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).and_then(|parameters| parameters.signed_by(&key, &authority));
        let certificate = certificate.expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("a file");
        std::fs::write(directory.path().join("other.pem"), other.pem()).expect("a file");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        Certificates { acceptor: TlsAcceptor::from(Arc::new(config)), directory }
    })
}

async fn accept(listener: TcpListener, state: Arc<State>, connections: Arc<Mutex<Vec<JoinHandle<()>>>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        state.sessions.fetch_add(1, Ordering::SeqCst);
        let state = state.clone();
        connections.lock().unwrap().push(tokio::spawn(async move {
            // A client that goes away, or does not trust the certificate, ends its own session only.
            let _ = serve(stream, &state).await;
        }));
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    match (state.protection, &state.tls) {
        (Protection::Tls, Some(tls)) => {
            let mut session = Session::new(state, BufReader::new(tls.accept(stream).await?), true);
            session.say("220 relay").await?;
            session.run().await.map(drop)
        }
        (Protection::Starttls, Some(tls)) => {
            let mut session = Session::new(state, BufReader::new(stream), false);
            session.say("220 relay").await?;
            if session.run().await? {
                let stream = tls.accept(session.stream.into_inner()).await?;
                Session::new(state, BufReader::new(stream), true).run().await?;
            }
            Ok(())
        }
        _ => {
            let mut session = Session::new(state, BufReader::new(stream), false);
            session.say("220 relay").await?;
            session.run().await.map(drop)
        }
    }
}

struct Session<'a, S> {
    state: &'a State,
    stream: BufReader<S>,
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: String,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(state: &'a State, stream: BufReader<S>, encrypted: bool) -> Self {
        Self { state, stream, encrypted, user: None, from: String::new(), to: String::new() }
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await
    }

    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).await?;
        Ok((length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Answers until the client goes away. True if it asks for TLS.
    async fn run(&mut self) -> std::io::Result<bool> {
        while let Some(line) = self.line().await? {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let waits_for_tls = self.state.protection == Protection::Starttls && !self.encrypted;
            match verb.as_str() {
                "EHLO" => self.hello(waits_for_tls).await?,
                "NOOP" | "RSET" => self.say("250 ok").await?,
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Ok(false);
                }
                "STARTTLS" if waits_for_tls => {
                    self.say("220 go on").await?;
                    return Ok(true);
                }
                _ if waits_for_tls => self.say("530 5.7.0 STARTTLS first").await?,
                "AUTH" => self.authenticate(&line).await?,
                _ if self.state.account.is_some() && self.user.is_none() => self.say("530 5.7.0 sign in first").await?,
                "MAIL" => {
                    self.from = address(&line);
                    self.answer("MAIL", "250 ok").await?;
                }
                "RCPT" => {
                    self.to = address(&line);
                    self.answer("RCPT", "250 ok").await?;
                }
                "DATA" => {
                    if self.answer("DATA", "354 go on").await? {
                        self.content().await?;
                    }
                }
                _ => self.say("500 what?").await?,
            }
        }
        Ok(false)
    }

    async fn hello(&mut self, waits_for_tls: bool) -> std::io::Result<()> {
        self.say("250-relay").await?;
        if waits_for_tls {
            self.say("250-STARTTLS").await?;
        } else if self.state.account.is_some() {
            self.say("250-AUTH PLAIN LOGIN").await?;
        }
        self.say("250 8BITMIME").await
    }

    async fn authenticate(&mut self, line: &str) -> std::io::Result<()> {
        let response = line.split(' ').nth(2).unwrap_or_default();
        let decoded = STANDARD.decode(response).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let mut parts = decoded.split('\0').skip(1);
        let given = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
        if self.state.account.as_ref() == Some(&given) {
            self.user = Some(given.0);
            self.say("235 welcome").await
        } else {
            self.say("535 5.7.8 who are you?").await
        }
    }

    /// Answers as the script says. True if that is the usual answer.
    async fn answer(&mut self, verb: &str, usual: &str) -> std::io::Result<bool> {
        let answer = (self.state.script.lock().unwrap())(verb, &self.to);
        match answer {
            Answer::Usual => self.say(usual).await.map(|()| true),
            Answer::Line(line) => self.say(&line).await.map(|()| false),
            Answer::Wait => {
                self.state.go_on.acquire().await.expect("the semaphore stays open").forget();
                self.say(usual).await.map(|()| true)
            }
        }
    }

    async fn content(&mut self) -> std::io::Result<()> {
        let mut content = String::new();
        loop {
            let Some(line) = self.line().await? else { return Ok(()) };
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        let sending = self.state.sending.fetch_add(1, Ordering::SeqCst) + 1;
        self.state.most_sending.fetch_max(sending, Ordering::SeqCst);
        let taken = self.answer(".", "250 ok").await;
        self.state.sending.fetch_sub(1, Ordering::SeqCst);
        if taken? {
            self.state.mails.lock().unwrap().push(Mail {
                from: self.from.clone(),
                to: self.to.clone(),
                content,
                encrypted: self.encrypted,
                user: self.user.clone(),
            });
        }
        Ok(())
    }
}

fn address(line: &str) -> String {
    let address = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    address.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looked).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
