//! What `serve` answers while it waits for its database: that the process lives, and that it takes no calls yet.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::http as http_door;
use crate::api::listener::{self, Guard, Incoming, Leaving};
use crate::cli::config::ServerConfig;

/// How long the last of these answers may delay the start.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs a future, and until it ends answers for the server's health on the listener of HTTP.
pub async fn answering<T>(
    http: &TcpListener,
    config: &ServerConfig,
    future: impl Future<Output = T>,
) -> anyhow::Result<T> {
    // Another handle to the same socket: connections that nobody has accepted stay in its queue for the server.
    let socket = http.as_fd().try_clone_to_owned().context("the listener of HTTP can't be shared")?;
    let listener = TcpListener::from_std(socket.into()).context("the listener of HTTP can't be shared")?;
    let [guard, _] = Guard::pair(config.limits.clone(), Arc::new(config.proxies.clone()));
    let incoming = Incoming::new(listener, config.tls.clone(), guard);
    let ended = CancellationToken::new();
    let leaving = Leaving { stopping: CancellationToken::new(), draining: ended.clone() };
    // Each answer ends its connection: the next question is for the server.
    leaving.stopping.cancel();
    let mut answers = tokio::spawn(listener::serve(incoming, http_door::waiting(), leaving));
    let output = future.await;
    ended.cancel();
    // From here on only the server accepts. A caller who is slow does not hold it up.
    match tokio::time::timeout(LAST_ANSWERS, &mut answers).await {
        Ok(joined) => joined.context("the answers for health failed")?,
        Err(_) => answers.abort(),
    }
    Ok(output)
}
