//! The server under measurement: another process, on a given database.

use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use userpool::cli::dev::environment_file::EnvironmentFile;

use crate::support::reaper::{End, reaper};
use crate::support::{free_port, poll_until, tail};

/// The longest that a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; stopped when dropped.
pub struct Server {
    process: Child,
    data: PathBuf,
    /// The time from its start until `/readyz` said that it can serve.
    pub ready_after: Duration,
}

impl Server {
    /// Starts the server that was built with this driver and waits until it is ready.
    pub async fn start(data: &Path, database_url: &str) -> anyhow::Result<Self> {
        let (grpc, http) = (address(), address());
        let log = data.with_extension("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_userpool"));
        for (name, _) in std::env::vars_os() {
            let name_bytes = name.as_encoded_bytes();
            if [&b"USERPOOL_"[..], b"AWS_", b"RUST_LOG"].iter().any(|prefix| name_bytes.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.arg("dev").arg("--data-dir").arg(data).env("USERPOOL_DATABASE_URL", database_url);
        command.args(["--grpc-addr", &grpc.to_string(), "--http-addr", &http.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let began = Instant::now();
        let process = command.spawn().context("the server can't be started")?;
        reaper().watch(process.id(), End::Terminate);
        let mut server = Self { process, data: data.to_owned(), ready_after: Duration::ZERO };
        while !is_ready(http).await? {
            let ended = server.process.try_wait()?;
            ensure!(ended.is_none() && began.elapsed() < PATIENCE, "the server is not ready; it says:\n{}", tail(&log));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.ready_after = began.elapsed();
        Ok(server)
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its addresses, and the credential of its administrator.
    pub fn environment(&self) -> EnvironmentFile {
        EnvironmentFile::read(&self.data)
    }

    /// Stops the server and waits until its process has ended.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.id().cast_signed()), Signal::SIGTERM)?;
        let ended = poll_until(PATIENCE, || !matches!(self.process.try_wait(), Ok(None)));
        if !ended {
            self.process.kill()?;
            self.process.wait()?;
        }
        reaper().forget_pid(self.id());
        ensure!(ended, "the server did not stop by itself");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: {error:#}");
        }
    }
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Asks `/readyz`. The listener is open before the server serves, so the answer may take a while.
async fn is_ready(http: SocketAddr) -> anyhow::Result<bool> {
    let mut connection = match TcpStream::connect(http).await {
        Ok(connection) => connection,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
        Err(error) => bail!("the server can't be reached: {error}"),
    };
    let asked = async {
        connection.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    Ok(matches!(answer, Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ")))
}
