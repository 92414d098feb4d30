//! `userpool dev` as a process of its own: started, read, stopped, and gone with this test process.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::postgres::Postgres;
use super::reaper::{End, reaper};
use super::{poll_until, private_directory};

/// How long anything may take that starts or stops.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test, without any of this environment's settings for it or for its clients.
pub fn userpool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_userpool"));
    for (name, _) in std::env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if [&b"USERPOOL_"[..], b"AWS_", b"RUST_LOG"].iter().any(|prefix| name_bytes.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A data directory that the account of the database server can reach.
pub fn data_directory(name: &str) -> PathBuf {
    let directory = private_directory(name);
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("the directory is ours");
    directory
}

/// A process that is starting, running or ended.
pub struct Dev {
    process: Child,
    /// Its data directory.
    pub data: PathBuf,
    output: PathBuf,
    log: PathBuf,
}

impl Dev {
    /// Starts a process on a data directory, at free ports unless the arguments say otherwise.
    pub fn spawn(data: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let logs = private_directory("dev");
        let (output, log) = (logs.join("stdout"), logs.join("stderr"));
        let mut command = userpool();
        command.args(["dev", "--data-dir"]).arg(data);
        command.stdout(File::create(&output).expect("the directory is writable"));
        command.stderr(File::create(&log).expect("the directory is writable"));
        adjust(&mut command);
        let given: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        for flag in ["--grpc-addr", "--http-addr"] {
            if !given.iter().any(|argument| argument == flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        let process = command.spawn().expect("the binary was built with this test");
        reaper().watch(process.id(), End::Terminate);
        Self { process, data: data.to_owned(), output, log }
    }

    /// Starts a process and waits until it is ready.
    pub fn start(data: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut dev = Self::spawn(data, adjust);
        assert!(dev.is_ready(), "`userpool dev` is not ready; it says:\n{}\n{}", dev.output(), dev.log());
        dev
    }

    /// Waits until it is ready; false if it ends instead.
    pub fn is_ready(&mut self) -> bool {
        let mut ended = false;
        let told = poll_until(PATIENCE, || {
            ended = self.process.try_wait().expect("a child can be waited for").is_some();
            ended || self.output().contains("userpool dev is ready")
        });
        told && !ended
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The variables that it wrote.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.data.join("dev.env")).expect("it wrote dev.env");
        let assignments = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        assignments.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// Where to find it and with what.
    pub fn address(&self) -> Address {
        let variables = self.variables();
        Address {
            grpc: variables["USERPOOL_GRPC_ADDR"].parse().expect("an address"),
            http: variables["USERPOOL_HTTP_ADDR"].parse().expect("an address"),
            access_key_id: variables["AWS_ACCESS_KEY_ID"].clone(),
            secret_access_key: variables["AWS_SECRET_ACCESS_KEY"].clone(),
            token: variables["USERPOOL_TOKEN"].clone(),
            database_url: variables["USERPOOL_DATABASE_URL"].clone(),
        }
    }

    /// The main process of its private database.
    pub fn postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data.join("postgres/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.id().cast_signed()), signal).expect("it is running");
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        poll_until(PATIENCE, || {
            status = self.process.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        let status = status.unwrap_or_else(|| panic!("`userpool dev` does not end; it says:\n{}", self.log()));
        reaper().forget_pid(self.id());
        status
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end(Signal::SIGTERM);
        }
    }
}

/// Whether a process is there.
pub fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None).is_ok()
}

/// Where a server is, and the credential of its administrator.
#[derive(Clone)]
pub struct Address {
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Half of the credential.
    pub access_key_id: String,
    /// The other half.
    pub secret_access_key: String,
    /// Both, as a bearer token.
    pub token: String,
    /// Its database.
    pub database_url: String,
}

/// A server for tests that change nothing or only pools of their own, on a database of its own. It runs until this test
/// process ends.
pub struct Shared {
    /// The process.
    pub dev: Dev,
    /// Where it is.
    pub address: Address,
    /// Its database cluster.
    pub postgres: Postgres,
}

/// The shared server, started by the first test that asks. It blocks until the server is ready.
pub fn shared() -> &'static Shared {
    static SHARED: LazyLock<Shared> = LazyLock::new(|| {
        let postgres = Postgres::start();
        postgres.create_database("shared");
        let url = postgres.url("shared");
        let data = data_directory("shared");
        let dev = Dev::start(&data, |command| {
            command.env("USERPOOL_DATABASE_URL", url);
        });
        let address = dev.address();
        Shared { dev, address, postgres }
    });
    &SHARED
}

/// The shared server, for a test that is async.
pub async fn shared_server() -> &'static Shared {
    tokio::task::spawn_blocking(shared).await.expect("the server starts")
}
