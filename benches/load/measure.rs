//! Measuring: short slices of a load and of its floor in turn, so that both see the machine in the same state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::caller::{Caller, NoAnswer};
use crate::loads::{Beside, Crowd, Load, Turn};
use crate::stage::{Stage, Used};
use crate::statistics::{percentile, quotient, spread, throughput};

/// Which of the two a slice measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The operation, by the server.
    Served,
    /// The floor, by the driver.
    Floor,
}

/// What was measured of one side, in one slice or in all of them.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// From the first call to the end of the last one.
    pub elapsed: Duration,
    /// How long each answered call took, sorted.
    pub latencies: Vec<Duration>,
    /// Calls that the server had no capacity for.
    pub refused: usize,
    /// Processor time during the slice.
    pub cpu: Cpu,
}

/// Processor time in seconds, up to the moment when the work that calls leave behind is done too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Used by the server.
    pub server: f64,
    /// Used by Postgres, with all its processes.
    pub postgres: f64,
    /// Used by this driver.
    pub driver: f64,
    /// Used by everything else on the machine.
    pub others: f64,
    /// The length of the measurement.
    pub window: Duration,
}

impl Cpu {
    fn between(before: Used, after: Used, window: Duration) -> Self {
        let [server, postgres, driver] =
            [after.server - before.server, after.postgres - before.postgres, after.driver - before.driver];
        let ours = [server, postgres, driver].into_iter().sum();
        Self {
            server: server.seconds(),
            postgres: postgres.seconds(),
            driver: driver.seconds(),
            others: (after.machine - before.machine - ours).seconds(),
            window,
        }
    }
}

impl Seen {
    /// Answered calls a second. Refused ones don't count.
    pub fn throughput(&self) -> f64 {
        throughput(self.latencies.len(), self.elapsed)
    }

    /// The percentile of the answered calls' times: this percentage took at most as long.
    pub fn within(&self, of_hundred: f64) -> Duration {
        percentile(&self.latencies, of_hundred).unwrap_or_default()
    }

    /// Processor seconds divided by answered calls.
    pub fn a_call(&self, seconds: f64) -> f64 {
        quotient(seconds, self.latencies.len() as f64)
    }

    fn add(&mut self, slice: &Self) {
        self.elapsed += slice.elapsed;
        self.latencies.extend(&slice.latencies);
        self.latencies.sort_unstable();
        self.refused += slice.refused;
        self.cpu.server += slice.cpu.server;
        self.cpu.postgres += slice.cpu.postgres;
        self.cpu.driver += slice.cpu.driver;
        self.cpu.others += slice.cpu.others;
        self.cpu.window += slice.cpu.window;
    }
}

/// A load beside its floor.
pub struct Measured {
    /// The load that was measured.
    pub load: Load,
    /// The operation, over all rounds.
    pub served: Seen,
    /// Its floor, over all rounds.
    pub floor: Seen,
    /// The ratio of each round, in order.
    pub ratios: Vec<f64>,
}

impl Measured {
    /// Starts with empty measurements.
    pub fn new(load: Load) -> Self {
        Self { load, served: Seen::default(), floor: Seen::default(), ratios: Vec::new() }
    }

    /// Throughput of the operation, divided by throughput of the floor, over all rounds.
    pub fn ratio(&self) -> f64 {
        quotient(self.served.throughput(), self.floor.throughput())
    }

    /// The lowest and the highest ratio of a round.
    pub fn ratio_spread(&self) -> (f64, f64) {
        spread(self.ratios.iter().copied()).unwrap_or_default()
    }

    /// Measures one round: both sides, which take the first place in turn.
    pub async fn round(&mut self, stage: &Arc<Stage>, round: usize, length: Duration) -> anyhow::Result<()> {
        let mut sides = [Side::Served, Side::Floor];
        if round % 2 == 1 {
            sides.reverse();
        }
        let mut throughputs = [0.0, 0.0];
        for side in sides {
            let seen = self.slice(stage, side, length).await?;
            throughputs[usize::from(side == Side::Floor)] = seen.throughput();
            match side {
                Side::Served => self.served.add(&seen),
                Side::Floor => self.floor.add(&seen),
            }
        }
        self.ratios.push(quotient(throughputs[0], throughputs[1]));
        Ok(())
    }

    /// Calls one side without a pause, each worker one call after another, until the time is over and the last call has
    /// ended.
    pub async fn slice(&self, stage: &Arc<Stage>, side: Side, length: Duration) -> anyhow::Result<Seen> {
        slice(stage, &self.load, side, length).await
    }
}

async fn slice(stage: &Arc<Stage>, load: &Load, side: Side, length: Duration) -> anyhow::Result<Seen> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    stage.quiet().await;
    let before = stage.used();
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    if let (Side::Served, Beside::Quiet(who)) = (side, load.beside) {
        let members = stage.crowd(who).iter().enumerate();
        members.for_each(|(number, member)| drop(crowd.spawn(throng(stage.clone(), member.clone(), who, number))));
    }
    let mut workers = JoinSet::new();
    for worker in 0..stage.callers.len() {
        let (stage, mix, beside, pause, name) = (stage.clone(), load.mix, load.beside, load.pause, load.name.clone());
        workers.spawn(async move {
            let (mut latencies, mut refused) = (Vec::new(), 0);
            if !pause.is_zero() {
                // Callers who pause do not call all at once.
                tokio::time::sleep(pause.mul_f64(worker as f64 / stage.callers.len() as f64)).await;
            }
            while began.elapsed() < length {
                let turn = Turn { worker, number: NUMBER.fetch_add(1, Ordering::Relaxed) };
                let operation = mix[turn.index(mix.len())];
                let called = Instant::now();
                let done = match (side, beside) {
                    (Side::Served, _) | (Side::Floor, Beside::Quiet(_)) => operation.call.make(&stage, turn).await,
                    (Side::Floor, Beside::Floor) => {
                        stage.tools.work(operation.floor, &stage.callers[worker], turn.number).await
                    }
                };
                match done {
                    Ok(()) => latencies.push(called.elapsed()),
                    Err(NoAnswer::Refused) => refused += 1,
                    Err(NoAnswer::Failed(error)) => return Err(error.context(name)),
                }
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Ok((latencies, refused))
        });
    }
    let mut seen = Seen::default();
    while let Some(worker) = workers.join_next().await {
        let (latencies, refused) = worker??;
        seen.latencies.extend(latencies);
        seen.refused += refused;
    }
    seen.elapsed = began.elapsed();
    drop(crowd);
    stage.quiet().await;
    seen.cpu = Cpu::between(before, stage.used(), began.elapsed());
    Ok(seen)
}

/// Calls without end, as the crowd does. Answers don't matter; after a refusal for lack of capacity the caller waits a
/// moment.
async fn throng(stage: Arc<Stage>, member: Caller, who: Crowd, number: usize) {
    const MOMENT: Duration = Duration::from_millis(10);
    let sign_in = &stage.people[number % stage.people.len()].sign_in;
    loop {
        let called = match who {
            Crowd::Guessers => member.make(&stage.guess()).await,
            Crowd::SignIns => member.make(sign_in).await,
        };
        if let Err(NoAnswer::Refused) = called {
            tokio::time::sleep(MOMENT).await;
        }
    }
}
