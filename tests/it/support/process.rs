//! The program as a process of its own: started, read and stopped, and ended with this test process.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::reaper::{End, reaper};
use super::{poll_until, private_directory};

/// The longest that a start or a stop may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The program under test: the build of this test run, or the one that `SCENARIOS_PROGRAM` names, such as a release.
pub fn program() -> OsString {
    std::env::var_os("SCENARIOS_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_userpool").into())
}

/// The program under test, without this environment's settings for it or for its clients.
pub fn userpool() -> Command {
    without_settings(&program())
}

/// A build of the program, without this environment's settings for it or for its clients.
pub fn without_settings(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if [&b"USERPOOL_"[..], b"AWS_", b"OTEL_", b"RUST_LOG"].iter().any(|prefix| name_bytes.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A process that is starting, running or ended.
pub struct Process {
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts the command, with its output and its log in files.
    pub fn spawn(mut command: Command) -> Self {
        let logs = private_directory("process");
        let (output, log) = (logs.join("stdout"), logs.join("stderr"));
        command.stdout(File::create(&output).expect("the directory is writable"));
        command.stderr(File::create(&log).expect("the directory is writable"));
        let child = command.spawn().expect("the binary was built with this test");
        reaper().watch(child.id(), End::Terminate);
        Self { child, output, log }
    }

    /// Waits until it prints that it is ready; false if it ends instead.
    pub fn says(&mut self, ready: &str) -> bool {
        let mut ended = false;
        let told = poll_until(PATIENCE, || {
            ended = self.has_ended();
            ended || self.output().contains(ready)
        });
        told && !ended
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Its standard error so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal and does not wait.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().cast_signed()), signal).expect("it is running");
    }

    /// Sends a signal and waits until the process has ended.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        poll_until(PATIENCE, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        let status = status.unwrap_or_else(|| panic!("the process does not end; it says:\n{}", self.log()));
        reaper().forget_pid(self.id());
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end(Signal::SIGTERM);
        }
    }
}
