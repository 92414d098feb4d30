//! The arithmetic of measuring.

use std::time::Duration;

/// The percentile of sorted values, by nearest rank: this percentage of the values lies at or below it.
pub fn percentile(sorted: &[Duration], of_hundred: f64) -> Option<Duration> {
    // The rank is between zero and the number of values, so the cast is safe.
    let rank = (of_hundred / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Calls per second; zero where no time has passed.
pub fn throughput(calls: usize, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { calls as f64 / elapsed.as_secs_f64() }
}

/// A quotient; zero where the divisor is zero.
pub fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor == 0.0 { 0.0 } else { dividend / divisor }
}

/// The lowest and the highest of some values.
pub fn spread(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |spread, value| match spread {
        None => Some((value, value)),
        Some((lowest, highest)) => Some((value.min(lowest), value.max(highest))),
    })
}
