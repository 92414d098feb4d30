//! The arithmetic of measuring.

use std::time::Duration;

/// The value below or at which so many of a hundred values lie (nearest rank). The values are sorted.
pub fn percentile(sorted: &[Duration], of_hundred: f64) -> Option<Duration> {
    // The rank is between zero and the number of values, which fits.
    let rank = (of_hundred / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// How many calls a second.
pub fn throughput(calls: usize, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { calls as f64 / elapsed.as_secs_f64() }
}

/// A quotient, and zero where nothing can be divided by.
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
