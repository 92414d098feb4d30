//! The load driver: measures the server, which is another process, beside the floor under each operation.
//!
//! `scripts/bench` builds and runs it. docs/performance.md says what the numbers mean.

mod apps;
mod caller;
mod dearest;
mod directory;
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

use anyhow::{Context, bail, ensure};
use clap::Parser;

use crate::loads::{Beside, Crowd, DIRECTORIES, Load};
use crate::measure::{Measured, Side};
use crate::report::{Run, load_averages};
use crate::stage::{Audience, Stage};

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
    /// Connections over which others guess passwords, in the load SignInBesideGuessers.
    #[arg(long, default_value_t = 47)]
    guessers: usize,
    /// Users who sign up before anything is measured.
    #[arg(long, default_value_t = 64)]
    users: usize,
    /// Users with an authenticator app. Each has three codes at the beginning, and one more every 30 seconds.
    #[arg(long, default_value_t = 480)]
    apps: usize,
    /// Users of the directories that are listed: a small one, a middle one and a large one.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    directories: Vec<usize>,
    /// Loads to measure, by the beginning of their names; all if none is named.
    #[arg(value_name = "LOAD")]
    loads: Vec<String>,
    /// Cargo passes this flag to every benchmark; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The smallest directory: it needs two pages, and e-mail addresses with the same beginning.
const SMALLEST: usize = 200;
/// Sign-ins that are open at once beside GetUser: more than a machine of this size has threads that hash.
const SIGN_INS: usize = 16;
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
    let sizes: [usize; DIRECTORIES] = arguments.directories[..]
        .try_into()
        .context("there are three directories: a small, a middle and a large one")?;
    ensure!(sizes[0] >= SMALLEST && sizes.is_sorted(), "directories have {SMALLEST} users or more, and grow");
    let loads = chosen(loads::all(sizes), &arguments.loads)?;
    let Arguments { concurrency, users, rounds, .. } = arguments;
    ensure!(concurrency > 0 && users >= concurrency, "each of the calls that are open at once needs a user of its own");
    ensure!(
        arguments.apps >= concurrency,
        "each of the calls that are open at once needs an authenticator app of its own"
    );
    ensure!(rounds > 0 && arguments.seconds > 0.0, "nothing would be measured");
    let length = Duration::try_from_secs_f64(arguments.seconds)?;
    let load_before = load_averages();

    let listed = if loads.iter().any(Load::is_list) { &sizes[..] } else { &[] };
    let is_beside = |crowd| loads.iter().any(|load| load.beside == Beside::Quiet(crowd));
    let audience = Audience {
        workers: concurrency,
        guessers: if is_beside(Crowd::Guessers) { arguments.guessers } else { 0 },
        sign_ins: if is_beside(Crowd::SignIns) { SIGN_INS } else { 0 },
        people: users,
        apps: if loads.iter().any(Load::has_apps) { arguments.apps } else { 0 },
    };
    let stage = Stage::set(audience, listed).await?;
    print!("{}", report::facts(&stage.facts));
    eprintln!("bench: the server is process {}", stage.server.id());
    let mut measured: Vec<_> = loads.into_iter().map(Measured::new).collect();
    for load in &measured {
        for side in [Side::Served, Side::Floor] {
            load.slice(&stage, side, WARM_UP).await?;
        }
    }
    for round in 0..rounds {
        eprintln!("bench: round {} of {rounds}", round + 1);
        for load in &mut measured {
            load.round(&stage, round, length).await?;
        }
    }
    let dearest = dearest::three(&stage.database).await?;
    let run = Run { concurrency, users, sizes, rounds, length, load_before, measured, dearest };
    print!("{}", run.table());
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&run.json(&stage.facts))?;
        std::fs::write(path, json + "\n").with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(())
}

/// The loads whose names begin with one of these.
fn chosen(all: Vec<Load>, beginnings: &[String]) -> anyhow::Result<Vec<Load>> {
    let begins = |load: &Load, beginning: &String| {
        load.name.get(..beginning.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(beginning))
    };
    for beginning in beginnings {
        if !all.iter().any(|load| begins(load, beginning)) {
            let known: Vec<&str> = all.iter().map(|load| load.name.as_str()).collect();
            bail!("there is no load {beginning}; there are: {}", known.join(", "));
        }
    }
    let is_chosen = |load: &Load| beginnings.is_empty() || beginnings.iter().any(|beginning| begins(load, beginning));
    Ok(all.into_iter().filter(is_chosen).collect())
}
