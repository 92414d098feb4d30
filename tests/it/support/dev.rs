//! `userpool dev` as a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::postgres::Postgres;
use super::private_directory;
use super::process::{Process, userpool};

/// A data directory that the account of the database server can reach.
pub fn data_directory(name: &str) -> PathBuf {
    let directory = private_directory(name);
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("the directory is ours");
    directory
}

/// A process that is starting, running or ended.
pub struct Dev {
    process: Process,
    /// Its data directory; outlives the process.
    pub data: PathBuf,
}

impl Dev {
    /// Starts a process on a data directory, at free ports unless the arguments say otherwise.
    pub fn spawn(data: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut command = userpool();
        command.args(["dev", "--data-dir"]).arg(data);
        adjust(&mut command);
        let given: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        for flag in ["--grpc-addr", "--http-addr"] {
            if !given.iter().any(|argument| argument == flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        Self { process: Process::spawn(command), data: data.to_owned() }
    }

    /// Starts a process and waits until it is ready.
    pub fn start(data: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut dev = Self::spawn(data, adjust);
        assert!(dev.is_ready(), "`userpool dev` is not ready; it says:\n{}\n{}", dev.output(), dev.log());
        dev
    }

    /// Waits until it is ready; false if it ends instead.
    pub fn is_ready(&mut self) -> bool {
        self.process.says("userpool dev is ready")
    }

    /// The variables that it wrote.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.data.join("dev.env")).expect("it wrote dev.env");
        let assignments = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        assignments.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// Its addresses and the credential of its service account, from `dev.env`.
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
}

impl Deref for Dev {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Dev {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Whether a process with this id is alive.
pub fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None).is_ok()
}

/// Where a server is, and the credential of its administrator.
#[derive(Clone)]
pub struct Address {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// The access key id of its `admin` service account.
    pub access_key_id: String,
    /// The secret of that account.
    pub secret_access_key: String,
    /// The same as a bearer token: `<id>.<secret>`.
    pub token: String,
    /// URL of its database.
    pub database_url: String,
}

/// A server for tests that change nothing or only pools of their own, on a database of its own. It runs until this test
/// process ends.
pub struct Shared {
    pub dev: Dev,
    pub address: Address,
    pub postgres: Postgres,
}

/// The shared server, started by the first test that asks. Blocks until the server is ready.
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

/// The shared server, for async tests.
pub async fn shared_server() -> &'static Shared {
    tokio::task::spawn_blocking(shared).await.expect("the server starts")
}
