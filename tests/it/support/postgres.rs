//! A private PostgreSQL cluster: the newest server of the machine, in a temporary directory.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use super::reaper::{End, reaper};
use super::{free_port, poll_until, private_directory, tail};

const USER: &str = "postgres";
const PASSWORD: &str = "only-for-tests";

/// Nothing is synced to disk: a test's data need not survive a crash of the machine.
const FOR_TESTS: [&str; 6] = [
    "shared_buffers=64MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum_naptime=10s",
    "log_statement=none",
];

/// A running cluster. When it is dropped or the test process ends, it is stopped and its data removed.
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a cluster for tests and starts it. It accepts connections when this returns.
    pub fn start() -> Postgres {
        Self::start_with(&FOR_TESTS)
    }

    /// Makes a cluster and starts it with these settings on top of the server's defaults.
    pub fn start_with(settings: &[&str]) -> Postgres {
        let programs = programs();
        let account = unprivileged_account();
        let directory = private_directory("postgres");
        if let Some((uid, gid)) = account {
            chown(&directory, Some(uid), Some(gid)).expect("root may give the directory away");
        }

        let password_file = directory.join("password");
        fs::write(&password_file, PASSWORD).expect("the directory is writable");
        if let Some((uid, gid)) = account {
            chown(&password_file, Some(uid), Some(gid)).expect("root may give the file away");
        }
        let output = command(&programs, "initdb", &directory, account)
            .args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"])
            // The password is sent in clear: SCRAM's thousands of hashes per connection would take most of a short
            // test's time.
            .args(["--auth=password", "--username", USER, "--pwfile=password", "--pgdata=data"])
            .output()
            .expect("initdb starts");
        assert!(
            output.status.success(),
            "initdb failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );

        // Between the search for a free port and the listening, another process can take it.
        for _ in 0..3 {
            let port = free_port();
            if let Some(server) = launch(&programs, &directory, account, port, settings) {
                return Postgres { server, programs, directory, port };
            }
        }
        panic!("PostgreSQL did not start; its log ends:\n{}", tail(&directory.join("log")));
    }

    /// The id of the server's main process, the ancestor of all its others.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// The URL of a database of this cluster; `postgres` exists from the start.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) {
        self.execute("postgres", &format!("create database {}", quoted(name)));
    }

    /// Makes a database as a copy of another one, to which nobody may be connected. It takes tens of milliseconds;
    /// migrating an empty database takes much longer.
    pub fn create_database_from_template(&self, name: &str, template: &str) {
        // file_copy would force two checkpoints, for all databases of the cluster.
        let statement = format!("create database {} template {} strategy wal_log", quoted(name), quoted(template),);
        self.execute("postgres", &statement);
    }

    /// The output of `pg_dump` for a database.
    pub fn dump(&self, database: &str) -> String {
        let output = Command::new(program(&self.programs, "pg_dump"))
            .arg(self.url(database))
            .stdin(Stdio::null())
            .output()
            .expect("pg_dump starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the database is in UTF-8")
    }

    /// Runs statements as the superuser, from outside the test process.
    pub fn execute(&self, database: &str, statements: &str) {
        let output = Command::new(program(&self.programs, "psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statements, "-d"])
            .arg(self.url(database))
            .stdin(Stdio::null())
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr),);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        stop(&mut self.server);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Starts the server; `None` if it ended before it was ready.
fn launch(
    programs: &Path,
    directory: &Path,
    account: Option<(u32, u32)>,
    port: u16,
    settings: &[&str],
) -> Option<Child> {
    let log = File::create(directory.join("log")).expect("the directory is writable");
    let mut server = command(programs, "postgres", directory, account)
        .args(["-D", "data", "-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "max_connections=300"])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdout(log.try_clone().expect("a file can be duplicated"))
        .stderr(log)
        .spawn()
        .expect("postgres starts");
    reaper().watch(server.id(), End::Quit);

    // The port opens before the server accepts connections. This line, which pg_ctl reads as well, says that it does.
    let status_file = directory.join("data/postmaster.pid");
    let mut ended = false;
    let ready = poll_until(Duration::from_secs(60), || {
        ended = server.try_wait().expect("a child can be waited for").is_some();
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        ended || status.lines().nth(7).is_some_and(|line| line.trim_end() == "ready")
    });
    if ready && !ended {
        return Some(server);
    }
    stop(&mut server);
    None
}

/// Stops a server at once. Its data may break: it is removed next.
fn stop(server: &mut Child) {
    if matches!(server.try_wait(), Ok(None)) {
        let pid = Pid::from_raw(server.id().cast_signed());
        let _ = kill(pid, Signal::SIGQUIT);
        let ended = || !matches!(server.try_wait(), Ok(None));
        if !poll_until(Duration::from_secs(10), ended) {
            let _ = server.kill();
        }
    }
    let _ = server.wait();
    reaper().forget_pid(server.id());
}

/// A program of the server, run in the cluster's directory as this account, without this environment's settings for
/// PostgreSQL.
fn command(programs: &Path, name: &str, directory: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program(programs, name));
    command.current_dir(directory).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    // Not in the terminal's process group: Ctrl-C would stop it before the tests that use it.
    command.process_group(0);
    command
}

/// The account to run the server as, if this process is root: Postgres refuses to run as root.
fn unprivileged_account() -> Option<(u32, u32)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = User::from_name(USER)
        .ok()
        .flatten()
        .unwrap_or_else(|| panic!("as root, PostgreSQL runs as the user {USER}, whom this machine doesn't have"));
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

/// The directory of the newest server's programs: Debian's, which are not on the PATH, else those
/// on the PATH.
fn programs() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, programs)| has_server(programs))
        .max();
    if let Some((_, programs)) = newest {
        return programs;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .find(|programs| has_server(programs))
        .expect("no PostgreSQL server on this machine: scripts/test installs one")
}

fn has_server(programs: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| programs.join(name).exists())
}

/// The client programs may be in another directory than the server's.
fn program(programs: &Path, name: impl AsRef<OsStr>) -> PathBuf {
    let beside = programs.join(name.as_ref());
    if beside.exists() { beside } else { PathBuf::from(name.as_ref()) }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
