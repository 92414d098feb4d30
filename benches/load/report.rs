//! The report of a run: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dearest::Statement;
use crate::loads::{Aim, Beside, DIRECTORIES, filter_of, page_of};
use crate::measure::{Measured, Seen};
use crate::stage::Facts;
use crate::statistics::quotient;

/// The resident memory that an idle server should stay below, in KiB.
const AIM_RESIDENT: u64 = 64 * 1024;
/// The time within which a server should be ready.
const AIM_READY: Duration = Duration::from_secs(1);
/// The aim for lists: the largest directory takes at most this many times as long as the smallest.
const AIM_GROWTH: f64 = 1.5;

/// All measurements of a run.
pub struct Run {
    /// How many calls were open at once.
    pub concurrency: usize,
    /// How many users had signed up before.
    pub users: usize,
    /// How many users each listed directory has.
    pub sizes: [usize; DIRECTORIES],
    /// How many slices each side of each load had.
    pub rounds: usize,
    /// The length of a slice.
    pub length: Duration,
    /// The machine's load averages before the run.
    pub load_before: String,
    /// The measured loads, in their order.
    pub measured: Vec<Measured>,
    /// The statements that took most of the database's time.
    pub dearest: Vec<Statement>,
}

/// How much slower lists get from the smallest directory to the largest.
struct Growth {
    name: &'static str,
    times: f64,
}

/// The machine's load averages over one, five and fifteen minutes.
pub fn load_averages() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The processor's name, from `/proc/cpuinfo`.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "is missed" }
}

/// A line about the server and the database as they were before the first call.
pub fn facts(facts: &Facts) -> String {
    let mut text = String::new();
    for (name, value) in &facts.settings {
        let _ = writeln!(text, "{name} = {value}");
    }
    let _ = writeln!(text, "stored hash: {}", facts.hash);
    let _ = writeln!(
        text,
        "ready after {:.2} s on an empty database, {:.2} s on one with its schema; the aim of {} s {}",
        facts.first_ready_after.as_secs_f64(),
        facts.ready_after.as_secs_f64(),
        AIM_READY.as_secs(),
        verdict(facts.ready_after <= AIM_READY),
    );
    let _ = writeln!(
        text,
        "idle, before the first hash: {:.1} MiB resident; the aim of {} MiB {}",
        facts.idle_resident as f64 / 1024.0,
        AIM_RESIDENT / 1024,
        verdict(facts.idle_resident < AIM_RESIDENT),
    );
    text
}

impl Run {
    /// The report as Markdown.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} processors ({}); load before {}, after {}; {} calls at once, {} users, {} rounds of {:.1} s a side\n\n",
            processors(),
            processor(),
            self.load_before,
            load_averages(),
            self.concurrency,
            self.users,
            self.rounds,
            self.length.as_secs_f64(),
        );
        let _ = writeln!(
            text,
            "{:<26}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}   ratio to floor (rounds)",
            "", "calls/s", "p50 ms", "p99 ms", "server", "postgres", "driver", "others", "refused",
        );
        for measured in &self.measured {
            let (lowest, highest) = measured.ratio_spread();
            let aim = measured.load.aim.map(|aim| match aim {
                Aim::Ratio(ratio) => format!(", aim {ratio} {}", verdict(measured.ratio() >= ratio)),
                Aim::Percentile99(most) => {
                    let is_held = measured.served.within(99.0) <= most;
                    format!(", aim p99 {} ms {}", milliseconds(most), verdict(is_held))
                }
            });
            let ratio = format!("   {:.3} ({lowest:.3} to {highest:.3}){}", measured.ratio(), aim.unwrap_or_default());
            text.push_str(&line(&measured.load.name, &measured.served, &ratio));
            let below = match measured.load.beside {
                Beside::Floor => "  its floor",
                Beside::Quiet(_) => "  the same, quiet",
            };
            text.push_str(&line(below, &measured.floor, ""));
        }
        text.push_str("\nserver, postgres, driver: milliseconds of processors a call. others: processors that everything else used.\n");
        for Growth { name, times } in self.growth() {
            let [smallest, .., largest] = self.sizes;
            let _ = writeln!(
                text,
                "a {name} of {largest} users takes {times:.2} times as long as one of {smallest}; the aim of {AIM_GROWTH} {}",
                verdict(times <= AIM_GROWTH),
            );
        }
        text.push_str(
            "\nThe dearest statements, in parts of the time that the database spent on statements of the server:\n",
        );
        self.dearest.iter().for_each(|statement| text.push_str(&statement.line()));
        text
    }

    /// How much slower lists are in the largest directory than in the smallest, where both were measured.
    fn growth(&self) -> Vec<Growth> {
        let [smallest, .., largest] = self.sizes;
        [("page", page_of(smallest), page_of(largest)), ("filter", filter_of(smallest), filter_of(largest))]
            .into_iter()
            .filter_map(|(name, small, large)| {
                Some(Growth { name, times: quotient(self.throughput(&small)?, self.throughput(&large)?) })
            })
            .collect()
    }

    fn throughput(&self, load: &str) -> Option<f64> {
        let measured = self.measured.iter().find(|measured| measured.load.name == load)?;
        Some(measured.served.throughput())
    }

    /// The report as JSON.
    pub fn json(&self, facts: &Facts) -> Value {
        let loads = self.measured.iter().map(|measured| {
            let (lowest, highest) = measured.ratio_spread();
            json!({
                "name": measured.load.name,
                "aim": measured.load.aim.map(|aim| match aim {
                    Aim::Ratio(ratio) => json!({ "ratio": ratio }),
                    Aim::Percentile99(most) => json!({ "p99_milliseconds": milliseconds(most) }),
                }),
                "ratio_to_floor": measured.ratio(),
                "ratio_lowest": lowest,
                "ratio_highest": highest,
                "served": side(&measured.served),
                "floor": side(&measured.floor),
            })
        });
        json!({
            "machine": { "processors": processors(), "processor": processor(), "load_before": self.load_before, "load_after": load_averages() },
            "concurrency": self.concurrency,
            "users": self.users,
            "directories": self.sizes,
            "rounds": self.rounds,
            "slice_seconds": self.length.as_secs_f64(),
            "database": facts.settings,
            "stored_hash": facts.hash,
            "ready_seconds": { "empty_database": facts.first_ready_after.as_secs_f64(), "schema_there": facts.ready_after.as_secs_f64() },
            "idle_resident_kib": facts.idle_resident,
            "loads": loads.collect::<Vec<_>>(),
            "list_growth": self.growth().iter().map(|growth| (growth.name, growth.times)).collect::<BTreeMap<_, _>>(),
            "dearest_statements": self.dearest.iter().map(Statement::json).collect::<Vec<_>>(),
        })
    }
}

fn line(name: &str, seen: &Seen, ratio: &str) -> String {
    let cpu = [seen.cpu.server, seen.cpu.postgres, seen.cpu.driver].map(|seconds| seen.a_call(seconds) * 1000.0);
    format!(
        "{name:<26}{:>10.1}{:>10.2}{:>10.2}{:>10.3}{:>10.3}{:>10.3}{:>10.2}{:>9}{ratio}\n",
        seen.throughput(),
        milliseconds(seen.within(50.0)),
        milliseconds(seen.within(99.0)),
        cpu[0],
        cpu[1],
        cpu[2],
        processors_of_others(seen),
        seen.refused,
    )
}

/// How many processors everything else on the machine kept busy.
fn processors_of_others(seen: &Seen) -> f64 {
    quotient(seen.cpu.others, seen.cpu.window.as_secs_f64())
}

fn side(seen: &Seen) -> Value {
    json!({
        "calls": seen.latencies.len(),
        "refused": seen.refused,
        "seconds": seen.elapsed.as_secs_f64(),
        "calls_per_second": seen.throughput(),
        "p50_milliseconds": milliseconds(seen.within(50.0)),
        "p99_milliseconds": milliseconds(seen.within(99.0)),
        "cpu_seconds_per_call": {
            "server": seen.a_call(seen.cpu.server),
            "postgres": seen.a_call(seen.cpu.postgres),
            "driver": seen.a_call(seen.cpu.driver),
        },
        "processors_of_others": processors_of_others(seen),
    })
}
