//! One guess per name and network at a time in this process: others wait, so that a burst of guesses is counted without
//! collisions. The counting itself is the database's task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::domain::error::Error;

/// How long a guess waits for others at the same name.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

type Gate = AsyncMutex<()>;

/// A guess under way: the next one at the same name begins when it is dropped.
pub type OneGuess = OwnedMutexGuard<()>;

/// The gates of the names at which guesses are under way.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<HashMap<Vec<u8>, Weak<Gate>>>);

impl Guesses {
    /// Waits for other guesses under this key, but not longer than the caller would; the guess lasts until the guard is
    /// dropped.
    pub async fn begin(&self, whose: &[u8], patience: Option<Duration>) -> Result<OneGuess, Error> {
        let longest = patience.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let guess = tokio::time::timeout(longest, self.gate(whose).lock_owned()).await;
        guess.map_err(|_| Error::too_many_requests())
    }

    fn gate(&self, whose: &[u8]) -> Arc<Gate> {
        // A panic while the lock is held leaves the map as it was before or after an insertion: both are sound.
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(whose).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate::default());
        gates.insert(whose.to_vec(), Arc::downgrade(&gate));
        gate
    }
}
