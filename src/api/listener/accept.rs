//! Accepts connections, and runs their TLS handshakes. Nothing here waits for a caller.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::api::listener::connection::{Connection, Peer, Transport};
use crate::api::listener::handshakes::{Handshake, Handshakes};
use crate::api::listener::limits::Guard;
use crate::api::listener::tls::Tls;
use crate::domain::fingerprint::Fingerprint;
use crate::limits::shares::Taken;
use crate::telemetry::metrics;

/// After an error of the listener itself, such as too many open files, accepting pauses so that other connections can end.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The connections of one listener, each after its handshake.
pub struct Incoming {
    connections: mpsc::Receiver<Connection>,
    guard: Arc<Guard>,
    accepting: JoinHandle<()>,
}

impl Incoming {
    /// Accepts until this is dropped.
    pub fn new(listener: TcpListener, tls: Option<Arc<Tls>>, guard: Arc<Guard>) -> Self {
        // The channel has a slot for each connection that the listener allows, so there is room for all.
        let (sender, connections) = mpsc::channel(guard.limits.connections.max(1));
        let limits = &guard.limits;
        let handshakes = Handshakes::new(limits.handshakes, limits.share_of(limits.handshakes));
        let door = Entrance { tls, guard: guard.clone(), handshakes, sender };
        let accepting = tokio::spawn(door.accept(listener));
        Self { connections, guard, accepting }
    }

    /// The next connection; none once the listener has ended.
    pub async fn next(&mut self) -> Option<Connection> {
        self.connections.recv().await
    }

    /// Ends accepting. Once this returns, the listener is closed, and another one gets the next connection.
    pub async fn close(self) {
        drop(self.connections);
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "accepting connections failed");
        }
    }

    /// The limits, and what callers use of them.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }
}

/// State of the accepting task.
struct Entrance {
    tls: Option<Arc<Tls>>,
    guard: Arc<Guard>,
    handshakes: Arc<Handshakes>,
    sender: mpsc::Sender<Connection>,
}

impl Entrance {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.sender.closed() => return,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                // The other end has gone already; accept the next connection.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    /// Passes a connection on to the door, or closes it.
    fn admit(&self, stream: TcpStream, address: SocketAddr) {
        let Some(place) = self.guard.connections(address.ip()).take(1) else {
            metrics::CONNECTIONS_REFUSED.add(1, []);
            tracing::debug!(peer = %address, "a connection was closed: there are too many");
            return;
        };
        // Answers are small: waiting for full packets would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = self.tls.as_deref().map(Tls::acceptor) else {
            let peer = Peer { address, certificate: None };
            pass_on(&self.sender, Connection::new(Transport::Plain(stream), peer, place, &self.guard.limits));
            return;
        };
        let handshake = self.handshakes.begin(self.guard.network(address.ip()));
        let (sender, guard) = (self.sender.clone(), self.guard.clone());
        tokio::spawn(async move {
            if let Some(connection) = shake_hands(acceptor, stream, address, handshake, place, &guard).await {
                pass_on(&sender, connection);
            }
        });
    }
}

/// Fails only if the door has closed.
fn pass_on(sender: &mpsc::Sender<Connection>, connection: Connection) {
    let _ = sender.try_send(connection);
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    mut handshake: Handshake,
    place: Taken,
    guard: &Guard,
) -> Option<Connection> {
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(guard.limits.longest_handshake, acceptor.accept(stream)) => accepted,
        () = handshake.given_up() => {
            metrics::HANDSHAKES_GIVEN_UP.add(1, []);
            tracing::debug!(peer = %address, "a TLS handshake was given up: there are too many");
            return None;
        }
    };
    match accepted {
        Ok(Ok(stream)) => {
            let peer = Peer { address, certificate: certificate(&stream) };
            Some(Connection::new(Transport::Tls(Box::new(stream)), peer, place, &guard.limits))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, peer = %address, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(peer = %address, "a TLS handshake took too long");
            None
        }
    }
}

fn certificate(stream: &TlsStream<TcpStream>) -> Option<Fingerprint> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| Fingerprint::of(certificate))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
