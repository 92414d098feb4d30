//! How a server stops: it says so, still accepts for a moment, then accepts no more, and ends what is open.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long open calls have to end.
const LONGEST_DRAIN: Duration = Duration::from_secs(25);

/// The steps of a stop. Each is a token that is cancelled when the step begins.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// The server was told to stop: it answers that it is not ready, and still accepts.
    pub stopping: CancellationToken,
    /// No more connections are accepted; open calls end.
    pub draining: CancellationToken,
    /// Open calls are given up.
    pub overdue: CancellationToken,
    pause: Duration,
}

impl Shutdown {
    /// A stop that begins when the token is cancelled. Balancers have the pause to notice it.
    pub fn new(stopping: CancellationToken, pause: Duration) -> Self {
        Self { stopping, draining: CancellationToken::new(), overdue: CancellationToken::new(), pause }
    }

    /// Waits for the first step and goes through the others.
    pub async fn run(self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(self.pause).await;
        self.draining.cancel();
        tokio::time::sleep(LONGEST_DRAIN).await;
        self.overdue.cancel();
    }
}

/// A token that Ctrl-C and SIGTERM cancel.
pub fn at_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_steps_come_one_after_another() {
        let shutdown = Shutdown::new(CancellationToken::new(), Duration::from_secs(5));
        let running = tokio::spawn(shutdown.clone().run());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!shutdown.draining.is_cancelled(), "nothing was told to drain");

        let began = Instant::now();
        shutdown.stopping.cancel();
        shutdown.draining.cancelled().await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        shutdown.overdue.cancelled().await;
        assert_eq!(began.elapsed(), Duration::from_secs(30));
        running.await.unwrap();
    }
}
