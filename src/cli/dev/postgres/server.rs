//! The process of the server, from its start to its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection, Executor};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::{Cluster, NAME};
use super::error::{PostgresError, telling_line};
use super::leftover::{GLANCE, PATIENCE, SIGNALS};
use crate::environment::Random;

/// How long a server may take to accept connections; after a crash it first replays its log.
const STARTING: Duration = Duration::from_secs(60);

/// Settings of the server besides its port. `postgresql.conf` stays as initdb wrote it, so that people can change other
/// settings.
const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "max_prepared_transactions=0",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_destination=stderr",
    "logging_collector=off",
    "ssl=off",
    // Commits reach the operating system, so they survive a killed server; only a crash of the machine can lose them.
    // For development data, that is worth the milliseconds that every commit saves.
    "fsync=off",
    // Kept on: a kill may leave a page half written.
    "full_page_writes=on",
];

/// A running server. When dropped, it is sent the signal of a fast shutdown; nothing waits for it.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    port: u16,
}

/// The reason why a server is not ready.
enum NotReady {
    /// The server has ended; this is its log.
    Ended(String),
    Failed(PostgresError),
}

impl Server {
    /// Starts the server of a cluster and waits until its database is there.
    pub async fn start(
        cluster: &Cluster,
        binaries: &Path,
        password: &str,
        random: &Random,
    ) -> Result<Self, PostgresError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let port = free_port(&cluster.port_file(), random)?;
            let said = cluster.open_log()?.metadata().map_err(PostgresError::io("read", &cluster.log()))?.len();
            let mut server = Self::spawn(cluster, binaries, port)?;
            let log = match server.until_ready(password, &cluster.log(), said).await {
                Ok(()) => {
                    let path = cluster.port_file();
                    std::fs::write(&path, format!("{port}\n")).map_err(PostgresError::io("write", &path))?;
                    return Ok(server);
                }
                Err(NotReady::Failed(error)) => {
                    // Only the first error is reported.
                    let _ = server.stop().await;
                    return Err(error);
                }
                Err(NotReady::Ended(log)) => log,
            };
            // Another program took the port meanwhile, or children of a killed server have not ended yet.
            let passes = ["Address already in use", "is still in use"].iter().any(|reason| log.contains(reason));
            if !passes || Instant::now() >= deadline {
                return Err(PostgresError::NotStarted { reason: telling_line(&log), log: cluster.log() });
            }
            sleep(GLANCE).await;
        }
    }

    fn spawn(cluster: &Cluster, binaries: &Path, port: u16) -> Result<Self, PostgresError> {
        let program = binaries.join("postgres");
        let output = cluster.open_log()?;
        let errors = output.try_clone().map_err(PostgresError::io("open", &cluster.log()))?;
        let mut command = cluster.account.command(&program);
        // The data directory comes first: the search for leftover servers expects it there.
        command.arg("-D").arg(&cluster.directory).arg("-c").arg(format!("port={port}"));
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let process = command.stdout(output).stderr(errors).spawn().map_err(PostgresError::io("run", &program))?;
        Ok(Self { process, port })
    }

    /// The port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn until_ready(&mut self, password: &str, log: &Path, said: u64) -> Result<(), NotReady> {
        let deadline = Instant::now() + STARTING;
        loop {
            let ended = self.process.try_wait();
            if ended.map_err(|error| NotReady::Failed(PostgresError::io("wait for", log)(error)))?.is_some() {
                return Err(NotReady::Ended(read_from(log, said)));
            }
            match timeout(PATIENCE, self.open_database(password)).await {
                Ok(Ok(())) => return Ok(()),
                // 57P03: the server is starting. Any other error is final.
                Ok(Err(error)) if code(&error).is_some_and(|code| code != "57P03") => {
                    return Err(NotReady::Failed(error.into()));
                }
                Ok(Err(_)) | Err(_) if Instant::now() < deadline => sleep(GLANCE).await,
                Ok(Err(_)) | Err(_) => {
                    let reason = format!("it accepts no connections after {} seconds", STARTING.as_secs());
                    let log = log.to_owned();
                    return Err(NotReady::Failed(PostgresError::NotStarted { reason, log }));
                }
            }
        }
    }

    /// Connects to the database, and creates it if it is missing.
    async fn open_database(&self, password: &str) -> sqlx::Result<()> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(NAME)
            .password(password)
            .ssl_mode(PgSslMode::Disable);
        match PgConnection::connect_with(&options.clone().database(NAME)).await {
            // 3D000: the database does not exist.
            Err(error) if code(&error).as_deref() == Some("3D000") => {
                let mut connection = PgConnection::connect_with(&options.database("postgres")).await?;
                connection.execute("create database userpool").await?;
                connection.close().await
            }
            connection => connection?.close().await,
        }
    }

    /// Stops the server: a fast shutdown, then an immediate one, then by force. Returns when the process has ended.
    pub async fn stop(&mut self) -> Result<(), PostgresError> {
        for signal in SIGNALS.into_iter().chain([Signal::SIGKILL]) {
            self.signal(signal);
            if let Ok(ended) = timeout(PATIENCE, self.process.wait()).await {
                return ended.map(drop).map_err(PostgresError::io("wait for", Path::new("the server")));
            }
        }
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        Err(PostgresError::NotStopped { pid, reason: "it does not react".to_owned() })
    }

    fn signal(&self, signal: Signal) {
        // The process was not waited for, so its id can't belong to another one.
        if let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) {
            // Fails only if the process has just ended by itself.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}

/// The last port, so that addresses that people noted stay valid, or else another free one.
fn free_port(remembered: &Path, random: &Random) -> Result<u16, PostgresError> {
    let last = std::fs::read_to_string(remembered).ok().and_then(|port| port.trim().parse::<u16>().ok());
    // Below the range of outgoing connections, which could occupy the port at the next start.
    let others = std::iter::repeat_with(|| 20_000 + u16::from_be_bytes(random.bytes()) % 12_000).take(100);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    last.into_iter().filter(|port| *port != 0).chain(others).find(is_free).map_or_else(
        || {
            let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            any.map(|address| address.port()).map_err(PostgresError::io("listen on", &PathBuf::from("127.0.0.1")))
        },
        Ok,
    )
}

/// The log from a position on; empty if it can't be read.
fn read_from(log: &Path, position: u64) -> String {
    let mut said = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(position))?;
        file.read_to_end(&mut said)
    });
    read.map(|_| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default()
}
