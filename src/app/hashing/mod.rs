//! Hashing of passwords, on a bounded number of threads with a bounded wait, which pools and callers share fairly.
//!
//! The slot is moved into the blocking work itself, so that a caller who hangs up can't free it early and exceed the bound.

pub mod forms;
mod priority;
mod slots;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use tracing::Instrument;

use crate::app::caller::Turn;
use crate::app::hashing::slots::{NoSlot, Slot, Slots};
use crate::domain::error::Error;
use crate::telemetry::{metrics, trace};

/// The cost of one hash with argon2id (OWASP: 19,456 KiB, 2 passes, 1 lane).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory of one hash, in KiB.
    pub memory: u32,
    /// How often the memory is passed over.
    pub passes: u32,
    /// Number of lanes: argon2id's degree of parallelism.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory: 19_456, passes: 2, lanes: 1 }
    }
}

impl Cost {
    /// Whether argon2id accepts these parameters.
    pub fn check(&self) -> Result<(), argon2::Error> {
        self.params().map(|_| ())
    }

    /// Number of blocks that are filled.
    fn work(&self) -> u64 {
        u64::from(self.memory) * u64::from(self.passes)
    }

    /// The rest of this work after that of a cheaper cost, if the rest is large enough for a hash.
    fn rest_after(&self, done: &Self) -> Option<Self> {
        let memory = self.work().saturating_sub(done.work()) / u64::from(self.passes.max(1));
        let rest = Self { memory: u32::try_from(memory).ok()?, ..*self };
        rest.check().is_ok().then_some(rest)
    }

    fn params(&self) -> Result<Params, argon2::Error> {
        Params::new(self.memory, self.passes, self.lanes, Some(HASH_LENGTH))
    }
}

const HASH_LENGTH: usize = 32;
/// How long a refusal is delayed that has cost no other time.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);
/// The estimated time of a hash before one was measured.
const FIRST_ESTIMATE: Duration = Duration::from_millis(30);

/// Hashes and verifies passwords.
#[derive(Debug)]
pub struct Hasher {
    cost: Cost,
    slots: Slots,
    /// Moving average of the time of one hash, in microseconds.
    average: Arc<AtomicU64>,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// The hash that passwords are compared with if there is no user.
    nobody: String,
}

/// A hash that can't be made or read.
#[derive(Debug, thiserror::Error)]
enum HashFailure {
    #[error("argon2: {0}")]
    Argon2(argon2::Error),
    #[error("a stored hash is not of the form that this server writes")]
    Malformed,
}

impl Hasher {
    /// Hashes at this cost on `slots` threads at once.
    pub fn new(cost: Cost, slots: u32) -> Self {
        Self {
            cost,
            slots: Slots::new(slots.max(1)),
            average: Arc::new(AtomicU64::new(FIRST_ESTIMATE.as_micros() as u64)),
            memory: Arc::default(),
            nobody: phc(cost, &[0; 16], &[0; HASH_LENGTH]),
        }
    }

    /// Shows from now on how many calls wait.
    pub fn observe(&self) {
        let slots = self.slots.clone();
        metrics::HASHING_WAITING.by(move || vec![(slots.waiting() as f64, [])]);
    }

    /// Whether a stored hash has another cost than today's.
    pub fn is_outdated(&self, stored: &str) -> bool {
        read_phc(stored).is_none_or(|(cost, _, _)| cost != self.cost)
    }

    /// Makes the hash of a password as a PHC string.
    pub async fn hash(&self, password: &str, salt: [u8; 16], turn: &Turn) -> Result<String, Error> {
        let (cost, password) = (self.cost, password.to_owned());
        let hash = self.run(turn, move |memory| digest(cost, &password, &salt, memory)).await?;
        Ok(phc(self.cost, &salt, &hash))
    }

    /// Whether a password matches a stored hash. Without a stored hash, the same work is done for nothing. After a
    /// wrong guess at a hash of an earlier, cheaper cost, the rest of today's work is done for nothing, too. So an
    /// unknown user takes no longer.
    pub async fn verify(&self, password: &str, stored: Option<&str>, turn: &Turn) -> Result<bool, Error> {
        let parsed = read_phc(stored.unwrap_or(&self.nobody)).ok_or(HashFailure::Malformed).map_err(Error::internal)?;
        let (cost, salt, expected) = parsed;
        let (password, rest) = (password.to_owned(), self.cost.rest_after(&cost));
        let matches = self.run(turn, move |memory| {
            let matches = bool::from(digest(cost, &password, &salt, memory)?.ct_eq(&expected));
            if let Some(rest) = rest.filter(|_| !matches) {
                digest(rest, &password, &salt, memory)?;
            }
            Ok(matches)
        });
        Ok(matches.await? & stored.is_some())
    }

    /// Does other slow work for a password on the same bounded threads.
    pub async fn work<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.run(turn, move |_| Ok(work())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, HashFailure> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.slot(turn).instrument(tracing::info_span!(target: trace::STEP, "hashing.wait")).await?;
        let (memory, average) = (self.memory.clone(), self.average.clone());
        let span = tracing::info_span!(target: trace::STEP, "hashing");
        let done = tokio::task::spawn_blocking(move || {
            priority::give_way();
            let mut blocks = memory.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let began = Instant::now();
            let result = span.in_scope(|| work(&mut blocks));
            observe(&average, began.elapsed());
            memory.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
            drop(slot);
            result
        });
        done.await.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// Refuses a caller who would be refused a slot right now, before anything is read for them.
    ///
    /// The refusal comes after `REFUSAL_DELAY`, or at once if the caller would not wait for it. The delay keeps callers
    /// who retry after each refusal from taking processor time from other callers.
    pub async fn refuse_beyond(&self, turn: &Turn) -> Result<(), Error> {
        let Err(none) = self.slots.expect(turn, self.estimate()) else { return Ok(()) };
        if turn.patience.is_none_or(|patience| patience > REFUSAL_DELAY) {
            tokio::time::sleep(REFUSAL_DELAY).await;
        }
        Err(refused(none))
    }

    /// Waits for a slot, unless the expected wait is longer than the caller's own.
    async fn slot(&self, turn: &Turn) -> Result<Slot, Error> {
        let began = Instant::now();
        let slot = self.slots.take(turn, self.estimate()).await.map_err(refused)?;
        metrics::HASHING_WAIT.record(began.elapsed(), []);
        Ok(slot)
    }

    fn estimate(&self) -> Duration {
        Duration::from_micros(self.average.load(Ordering::Relaxed))
    }
}

fn refused(_: NoSlot) -> Error {
    metrics::HASHING_REFUSED.add(1, []);
    Error::too_many_requests()
}

fn observe(average: &AtomicU64, took: Duration) {
    metrics::HASHING_DURATION.record(took, []);
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let old = average.load(Ordering::Relaxed);
    average.store(old - old / 8 + took / 8, Ordering::Relaxed);
}

/// The memory is kept for the next hash: fresh pages would cost more time than the hash itself.
fn digest(cost: Cost, password: &str, salt: &[u8], memory: &mut Vec<Block>) -> Result<[u8; HASH_LENGTH], HashFailure> {
    let params = cost.params().map_err(HashFailure::Argon2)?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut hash = [0; HASH_LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, memory.as_mut_slice())
        .map_err(HashFailure::Argon2)?;
    Ok(hash)
}

fn phc(cost: Cost, salt: &[u8], hash: &[u8]) -> String {
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={},t={},p={}${salt}${hash}", cost.memory, cost.passes, cost.lanes)
}

fn read_phc(text: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut numbers =
        parts.next()?.split(',').zip(["m=", "t=", "p="]).map(|(part, name)| part.strip_prefix(name)?.parse().ok());
    let mut number = || numbers.next().flatten();
    let cost = Cost { memory: number()?, passes: number()?, lanes: number()? };
    let (salt, hash) = (STANDARD_NO_PAD.decode(parts.next()?).ok()?, STANDARD_NO_PAD.decode(parts.next()?).ok()?);
    parts.next().is_none().then_some((cost, salt, hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::UserPoolId;
    use crate::limits::Network;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

    fn turn(network: u8) -> Turn {
        let address = std::net::IpAddr::from([192, 0, 2, network]);
        Turn { pool: UserPoolId::new("us-east-1_abcdefghi"), network: Network::of(address), patience: None }
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let hasher = Hasher::new(CHEAP, 1);
        let stored = hasher.hash("correct", [7; 16], &turn(1)).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(hasher.verify("correct", Some(&stored), &turn(1)).await.unwrap());
        assert!(!hasher.verify("wrong", Some(&stored), &turn(1)).await.unwrap());
        assert!(!hasher.verify("correct", None, &turn(1)).await.unwrap());
        assert!(!hasher.is_outdated(&stored));
        assert!(Hasher::new(Cost::default(), 1).is_outdated(&stored));
    }

    #[tokio::test]
    async fn a_wrong_guess_at_a_cheaper_hash_costs_the_work_of_today() {
        let today = Cost { memory: 256, passes: 2, lanes: 1 };
        let stored = Hasher::new(CHEAP, 1).hash("correct", [7; 16], &turn(1)).await.unwrap();
        // The memory that is kept for the next hash shows the size of the largest one.
        for (password, memory) in [("correct", 64), ("wrong", 256 - 64 / 2)] {
            let hasher = Hasher::new(today, 1);
            assert_eq!(hasher.verify(password, Some(&stored), &turn(1)).await.unwrap(), password == "correct");
            assert_eq!(hasher.memory.lock().unwrap()[0].len(), memory);
        }
    }

    #[tokio::test]
    async fn callers_beyond_the_expected_wait_are_refused_at_once() {
        let hasher = Hasher::new(CHEAP, 1);
        let held = hasher.slot(&turn(1)).await.unwrap();
        let hurried = Turn { patience: Some(Duration::from_millis(1)), ..turn(1) };
        let refusals = [hasher.hash("any", [0; 16], &hurried).await.map(drop), hasher.refuse_beyond(&hurried).await];
        for refused in refusals {
            let refused = refused.unwrap_err();
            assert_eq!(refused.exception, crate::domain::error::Exception::TooManyRequestsException);
        }
        drop(held);
        hasher.refuse_beyond(&hurried).await.unwrap();
        assert!(hasher.hash("any", [0; 16], &hurried).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_without_work_is_delayed_for_callers_who_wait() {
        let hasher = Hasher::new(CHEAP, 1);
        let _held = hasher.slot(&turn(1)).await.unwrap();
        hasher.average.store(Duration::from_secs(2).as_micros() as u64, Ordering::Relaxed);
        let (patient, hurried) = (REFUSAL_DELAY * 2, REFUSAL_DELAY);
        for (patience, delay) in
            [(None, REFUSAL_DELAY), (Some(patient), REFUSAL_DELAY), (Some(hurried), Duration::ZERO)]
        {
            let began = tokio::time::Instant::now();
            hasher.refuse_beyond(&Turn { patience, ..turn(1) }).await.unwrap_err();
            assert_eq!(began.elapsed(), delay, "{patience:?}");
        }
    }

    /// A fault before this queue: guesses over many connections had other callers' right passwords refused.
    #[tokio::test(flavor = "multi_thread")]
    async fn guesses_from_one_network_do_not_refuse_callers_of_others() {
        const DEAR: Cost = Cost { memory: 19_456, passes: 2, lanes: 1 };
        const GUESSERS: u8 = 100;
        let hasher = Arc::new(Hasher::new(DEAR, 1));
        let stored = hasher.hash("correct", [7; 16], &turn(1)).await.unwrap();
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let guessers: Vec<_> = (0..GUESSERS)
            .map(|_| {
                let (hasher, stored, over) = (hasher.clone(), stored.clone(), over.clone());
                tokio::spawn(async move {
                    let mut refused = 0_u32;
                    while !over.load(Ordering::Relaxed) {
                        refused += u32::from(hasher.verify("wrong", Some(&stored), &turn(1)).await.is_err());
                        tokio::task::yield_now().await;
                    }
                    refused
                })
            })
            .collect();
        // The line is as long as one network can make it once a caller of that network is refused.
        while hasher.slots.expect(&turn(1), hasher.estimate()).is_ok() {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            assert!(hasher.verify("correct", Some(&stored), &turn(2)).await.unwrap());
        }
        over.store(true, Ordering::Relaxed);
        let refused = futures::future::join_all(guessers).await.into_iter().map(Result::unwrap).sum::<u32>();
        assert!(refused > 0, "no caller was refused, so there was no line");
    }

    proptest! {
        #[test]
        fn a_wrong_guess_takes_todays_work_whatever_the_stored_cost(
            memory in 8_u32..40_000, passes in 1_u32..5, stored_memory in 8_u32..40_000, stored_passes in 1_u32..5,
        ) {
            let today = Cost { memory, passes, lanes: 1 };
            let stored = Cost { memory: stored_memory, passes: stored_passes, lanes: 1 };
            let done = stored.work() + today.rest_after(&stored).map_or(0, |rest| rest.work());
            // A hash has at least 8 blocks.
            let least = 8 * u64::from(passes);
            prop_assert!(done + least > today.work());
            prop_assert!(done <= today.work().max(stored.work()));
        }

        #[test]
        fn what_is_written_is_read(memory: u32, passes: u32, lanes: u32, salt: [u8; 16], hash: [u8; HASH_LENGTH]) {
            let cost = Cost { memory, passes, lanes };
            let (read, read_salt, read_hash) = read_phc(&phc(cost, &salt, &hash)).unwrap();
            prop_assert_eq!((read, read_salt.as_slice(), read_hash.as_slice()), (cost, &salt[..], &hash[..]));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}", rest in "[mtp=,0-9$A-Za-z+/]{0,60}") {
            prop_assert!(read_phc(&text).is_none());
            let _ = read_phc(&format!("$argon2id$v=19${rest}"));
            let _ = read_phc(&format!("$argon2id$v=19$m=1,t=1,p=1${rest}"));
        }
    }
}
