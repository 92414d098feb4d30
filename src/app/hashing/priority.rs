//! The priority of the threads that hash: below that of the threads that answer calls.
//!
//! A hash takes some ten milliseconds of a processor, most other calls less than one. Where both want the same processor,
//! the short ones go first; where nothing else is to be done, hashing has all of it.

/// Steps of niceness: a thread gets about a third of the time of one with none, where they compete.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;
/// The lowest priority that there is.
#[cfg(target_os = "linux")]
const LOWEST: i32 = 19;

/// Lowers the priority of the present thread, for good: only a privileged process may raise it again.
#[cfg(target_os = "linux")]
pub fn give_way() {
    use std::cell::Cell;

    thread_local! {
        static IS_LOWERED: Cell<bool> = const { Cell::new(false) };
    }
    if IS_LOWERED.replace(true) {
        return;
    }
    // A thread of Linux has an id and a priority of its own.
    let thread = Some(rustix::thread::gettid());
    // The whole server may have been started with a lower priority, and must not get a higher one here.
    let lowered = rustix::process::getpriority_process(thread)
        .and_then(|before| rustix::process::setpriority_process(thread, (before + NICENESS).min(LOWEST)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "the priority of a thread that hashes can't be lowered");
    }
}

/// Elsewhere threads have no priority of their own that everybody may lower.
#[cfg(not(target_os = "linux"))]
pub fn give_way() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_hashes_gets_a_lower_priority() {
        let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = priority();
        let lowered = std::thread::spawn(move || {
            give_way();
            give_way();
            priority()
        });
        assert_eq!(lowered.join().unwrap(), (before + NICENESS).min(LOWEST));
        assert_eq!(priority(), before);
    }
}
