//! Tests against the real server of this machine, as root or as any other user.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::binaries::{Binaries, major};
use super::error::telling_line;
use super::leftover::serves;
use super::{PostgresError, PrivatePostgres};

/// The variable that gives the data directory to the test that plays a `userpool dev`.
const VICTIM: &str = "USERPOOL_TEST_POSTGRES_DATA_DIR";

/// A temporary data directory, with a folder for clusters that can't be inside it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0o755);
        let bench = Self { folder };
        std::fs::create_dir(bench.data_dir()).unwrap();
        // Independent of the umask.
        open(&bench.data_dir(), 0o755);
        bench
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("data")
    }

    fn cluster(&self) -> PathBuf {
        self.data_dir().join("postgres")
    }

    fn elsewhere(&self) -> PathBuf {
        self.folder.path().join("elsewhere")
    }

    async fn start(&self) -> Result<PrivatePostgres, PostgresError> {
        PrivatePostgres::start_with(&self.data_dir(), &self.elsewhere()).await
    }

    async fn refusal(&self) -> String {
        let sentence = self.start().await.unwrap_err().to_string();
        assert!(!sentence.contains('\n'), "{sentence}");
        sentence
    }
}

fn open(directory: &Path, mode: u32) {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn query(server: &PrivatePostgres, statement: &'static str) -> Vec<String> {
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    let rows = sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}

async fn write(server: &PrivatePostgres, text: &'static str) {
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("create table if not exists notes (note text)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into notes values ($1)").bind(text).execute(&mut connection).await.unwrap();
    // Not closed: the connection breaks, as those of a killed process do.
}

fn main_process(cluster: &Path) -> Option<i32> {
    let content = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    content.lines().next()?.trim().parse().ok()
}

/// Every process of the cluster, found by its working directory.
#[cfg(target_os = "linux")]
fn processes(cluster: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let works_there = |path: &PathBuf| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == cluster);
    let paths = entries.map(|entry| entry.path()).filter(works_there);
    paths.map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default()).collect()
}

async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Another process that plays a running `userpool dev`. It is killed when this is dropped.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn victim(bench: &Bench) -> Victim {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cli::dev::postgres::tests::lives_until_it_is_killed", "--ignored", "--nocapture"]);
    command.env(VICTIM, bench.data_dir()).stdout(Stdio::null()).stderr(Stdio::null());
    Victim(command.spawn().unwrap())
}

#[tokio::test]
#[ignore = "the part of the process that other tests kill"]
async fn lives_until_it_is_killed() {
    let Some(data_dir) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let server = PrivatePostgres::start_with(&data_dir, &data_dir.join("elsewhere")).await.unwrap();
    write(&server, "before the kill").await;
    std::fs::write(data_dir.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_second_start_finds_what_the_first_wrote() {
    let bench = Bench::new();
    let begin = Instant::now();
    let server = bench.start().await.unwrap();
    let first = begin.elapsed();
    write(&server, "kept").await;
    assert_eq!(query(&server, "select current_setting('server_encoding')").await, ["UTF8"]);
    assert_eq!(query(&server, "select current_setting('TimeZone')").await, ["UTC"]);
    assert_eq!(query(&server, "select current_setting('listen_addresses')").await, ["127.0.0.1"]);
    assert_eq!(query(&server, "select current_setting('unix_socket_directories')").await, [""]);
    let authentication = query(&server, "select distinct auth_method from pg_hba_file_rules").await;
    assert_eq!(authentication, ["scram-sha-256"]);
    let (url, pid) = (server.url(), main_process(&bench.cluster()).unwrap());
    assert!(serves(pid, &bench.cluster()).await);
    let group = nix::unistd::getpgid(Some(Pid::from_raw(pid))).unwrap();
    assert_eq!(group.as_raw(), pid, "Ctrl-C at the terminal would reach the server");
    #[cfg(target_os = "linux")]
    assert!(processes(&bench.cluster()).len() > 3);

    // An open connection does not delay the stop.
    let connection = PgConnection::connect(&url).await.unwrap();
    let begin = Instant::now();
    server.stop().await.unwrap();
    let stop = begin.elapsed();
    drop(connection);
    #[cfg(target_os = "linux")]
    assert_eq!(processes(&bench.cluster()), Vec::<String>::new());
    assert_eq!(kill(Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH));

    let begin = Instant::now();
    let server = bench.start().await.unwrap();
    println!("first start {first:?}, stop {stop:?}, second start {:?}", begin.elapsed());
    assert_eq!(server.url(), url, "the same password, and the port if it is free");
    assert_eq!(query(&server, "select note from notes").await, ["kept"]);

    let mode = |name: &str| std::fs::metadata(bench.data_dir().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("postgres"), mode("postgres.password"), mode("postgres.log")), (0o700, 0o600, 0o600));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn another_port_is_used_if_the_last_one_is_taken() {
    let bench = Bench::new();
    bench.start().await.unwrap().stop().await.unwrap();
    let port = std::fs::read_to_string(bench.data_dir().join("postgres.port")).unwrap().trim().to_owned();
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let server = bench.start().await.unwrap();
    assert!(!server.url().contains(&port));
    drop(taken);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_left_by_a_killed_run_is_taken_over() {
    let bench = Bench::new();
    let victim = victim(&bench);
    until("the start of the victim", async || bench.data_dir().join("ready").exists()).await;
    let sentence = bench.refusal().await;
    assert!(
        sentence.contains(&format!("another `userpool dev` (process {}) is running on", victim.0.id())),
        "{sentence}"
    );
    let left = main_process(&bench.cluster()).unwrap();
    drop(victim);
    assert!(serves(left, &bench.cluster()).await, "the server outlives its parent");

    let begin = Instant::now();
    let server = bench.start().await.unwrap();
    println!("taken over in {:?}", begin.elapsed());
    assert!(!serves(left, &bench.cluster()).await);
    assert_eq!(query(&server, "select note from notes").await, ["before the kill"]);

    // The server itself is killed; its children may still run when the next one starts.
    write(&server, "before the crash").await;
    let crashed = main_process(&bench.cluster()).unwrap();
    kill(Pid::from_raw(crashed), Signal::SIGKILL).unwrap();
    drop(server);
    let begin = Instant::now();
    let server = bench.start().await.unwrap();
    println!("recovered in {:?}", begin.elapsed());
    assert_eq!(query(&server, "select note from notes").await, ["before the kill", "before the crash"]);
    server.stop().await.unwrap();

    // Another program has the process number in a stale file.
    std::fs::write(bench.cluster().join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    bench.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_ends_by_itself() {
    let bench = Bench::new();
    let server = bench.start().await.unwrap();
    let pid = main_process(&bench.cluster()).unwrap();
    drop(server);
    until("the end of the server", async || !serves(pid, &bench.cluster()).await).await;
    // So does a server whose start is given up half-way.
    let _ = tokio::time::timeout(Duration::from_millis(60), bench.start()).await;
    bench.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn obstacles_are_named_in_one_sentence() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.cluster()).unwrap();
    std::fs::write(bench.cluster().join("letter.txt"), "mine").unwrap();
    let sentence = bench.refusal().await;
    assert!(sentence.contains("data/postgres is not a PostgreSQL data directory: move it away"), "{sentence}");

    std::fs::write(bench.cluster().join("PG_VERSION"), "11\n").unwrap();
    let sentence = bench.refusal().await;
    assert!(sentence.contains("was made by PostgreSQL 11, but here is PostgreSQL "), "{sentence}");
    assert!(sentence.contains("install version 11, or move that directory away"), "{sentence}");
    assert_eq!(std::fs::read_to_string(bench.cluster().join("letter.txt")).unwrap(), "mine");

    let bench = Bench::new();
    bench.start().await.unwrap().stop().await.unwrap();
    std::fs::write(bench.cluster().join("postgresql.auto.conf"), "work_mem = 'plenty'\n").unwrap();
    let sentence = bench.refusal().await;
    assert!(
        sentence.starts_with("PostgreSQL did not start: ") && sentence.contains("postgresql.auto.conf"),
        "{sentence}"
    );
    assert!(sentence.ends_with("data/postgres.log)"), "{sentence}");
    std::fs::write(bench.data_dir().join("postgres.password"), "").unwrap();
    assert!(bench.refusal().await.contains("its password is not in"));
}

#[tokio::test]
async fn a_cluster_that_its_account_could_not_reach_goes_elsewhere() {
    if !geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    open(&bench.data_dir(), 0o700);
    let server = bench.start().await.unwrap();
    write(&server, "out there").await;
    server.stop().await.unwrap();
    let note = std::fs::read_to_string(bench.data_dir().join("postgres.location")).unwrap();
    let place = PathBuf::from(note.trim());
    assert!(place.starts_with(bench.elsewhere()) && place.join("PG_VERSION").exists());
    assert_ne!(std::fs::metadata(&place).unwrap().uid(), 0);
    assert!(!bench.cluster().exists());
    assert_eq!(std::fs::metadata(bench.data_dir()).unwrap().mode() & 0o777, 0o700);

    // The cluster stays there, even if the data directory can be entered later.
    open(&bench.data_dir(), 0o755);
    let server = bench.start().await.unwrap();
    assert_eq!(query(&server, "select note from notes").await, ["out there"]);
    server.stop().await.unwrap();

    // A moved data directory is refused with the place of its database; after a deleted one, everything starts afresh.
    let moved = bench.data_dir().with_extension("moved");
    std::fs::rename(bench.data_dir(), &moved).unwrap();
    let error = PrivatePostgres::start_with(&moved, &bench.elsewhere()).await.unwrap_err();
    assert!(matches!(error, PostgresError::Moved { .. }), "{error}");
    std::fs::create_dir(bench.data_dir()).unwrap();
    open(&bench.data_dir(), 0o700);
    let server = bench.start().await.unwrap();
    assert!(query(&server, "select tablename::text from pg_tables where schemaname = 'public'").await.is_empty());
    server.stop().await.unwrap();
    assert!(place.with_extension("old").join("PG_VERSION").exists());
}

#[tokio::test]
async fn a_missing_or_old_server_is_named_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 0o755);
    let account = Account::for_cluster(folder.path()).unwrap();
    let directories = [folder.path().to_owned()];
    let sentence = Binaries::among(&directories, account).await.newest().unwrap_err().to_string();
    assert!(sentence.starts_with("no PostgreSQL server is installed: "), "{sentence}");
    assert!(sentence.contains("apt-get install postgresql") || sentence.contains("install PostgreSQL 15 or later"));

    for program in ["initdb", "postgres"] {
        let path = folder.path().join(program);
        std::fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n").unwrap();
        open(&path, 0o755);
    }
    // Another test may fork while the script is still open for writing here; then it can't be run for a moment.
    until("a run of the script", async || {
        matches!(Binaries::among(&directories, account).await.newest(), Err(PostgresError::TooOld { found: 13 }))
    })
    .await;
}

#[test]
fn versions_and_reasons_are_read() {
    assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
    assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
    assert_eq!(major("something else"), None);
    assert_eq!(telling_line("LOG: a\n2026-01-01 00:00:00 UTC [7] FATAL:  no space\nLOG: shut down\n"), "no space");
    assert_eq!(telling_line("first\nlast\n\n"), "last");
}
