//! Cleans up after the test process, however it ends: passed, panicked, aborted or killed.
//!
//! Nothing inside the test process can promise that (statics are never dropped, and SIGKILL runs nothing), so a small
//! shell process holds the reading end of a pipe. When the test process is gone the pipe closes, and the shell ends the
//! registered processes and removes the registered directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Reads one command a line. A process that ignores its signal for five seconds is killed. Removal is repeated, because
/// children of a killed process may still use a directory.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
watched=' '
newline='
'
while IFS= read -r line; do
    case "$line" in
    'watch '*) watched="$watched${line#watch } " ;;
    'forget '*)
        kept=' '
        for entry in $watched; do
            [ "${entry#*:}" = "${line#forget }" ] || kept="$kept$entry "
        done
        watched="$kept" ;;
    'dir '*) set -- "$@" "${line#dir }" ;;
    esac
done
for entry in $watched; do
    kill -s "${entry%%:*}" -- "${entry#*:}" 2>/dev/null
done
for entry in $watched; do
    tries=0
    while kill -s 0 -- "${entry#*:}" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 50 ]; then
            kill -s KILL -- "${entry#*:}" 2>/dev/null
            break
        fi
        sleep 0.1
    done
done
for directory in "$@"; do
    tries=0
    until rm -rf -- "$directory" 2>/dev/null || [ "$tries" -gt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
done
"#;

/// How a watched process is ended.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// By SIGKILL. Processes that it started go on.
    Kill,
    /// By SIGTERM, so that it can stop the processes that it started.
    Terminate,
    /// By SIGQUIT, with which PostgreSQL stops at once and still gives back its shared memory.
    Quit,
}

/// The shell process, which outlives this one for a moment.
pub struct Reaper {
    commands: Mutex<ChildStdin>,
}

/// This test process's reaper, started by the first call.
#[expect(clippy::zombie_processes, reason = "it ends after this process: nobody here can wait for it")]
pub fn reaper() -> &'static Reaper {
    static REAPER: OnceLock<Reaper> = OnceLock::new();
    REAPER.get_or_init(|| {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            // A reader of this process's output must not have to wait for the reaper's end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's process group, so that Ctrl-C does not reach it.
            .process_group(0)
            .current_dir("/")
            .spawn()
            .expect("a shell starts");
        let commands = child.stdin.take().expect("its input is a pipe");
        Reaper { commands: Mutex::new(commands) }
    })
}

impl Reaper {
    /// Kills the process when this one has ended.
    pub fn watch_pid(&self, pid: u32) {
        self.watch(pid, End::Kill);
    }

    /// Ends the process in this way when this one has ended.
    pub fn watch(&self, pid: u32, end: End) {
        let signal = match end {
            End::Kill => "KILL",
            End::Terminate => "TERM",
            End::Quit => "QUIT",
        };
        self.send(&format!("watch {signal}:{pid}"));
    }

    /// Kills all processes of the group when this one has ended.
    pub fn watch_group(&self, group: u32) {
        self.send(&format!("watch KILL:-{group}"));
    }

    /// Stops watching a process that has ended and was waited for: the kernel may soon give its id to another one.
    pub fn forget_pid(&self, pid: u32) {
        self.send(&format!("forget {pid}"));
    }

    /// Removes the directory with its content when this process has ended, after the registered processes.
    pub fn remove_dir(&self, path: &Path) {
        let path = path.to_str().expect("a path of ours is UTF-8");
        assert!(path.starts_with('/') && !path.contains('\n'), "not a path to remove: {path:?}");
        self.send(&format!("dir {path}"));
    }

    fn send(&self, command: &str) {
        // A test that panicked while it held the lock left no half line: a line is one write.
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.write_all(format!("{command}\n").as_bytes()).expect("the reaper reads");
    }
}
