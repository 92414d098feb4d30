//! One guess per name at a time in this process: others wait, so that a burst of guesses can't outrun the count of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Gate = AsyncMutex<()>;

/// The gates of the names at which somebody guesses right now.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<HashMap<Vec<u8>, Weak<Gate>>>);

impl Guesses {
    /// Waits until nobody else guesses at the name; the guess lasts until the guard is dropped.
    pub async fn begin(&self, name_hash: &[u8]) -> OwnedMutexGuard<()> {
        self.gate(name_hash).lock_owned().await
    }

    fn gate(&self, name_hash: &[u8]) -> Arc<Gate> {
        // A panic while the lock is held leaves the map as it was before or after an insertion: both are sound.
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(name_hash).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate::default());
        gates.insert(name_hash.to_vec(), Arc::downgrade(&gate));
        gate
    }
}
