//! The environment of all scenarios: one database, one Apache Kafka, and two `userpool dev` processes that share both.
//! Nothing may rely on the memory of one process, so calls alternate between the two.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use userpool::cli::dev::environment_file::EnvironmentFile;
use userpool::environment::Random;
use userpool::store::keys::MasterKeys;

use super::kafka::Kafka;
use super::postgres::Postgres;
use super::process::program;
use super::reaper::{End, reaper};
use super::{free_port, poll_until, private_directory, tail};

/// The database of the scenarios.
pub const DATABASE: &str = "scenarios";
/// How many processes serve.
const PROCESSES: usize = 2;

/// The components that all scenarios share, running.
pub struct Environment {
    pub postgres: Postgres,
    pub kafka: Kafka,
    pub processes: Vec<Dev>,
    /// The beginning of every `iss`: the HTTP address of the first process.
    pub public_url: String,
    /// The master keys that the processes share.
    pub master_keys_file: PathBuf,
    next: AtomicUsize,
}

/// A `userpool dev` process.
#[derive(Clone)]
pub struct Dev {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// The `admin` service account of its data directory.
    pub account: Account,
    /// The file with its log.
    pub log: PathBuf,
    /// URL of its database.
    pub database_url: String,
}

/// The credential of a service account.
#[derive(Clone)]
pub struct Account {
    pub access_key_id: String,
    pub secret: String,
}

impl Account {
    /// The bearer token: `<id>.<secret>`.
    pub fn token(&self) -> String {
        format!("{}.{}", self.access_key_id, self.secret)
    }
}

/// Options of a `userpool dev` process.
pub struct DevOptions<'a> {
    /// Its name in file names and messages of failure.
    pub name: &'a str,
    pub database_url: &'a str,
    /// The brokers, in the form of `bootstrap.servers`.
    pub kafka_brokers: &'a str,
    /// Put before the names of topics.
    pub kafka_prefix: &'a str,
    pub master_keys_file: &'a Path,
    /// The beginning of every `iss`.
    pub public_url: &'a str,
    /// Address of the HTTP listener.
    pub http_addr: &'a str,
    /// The filter of its log, as in `RUST_LOG`.
    pub log_filter: &'a str,
    /// Further arguments of the command line.
    pub arguments: &'a [&'a str],
}

/// The environment of this test process, started by the first scenario. Blocks until everything is ready.
pub fn environment() -> &'static Environment {
    // If the start fails, it is not repeated by every scenario.
    static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(start);
    &ENVIRONMENT
}

fn start() -> Environment {
    let broker = std::thread::spawn(Kafka::start);
    let postgres = Postgres::start();
    postgres.create_database(DATABASE);
    let directory = private_directory("scenarios");
    let master_keys_file = write_master_keys(&directory);
    let kafka = broker.join().expect("Kafka starts");
    let http_addr = format!("127.0.0.1:{}", free_port());
    let public_url = format!("http://{http_addr}");
    let database_url = postgres.url(DATABASE);
    let dev = |name: &str, http_addr: &str| {
        start_dev(&DevOptions {
            name,
            database_url: &database_url,
            kafka_brokers: &kafka.bootstrap,
            kafka_prefix: "",
            master_keys_file: &master_keys_file,
            public_url: &public_url,
            http_addr,
            log_filter: "info",
            arguments: &[],
        })
    };
    // At the same time: two replicas that start on an empty database must not disturb each other.
    let processes = std::thread::scope(|scope| {
        let first = scope.spawn(|| dev("dev-1", &http_addr));
        let second = scope.spawn(|| dev("dev-2", "127.0.0.1:0"));
        [first, second].map(|started| started.join().expect("userpool dev starts")).into_iter().collect::<Vec<_>>()
    });
    assert_eq!(processes.len(), PROCESSES);
    Environment { postgres, kafka, processes, public_url, master_keys_file, next: AtomicUsize::new(0) }
}

/// Writes a file of master keys with one key.
pub fn write_master_keys(directory: &Path) -> PathBuf {
    let path = directory.join("master.keys");
    let line = MasterKeys::generate_line("scenarios", &Random::default());
    userpool::secret_file::create(&path, line.as_bytes()).expect("the directory is writable");
    path
}

/// If a test fails, keeps a log where it outlives this process, and prints its path.
fn keep_at_failure(name: &str, log: &Path) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    let log = log.to_owned();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |failure| {
        report(failure);
        if fs::copy(&log, &kept).is_ok() {
            eprintln!("what the server said until then: {}", kept.display());
        }
    }));
}

/// Starts a process and waits for the line that says that it is ready.
pub fn start_dev(options: &DevOptions<'_>) -> Dev {
    let directory = private_directory(options.name);
    let (log, output) = (directory.join("log"), directory.join("output"));
    keep_at_failure(options.name, &log);
    let child = Command::new(program())
        .args(["dev", "--grpc-addr", "127.0.0.1:0", "--http-addr", options.http_addr, "--data-dir"])
        .arg(&directory)
        .args(options.arguments)
        .env("USERPOOL_DATABASE_URL", options.database_url)
        .env("USERPOOL_KAFKA_BROKERS", options.kafka_brokers)
        .env("USERPOOL_KAFKA_PREFIX", options.kafka_prefix)
        .env("USERPOOL_MASTER_KEYS_FILE", options.master_keys_file)
        .env("USERPOOL_PUBLIC_URL", options.public_url)
        .env("RUST_LOG", options.log_filter)
        .env("RUST_BACKTRACE", "1")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(File::create(&output).expect("the directory is writable"))
        .stderr(File::create(&log).expect("the directory is writable"))
        .spawn();
    let mut child = child.expect("the binary was built with this test");
    reaper().watch(child.id(), End::Kill);
    let mut ended = None;
    let ready = poll_until(Duration::from_secs(60), || {
        ended = child.try_wait().expect("a child can be waited for");
        ended.is_some() || fs::read_to_string(&output).is_ok_and(|text| text.starts_with("userpool dev is ready"))
    });
    assert!(ready && ended.is_none(), "{} did not start ({ended:?}); its log ends:\n{}", options.name, tail(&log));
    let file = EnvironmentFile::read(&directory);
    let address = |text: &str| text.parse().expect("an address in dev.env");
    Dev {
        grpc: address(&file.grpc_addr),
        http: address(&file.http_addr),
        account: Account { access_key_id: file.access_key_id, secret: file.secret_access_key },
        log,
        database_url: options.database_url.to_owned(),
    }
}

impl Environment {
    /// The index of the process for the next call; they take turns.
    pub fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.processes.len()
    }

    /// The database of the scenarios.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// A command of the program, with the variables for the scenarios' database.
    pub fn command(&self) -> tokio::process::Command {
        self.command_on(&self.database_url())
    }

    /// A command of the program, with the variables for another database that has the same master keys.
    pub fn command_on(&self, database_url: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program());
        command
            .env("USERPOOL_DATABASE_URL", database_url)
            .env("USERPOOL_MASTER_KEYS_FILE", &self.master_keys_file)
            .stdin(Stdio::null());
        command
    }
}
