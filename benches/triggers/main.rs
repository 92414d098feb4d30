//! What it costs to ask a trigger over Kafka: the time from a question to its reply, less the time of the responder, which
//! here only sends the event back.
//!
//! It needs the jars that `scripts/kafka` fetches, and starts a broker and a database of its own. `cargo bench --bench
//! triggers`.

#[path = "../../tests/it/support/kafka.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a benchmark ends as a test does")]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod kafka;
#[path = "../../tests/it/support/places.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a benchmark ends as a test does")]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod places;
#[path = "../../tests/it/support/postgres.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a benchmark ends as a test does")]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod postgres;
#[path = "../../tests/it/support/reaper.rs"]
#[expect(clippy::expect_used, reason = "a benchmark ends as a test does")]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod reaper;
mod responder;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use userpool::domain::trigger::Trigger;
use userpool::environment::Random;
use userpool::kafka::config::KafkaConfig;
use userpool::kafka::topics;
use userpool::store::keys::MasterKeys;
use userpool::store::{ConnectionRole, Store};
use userpool::triggers::{Call, IN_FLIGHT, Triggers};

use crate::kafka::Kafka;
use crate::postgres::Postgres;
use places::{free_port, poll_until, private_directory, tail};

/// How many questions are asked for each number of callers.
const QUESTIONS: usize = 4_000;
/// Questions that are asked first and not measured.
const WARM_UP: usize = 500;
/// An event of the usual size: a user with a few attributes.
const EVENT: &[u8] = include_bytes!("event.json");

/// Copies a directory with all that is in it.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let (postgres, kafka) = tokio::task::spawn_blocking(|| (Postgres::start(), Kafka::start())).await?;
    postgres.create_database("bench");
    let config = KafkaConfig::new(&kafka.bootstrap);
    let listening = config.clone();
    tokio::task::spawn_blocking(move || {
        topics::create_missing(&listening, &CancellationToken::new())?;
        responder::answer_everything(&listening)
    })
    .await??;
    let triggers = Triggers::new(config, IN_FLIGHT);
    tokio::spawn(triggers.clone().run(store(&postgres).await?, "bench".to_owned(), CancellationToken::new()));
    times(&triggers, 1, WARM_UP).await?;
    println!("callers  questions/s      p50      p99  (milliseconds)");
    for callers in [1, 16] {
        let started = Instant::now();
        let mut times = times(&triggers, callers, QUESTIONS).await?;
        let rate = times.len() as f64 / started.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        println!("{callers:7}  {rate:11.0}  {:7.2}  {:7.2}", at(50), at(99));
    }
    Ok(())
}

async fn store(postgres: &Postgres) -> Result<Store> {
    let master = MasterKeys::parse(&MasterKeys::generate_line("bench", &Random::default()))?;
    let database = userpool::store::connect(&postgres.url("bench"), 4, ConnectionRole::Api).await?;
    let store = Store::new(database, Arc::new(master));
    store.migrate().await?;
    Ok(store)
}

/// The times of this many questions by so many callers, each of whom asks one after the other.
async fn times(triggers: &Triggers, callers: usize, questions: usize) -> Result<Vec<Duration>> {
    let ask = |triggers: Triggers| async move {
        let mut times = Vec::with_capacity(questions / callers);
        for _ in 0..questions / callers {
            let call = Call {
                trigger: Trigger::PreSignUp,
                function: "arn:aws:lambda:us-east-1:123456789012:function:bench",
                user_pool_id: "us-east-1_bench0000",
                event: EVENT,
                trace_context: None,
            };
            let started = Instant::now();
            triggers.ask(call).await?;
            times.push(started.elapsed());
        }
        anyhow::Ok(times)
    };
    let callers: Vec<_> = (0..callers).map(|_| tokio::spawn(ask(triggers.clone()))).collect();
    let mut all = Vec::with_capacity(questions);
    for caller in callers {
        all.extend(caller.await.context("a caller")??);
    }
    Ok(all)
}
