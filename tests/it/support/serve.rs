//! `userpool serve` as an operator runs it: commands make keys, schema and service account, and then processes start.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use userpool::secret_file;

use super::private_directory;
use super::process::{Process, program, without_settings};

/// A prepared database, master keys and a service account, which processes share.
pub struct Installation {
    /// The directory for keys, certificates and files of a test.
    pub directory: PathBuf,
    /// The file of master keys.
    pub keys: PathBuf,
    pub database_url: String,
    /// The bearer token of an administrator.
    pub token: String,
    /// The program that commands run.
    pub program: OsString,
}

impl Installation {
    /// Makes keys, schema and a service account for an empty database.
    pub fn on(database_url: &str) -> Self {
        Self::by(program(), database_url)
    }

    /// The same by another build of the program.
    pub fn by(program: OsString, database_url: &str) -> Self {
        let directory = private_directory("serve");
        let (keys, database_url) = (directory.join("master.keys"), database_url.to_owned());
        let mut installation = Self { directory, keys, database_url, token: String::new(), program };
        let line = installation.run(&["keys", "generate", "--id", "first"]);
        secret_file::create(&installation.keys, line.as_bytes()).expect("the directory is writable");
        installation.run(&["migrate"]);
        let account = installation.run(&["service-account", "create", "--name", "test", "--role", "admin"]);
        let token = account.lines().find_map(|line| line.strip_prefix("bearer token")).expect("it prints a token");
        installation.token = token.trim().to_owned();
        installation
    }

    /// A command of the program, with the variables for the database.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(&self.program, arguments)
    }

    /// The same of another build of the program.
    pub fn command_by(&self, program: &OsStr, arguments: &[&str]) -> Command {
        let mut command = without_settings(program);
        command.args(arguments);
        command.env("USERPOOL_DATABASE_URL", &self.database_url).env("USERPOOL_MASTER_KEYS_FILE", &self.keys);
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary was built with this test")
    }

    /// Runs a command, which must succeed, and returns what it prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// Starts a server on the loopback address, with further arguments.
    pub fn spawn(&self, arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Process {
        self.spawn_by(&self.program, arguments, adjust)
    }

    /// The same of another build of the program.
    pub fn spawn_by(&self, program: &OsStr, arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Process {
        let mut command =
            self.command_by(program, &["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]);
        command.args(["--public-url", "https://users.example"]).args(arguments).env("USERPOOL_SHUTDOWN_PAUSE", "0");
        adjust(&mut command);
        Process::spawn(command)
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&self, arguments: &[&str]) -> Serve {
        Serve::ready(self.spawn(arguments, |_| {}))
    }

    /// Writes a file with mode 0600, in the place of an earlier one, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        let _ = fs::remove_file(&path);
        secret_file::create(&path, text.as_bytes()).expect("the directory is writable");
        path
    }

    /// Writes a certificate for 127.0.0.1, signed by itself, with its key.
    pub fn write_certificate(&self) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        (self.write("tls.crt", &made.cert.pem()), self.write("tls.key", &made.signing_key.serialize_pem()))
    }
}

/// A server that is ready.
pub struct Serve {
    process: Process,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Serve {
    /// Waits until it is ready.
    pub fn ready(mut process: Process) -> Self {
        assert!(process.says("userpool is ready"), "`userpool serve` is not ready; it says:\n{}", process.log());
        let output = process.output();
        let address = |name: &str| {
            let (_, rest) = output.split_once(name).expect("the line says where it listens");
            rest.split(',').next().and_then(|address| address.trim().parse().ok()).expect("an address")
        };
        Self { grpc: address("gRPC on "), http: address("HTTP on "), process }
    }
}

impl Deref for Serve {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Serve {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A path as an argument of a command line.
pub fn argument(path: &Path) -> &str {
    path.to_str().expect("a path of ours is text")
}

/// Sends a request over TLS to a server whose certificate is trusted, with a client certificate and key if given.
/// `None` if the handshake fails.
pub async fn https(
    address: SocketAddr,
    certificate: &Path,
    own: Option<(&Path, &Path)>,
    request: &str,
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("it can be trusted");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(key).expect("a key");
            builder.with_client_auth_cert(vec![certificate], key).expect("they belong together")
        }
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    // In TLS 1.3 a server that refuses the client's certificate says so only after the client's part of the handshake.
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    (!answer.is_empty()).then_some(answer)
}
