//! One node of Apache Kafka, from the jars that scripts/kafka fetched.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::reaper::reaper;
use super::{copy_directory, free_port, poll_until, private_directory, tail};

/// A running broker. When it is dropped or the test process ends, it is stopped and its data removed.
pub struct Kafka {
    /// Its address, for `bootstrap.servers`.
    pub bootstrap: String,
    broker: Child,
    directory: PathBuf,
}

impl Kafka {
    /// Starts a broker without topics. It accepts connections when this returns.
    pub fn start() -> Kafka {
        let prepared = prepared();
        let directory = private_directory("kafka");
        let (broker, port) = launch(prepared, &directory, prepared.archive_in_use());
        Kafka { bootstrap: format!("127.0.0.1:{port}"), broker, directory }
    }

    /// Ends the broker as a crash would. Its data stays.
    pub fn kill(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
        reaper().forget_pid(self.broker.id());
    }

    /// Starts a killed broker again, with its data and at its address.
    pub fn restart(&mut self) {
        let prepared = prepared();
        let address = self.bootstrap.parse().expect("the address that it was started at");
        let properties = self.directory.join("server.properties");
        self.broker =
            spawn(prepared, &self.directory, &properties, prepared.archive_in_use(), address).unwrap_or_else(|| {
                panic!("Kafka did not start again; its log ends:\n{}", tail(&self.directory.join("log")))
            });
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Its data is removed as well, so there is nothing to close in order.
        let _ = self.broker.kill();
        let _ = self.broker.wait();
        reaper().forget_pid(self.broker.id());
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Files that every broker starts from, kept between test runs.
struct Prepared {
    class_path: String,
    /// A formatted, empty data directory. Formatting takes longer than starting.
    formatted: PathBuf,
    /// Classes in the form in which the Java runtime loads them fastest: halves the start. Without it, brokers only
    /// start slower.
    archive: PathBuf,
}

impl Prepared {
    fn archive_in_use(&self) -> Option<String> {
        let archive = self.archive.exists();
        archive.then(|| format!("-XX:SharedArchiveFile={}", self.archive.display()))
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            // An archive that does not fit is not used; that needs no message.
            .args(["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .stdin(Stdio::null())
            // Not in the terminal's process group: Ctrl-C would stop it before the tests that use it.
            .process_group(0);
        command
    }
}

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(prepare)
}

fn prepare() -> Prepared {
    // Cargo's directory for the test binary is one below the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below target");
    let home = target.join("kafka");
    let mut jars: Vec<PathBuf> = fs::read_dir(home.join("libs"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .collect();
    assert!(!jars.is_empty(), "Apache Kafka is not in {}: run scripts/kafka (scripts/test does)", home.display(),);
    // The archive depends on the order of the class path.
    jars.sort();
    let version = Command::new("java").arg("-version").output().expect("there is Java");

    let mut hasher = DefaultHasher::new();
    (&jars, &version.stderr).hash(&mut hasher);
    let key = format!("{:016x}", hasher.finish());
    let jars: Vec<String> = jars.iter().map(|jar| jar.display().to_string()).collect();
    let prepared = Prepared {
        class_path: jars.join(":"),
        formatted: home.join(format!("formatted-{key}")),
        archive: home.join(format!("classes-{key}.jsa")),
    };
    if !prepared.formatted.exists() {
        format(&prepared);
    }
    if !prepared.archive.exists() {
        archive_classes(&prepared);
    }
    prepared
}

/// Formats a data directory to copy. Without it a broker starts, but its new kind of consumer groups never works.
fn format(prepared: &Prepared) {
    let directory = private_directory("kafka-format");
    let properties = write_properties(&directory, free_port(), free_port());
    let output = prepared
        .java()
        .args(["-cp", &prepared.class_path, "kafka.tools.StorageTool", "format"])
        .args(["-t", "dXNlcnBvb2wtdGVzdHMtMQ", "-c"])
        .arg(&properties)
        .output()
        .expect("there is Java");
    assert!(
        output.status.success(),
        "Kafka's storage could not be formatted:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // Renamed when complete. If another test process was faster, its copy is as good.
    let fresh = prepared.formatted.with_extension(process::id().to_string());
    copy_directory(&directory.join("data"), &fresh).expect("the target directory is writable");
    if fs::rename(&fresh, &prepared.formatted).is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    let _ = fs::remove_dir_all(&directory);
}

/// Lets one broker write, when it ends, the archive of the classes that it loaded.
fn archive_classes(prepared: &Prepared) {
    let directory = private_directory("kafka-archive");
    let fresh = prepared.archive.with_extension(process::id().to_string());
    let option = format!("-XX:ArchiveClassesAtExit={}", fresh.display());
    let (mut broker, _) = launch(prepared, &directory, Some(option));
    let _ = kill(Pid::from_raw(broker.id().cast_signed()), Signal::SIGTERM);
    let ended = || !matches!(broker.try_wait(), Ok(None));
    if poll_until(Duration::from_secs(60), ended) {
        // A Java runtime that can't make an archive is slower, not broken.
        let _ = fs::rename(&fresh, &prepared.archive);
    } else {
        let _ = broker.kill();
        let _ = broker.wait();
        let _ = fs::remove_file(&fresh);
    }
    reaper().forget_pid(broker.id());
    let _ = fs::remove_dir_all(&directory);
}

/// Starts a broker in the directory and waits until it takes connections.
fn launch(prepared: &Prepared, directory: &Path, option: Option<String>) -> (Child, u16) {
    // Between the search for a free port and the listening, another process can take it.
    for _ in 0..3 {
        let _ = fs::remove_dir_all(directory.join("data"));
        copy_directory(&prepared.formatted, &directory.join("data"))
            .unwrap_or_else(|error| panic!("cannot copy {}: {error}", prepared.formatted.display()));
        let port = free_port();
        let properties = write_properties(directory, port, free_port());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Some(broker) = spawn(prepared, directory, &properties, option.clone(), address) {
            return (broker, port);
        }
    }
    panic!("Kafka did not start; its log ends:\n{}", tail(&directory.join("log")));
}

/// Starts the server and waits until it accepts connections; `None` if it ends instead.
fn spawn(
    prepared: &Prepared,
    directory: &Path,
    properties: &Path,
    option: Option<String>,
    address: SocketAddr,
) -> Option<Child> {
    let log = File::create(directory.join("log")).expect("the directory is writable");
    let mut broker = prepared
        .java()
        .args(option.iter())
        .args(["-cp", &prepared.class_path, "kafka.Kafka"])
        .arg(properties)
        .stdout(log.try_clone().expect("a file can be duplicated"))
        .stderr(log)
        .spawn()
        .expect("there is Java");
    reaper().watch_pid(broker.id());

    // The controller's port opens earlier; the broker's port means ready.
    let mut ended = false;
    let ready = poll_until(Duration::from_secs(120), || {
        ended = broker.try_wait().expect("a child can be waited for").is_some();
        ended || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    });
    if ready && !ended {
        return Some(broker);
    }
    let _ = broker.kill();
    let _ = broker.wait();
    reaper().forget_pid(broker.id());
    None
}

/// Properties of a small node that is broker and controller, with short time limits.
fn write_properties(directory: &Path, port: u16, controller_port: u16) -> PathBuf {
    let data = directory.join("data");
    let data = data.display();
    let text = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# With the default, a restart waits nine seconds for the old registration to expire. A busy machine may stop a
# broker for a second.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=200
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=300
log.cleaner.enable=false
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=2
background.threads=1
"
    );
    let path = directory.join("server.properties");
    fs::write(&path, text).expect("the directory is writable");
    path
}
