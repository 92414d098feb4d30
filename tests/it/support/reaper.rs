//! Cleaning up after the test process, however it ends: passed, panicked, aborted or killed.
//!
//! Nothing that runs inside the test process can promise that (statics are never dropped, SIGKILL
//! runs nothing), so a small shell process holds the reading end of a pipe. The pipe closes when the
//! test process is gone; then it ends what was registered and removes the directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// One command a line. A process that ignores its signal for five seconds is killed. Directories
/// may still be in use by the children of what was just killed, so their removal is repeated.
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
    /// At once. What it started itself stays.
    Kill,
    /// By SIGTERM: it can stop what it started.
    Terminate,
    /// By SIGQUIT, which makes PostgreSQL stop at once and still give back its shared memory.
    Quit,
}

/// The process that outlives this one for a moment.
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
            // Whoever reads this process's output must not wait for the reaper's end as well.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of a terminal's Ctrl-C.
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

    /// The process has ended and was waited for: its number may soon be somebody else's.
    pub fn forget_pid(&self, pid: u32) {
        self.send(&format!("forget {pid}"));
    }

    /// Removes the directory and all that is in it when this process has ended, after the ends of
    /// the processes.
    pub fn remove_dir(&self, path: &Path) {
        let path = path.to_str().expect("a path of ours is UTF-8");
        assert!(path.starts_with('/') && !path.contains('\n'), "not a path to remove: {path:?}");
        self.send(&format!("dir {path}"));
    }

    fn send(&self, command: &str) {
        // A test that panicked in here left no half line: a line is one write.
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.write_all(format!("{command}\n").as_bytes()).expect("the reaper reads");
    }
}
