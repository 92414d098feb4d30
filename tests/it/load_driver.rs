//! The arithmetic of `scripts/bench`: its modules are compiled here as well, because a benchmark runs no tests.

#![allow(dead_code, reason = "the driver uses what is not tested by itself")]

use std::collections::BTreeMap;
use std::time::Duration;

#[path = "../../benches/load/processes.rs"]
mod processes;
#[path = "../../benches/load/production.rs"]
mod production;
#[path = "../../benches/load/statistics.rs"]
mod statistics;

use processes::{Process, Processes, Ticks, busy_now, parse_busy, parse_resident, resident_now};
use production::{REQUIRED, check_hash, check_settings};
use statistics::{percentile, quotient, spread, throughput};

fn milliseconds(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
    values.into_iter().map(Duration::from_millis).collect()
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let values = milliseconds(1..=200);
    assert_eq!(percentile(&values, 50.0), Some(Duration::from_millis(100)));
    assert_eq!(percentile(&values, 99.0), Some(Duration::from_millis(198)));
    assert_eq!(percentile(&values, 0.0), Some(Duration::from_millis(1)));
    assert_eq!(percentile(&values, 100.0), Some(Duration::from_millis(200)));
    assert_eq!(percentile(&milliseconds([7]), 99.0), Some(Duration::from_millis(7)));
    assert_eq!(percentile(&milliseconds([1, 9]), 50.0), Some(Duration::from_millis(1)));
    assert_eq!(percentile(&milliseconds([1, 9]), 51.0), Some(Duration::from_millis(9)));
    assert_eq!(percentile(&[], 50.0), None);
}

#[test]
fn a_throughput_is_calls_by_seconds() {
    assert!((throughput(300, Duration::from_millis(1500)) - 200.0).abs() < 1e-9);
    assert_eq!(throughput(3, Duration::ZERO), 0.0);
    assert_eq!(quotient(1.0, 0.0), 0.0);
    assert_eq!(quotient(3.0, 4.0), 0.75);
}

#[test]
fn a_spread_has_both_ends() {
    assert_eq!(spread([0.7, 0.9, 0.8].into_iter()), Some((0.7, 0.9)));
    assert_eq!(spread(std::iter::empty()), None);
}

fn stat(name: &str, parent: u32, numbers: [u64; 4]) -> String {
    let [user, system, children_user, children_system] = numbers;
    format!("42 ({name}) S {parent} 1 1 0 -1 4194560 9 8 7 6 {user} {system} {children_user} {children_system} 20 0 3")
}

#[test]
fn a_process_is_read_whatever_its_name_is() {
    let expected = Process { parent: 7, own: Ticks(12), ended_children: Ticks(23) };
    for name in ["postgres", "postgres: a b [local] idle", "odd) S 9 (name", ""] {
        assert_eq!(Process::parse(&stat(name, 7, [10, 2, 20, 3])), Some(expected), "{name}");
    }
    for wrong in ["", "42 (x) S 7", "42 (x S 7 1 1", "42 (x) S p 1 1 0 -1 4 9 8 7 6 1 2 3 4"] {
        assert_eq!(Process::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn what_a_child_used_counts_before_and_after_its_end() {
    let process = |parent, own, ended| Process { parent, own: Ticks(own), ended_children: Ticks(ended) };
    let before: Processes =
        [(1, process(0, 5, 0)), (10, process(1, 100, 0)), (11, process(10, 30, 0)), (12, process(11, 7, 0))]
            .into_iter()
            .collect();
    assert_eq!(before.tree(10), Ticks(137));
    assert_eq!(before.own(10), Ticks(100));
    // 12 ended and 11 waited for it; then 11 ended and 10 waited for it.
    let after: Processes = [(1, process(0, 5, 0)), (10, process(1, 100, 37))].into_iter().collect();
    assert_eq!(after.tree(10), before.tree(10));
    assert_eq!(after.tree(99), Ticks(0));
    assert_eq!(after.own(99), Ticks(0));
}

#[test]
fn times_are_in_hundredths() {
    assert!((Ticks(150).seconds() - 1.5).abs() < 1e-9);
    assert_eq!(Ticks(7) - Ticks(3), Ticks(4));
    assert_eq!(Ticks(3) - Ticks(7), Ticks(0));
}

#[test]
fn the_machines_work_leaves_idling_out() {
    assert_eq!(parse_busy("cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\n"), Some(Ticks(63)));
    assert_eq!(parse_busy("cpu  1 2 4\n"), None);
    assert_eq!(parse_busy("intr 5"), None);
    assert!(busy_now() > Ticks(0));
}

#[test]
fn memory_is_read_in_kibibytes() {
    assert_eq!(parse_resident("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   51234 kB\n"), Some(51_234));
    assert_eq!(parse_resident("Name:\tx\n"), None);
    assert!(resident_now(std::process::id()).is_some_and(|kib| kib > 0));
}

#[test]
fn this_process_is_found_with_its_parent() {
    let processes = Processes::now();
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this process is there");
    let this = Process::parse(&stat).expect("a process");
    assert!(processes.tree(this.parent) >= processes.tree(std::process::id()));
    assert!(processes.own(std::process::id()) <= processes.tree(std::process::id()));
}

#[test]
fn every_setting_must_be_productions() {
    let on: BTreeMap<_, _> = REQUIRED.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    check_settings(&on).expect("all are production's");
    for (name, _) in REQUIRED {
        let off = BTreeMap::from_iter(on.clone().into_iter().chain([(name, "off".to_owned())]));
        assert!(check_settings(&off).unwrap_err().to_string().starts_with(name));
    }
    assert!(check_settings(&BTreeMap::new()).is_err());
}

#[test]
fn a_cheaper_hash_is_refused_and_never_shown() {
    let good = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
    assert_eq!(check_hash(good).unwrap(), "$argon2id$v=19$m=19456,t=2,p=1");
    for wrong in ["$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA", "$argon2i$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", ""] {
        assert!(!check_hash(wrong).unwrap_err().to_string().contains("aGFzaA"), "{wrong}");
    }
}
