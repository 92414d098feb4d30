//! The pauses after errors: they grow, and they differ between replicas.

use std::time::Duration;

use crate::environment::Random;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Counts the errors since the last success.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    failures: u32,
    random: Random,
}

impl Pause {
    /// The next pause: between half and all of a time that doubles with each error.
    pub fn next_pause(&mut self) -> Duration {
        let whole = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let [random] = self.random.bytes::<1>();
        whole.mul_f64(0.5 + f64::from(random) / 512.0)
    }

    /// Starts again with the shortest pause, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_again() {
        let mut pause = Pause::default();
        let first = pause.next_pause();
        assert!(first >= SHORTEST / 2 && first <= SHORTEST, "{first:?}");
        let later: Vec<Duration> = (0..100).map(|_| pause.next_pause()).collect();
        assert!(later[10..].iter().all(|pause| *pause >= LONGEST / 2 && *pause <= LONGEST), "{later:?}");
        pause.reset();
        assert!(pause.next_pause() <= SHORTEST);
    }
}
