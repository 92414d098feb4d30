//! Bounds how many calls of one function are under way, so that a slow responder slows no other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A function of a pool.
type Function = (String, String);

/// The calls that are under way, by function.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Arc<Mutex<HashMap<Function, usize>>>,
}

/// The place of one call, which it gives back when it ends.
#[derive(Debug)]
pub struct Place {
    function: Function,
    taken: Arc<Mutex<HashMap<Function, usize>>>,
}

impl Places {
    /// At most this many calls of each function.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place for a call of a function of a pool, if there is one.
    pub fn take(&self, user_pool_id: &str, function: &str) -> Option<Place> {
        let function = (user_pool_id.to_owned(), function.to_owned());
        let mut taken = lock(&self.taken);
        let count = taken.entry(function.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { function, taken: self.taken.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = lock(&self.taken).entry(std::mem::take(&mut self.function)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<Function, usize>>) -> MutexGuard<'_, HashMap<Function, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_of_each_pool_has_places_of_its_own() {
        let places = Places::new(2);
        let (first, second) = (places.take("one", "f"), places.take("one", "f"));
        assert!(first.is_some() && second.is_some());
        assert!(places.take("one", "f").is_none());
        assert!(places.take("one", "g").is_some() && places.take("two", "f").is_some());
        drop(first);
        assert!(places.take("one", "f").is_some());
        drop(second);
        assert!(lock(&places.taken).is_empty());
    }
}
