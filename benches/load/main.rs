//! The load driver: measures the server, which is another process, beside the floor under each operation.
//!
//! `scripts/bench` builds and runs it. docs/performance.md says what the numbers mean.

mod caller;
mod floor;
mod loads;
mod measure;
mod processes;
mod production;
mod report;
mod server;
mod stage;
mod statistics;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;

use crate::loads::{LOADS, Load};
use crate::measure::{Measured, Side, slice};
use crate::report::{Run, load_averages};
use crate::stage::Stage;

/// Measures the server beside the floor under each operation.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Also writes what was measured as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seconds of a slice.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Slices of each operation, and of each floor.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Calls that are open at once.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Users who sign up before anything is measured.
    #[arg(long, default_value_t = 64)]
    users: usize,
    /// Which loads; all of them if none is named.
    #[arg(value_name = "LOAD")]
    loads: Vec<String>,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long each side of a load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let loads = chosen(&arguments.loads)?;
    let Arguments { concurrency, users, rounds, .. } = arguments;
    ensure!(concurrency > 0 && users >= concurrency, "each of the calls that are open at once needs a user of its own");
    ensure!(rounds > 0 && arguments.seconds > 0.0, "nothing would be measured");
    let length = Duration::try_from_secs_f64(arguments.seconds)?;
    let load_before = load_averages();

    let stage = Stage::set(concurrency, users).await?;
    print!("{}", report::facts(&stage.facts));
    eprintln!("bench: the server is process {}", stage.server.id());
    let mut measured: Vec<_> = loads.into_iter().map(Measured::new).collect();
    for load in &measured {
        for side in [Side::Served, Side::Floor] {
            slice(&stage, load.load, side, WARM_UP).await?;
        }
    }
    for round in 0..rounds {
        eprintln!("bench: round {} of {rounds}", round + 1);
        for load in &mut measured {
            load.round(&stage, round, length).await?;
        }
    }
    let run = Run { concurrency, users, rounds, length, load_before, measured };
    print!("{}", run.table());
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&run.json(&stage.facts))?;
        std::fs::write(path, json + "\n").with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(())
}

/// The loads of these names.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Load>> {
    if names.is_empty() {
        return Ok(LOADS.iter().collect());
    }
    let known = || LOADS.iter().map(|load| load.name).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|name| {
            let found = LOADS.iter().find(|load| load.name.eq_ignore_ascii_case(name));
            found.with_context(|| format!("there is no load {name}; there are: {}", known()))
        })
        .collect()
}
