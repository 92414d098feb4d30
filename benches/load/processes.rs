//! What processes use of the machine, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::iter::Sum;
use std::ops::Sub;

/// The kernel reports times in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// Processor time in ticks since a process, or the machine, started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

impl Ticks {
    /// The same in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / TICKS_A_SECOND
    }
}

impl Sub for Ticks {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Sum for Ticks {
    fn sum<I: Iterator<Item = Self>>(ticks: I) -> Self {
        Self(ticks.map(|ticks| ticks.0).sum())
    }
}

/// One process, as `/proc/<pid>/stat` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process that started it.
    pub parent: u32,
    /// Processor time of the process itself.
    pub own: Ticks,
    /// Processor time of its children that have ended and were waited for.
    pub ended_children: Ticks,
}

impl Process {
    /// Reads `/proc/<pid>/stat`. The name in it is in brackets and may contain anything, brackets too.
    pub fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first field after the name is the third of all (proc(5)).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own: Ticks(field(14)? + field(15)?),
            ended_children: Ticks(field(16)? + field(17)?),
        })
    }
}

/// All processes of the machine, by process id.
#[derive(Clone, Debug, Default)]
pub struct Processes(BTreeMap<u32, Process>);

impl FromIterator<(u32, Process)> for Processes {
    fn from_iter<I: IntoIterator<Item = (u32, Process)>>(processes: I) -> Self {
        Self(processes.into_iter().collect())
    }
}

impl Processes {
    /// Reads all processes. The time of one that ends meanwhile is in its parent's sum the next time.
    pub fn now() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| Some((pid, Process::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
            .collect()
    }

    /// Processor time of a process itself.
    pub fn own(&self, pid: u32) -> Ticks {
        self.0.get(&pid).map(|process| process.own).unwrap_or_default()
    }

    /// Processor time of a process and all its descendants, ended ones included.
    pub fn tree(&self, root: u32) -> Ticks {
        let mut open = vec![root];
        let mut used = Ticks::default();
        while let Some(pid) = open.pop() {
            if let Some(process) = self.0.get(&pid) {
                used = [used, process.own, process.ended_children].into_iter().sum();
            }
            open.extend(self.0.iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| *child));
        }
        used
    }
}

/// The busy time of all processors, from `/proc/stat`: everything but idling and waiting for disks.
pub fn parse_busy(stat: &str) -> Option<Ticks> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen] = *numbers.first_chunk()?;
    Some(Ticks(user + nice + system + interrupts + soft_interrupts + stolen))
}

/// The busy time of all processors until now.
pub fn busy_now() -> Ticks {
    fs::read_to_string("/proc/stat").ok().and_then(|stat| parse_busy(&stat)).unwrap_or_default()
}

/// The resident memory in `/proc/<pid>/status`, in KiB.
pub fn parse_resident(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

/// The resident memory of a process in KiB.
pub fn resident_now(pid: u32) -> Option<u64> {
    parse_resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}
