//! The connections of both doors, with TLS or without.

mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use crate::domain::fingerprint::Fingerprint;

pub use tls::{Tls, TlsError, TlsFiles};

/// A handshake that takes longer is given up.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);
/// So many handshakes may be under way at once; further connections wait to be accepted.
const MOST_HANDSHAKES: usize = 1_024;
/// After an error of the listener itself, such as too many open files, others get time to end.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// A connection that a door serves.
pub struct Connection {
    stream: Transport,
    peer: Peer,
}

/// Who is at the other end: a caller or the proxy before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// The certificate that it has shown, verified when the connection began.
    pub certificate: Option<Fingerprint>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connections of one listener, each after its handshake.
pub struct Incoming {
    address: SocketAddr,
    connections: ReceiverStream<Connection>,
}

impl Incoming {
    /// Accepts from now on, until this is dropped.
    pub fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(accept(listener, tls, sender));
        Ok(Self { address, connections: ReceiverStream::new(receiver) })
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<Tls>>, sender: mpsc::Sender<Connection>) {
    let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            // The other end has gone already; the next one is waiting.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        // Answers are small: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = tls.as_deref().map(Tls::acceptor) else {
            let peer = Peer { address, certificate: None };
            if sender.send(Connection { stream: Transport::Plain(stream), peer }).await.is_err() {
                return;
            }
            continue;
        };
        let (sender, place) = (sender.clone(), handshakes.clone().acquire_owned().await);
        tokio::spawn(async move {
            match tokio::time::timeout(LONGEST_HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    drop(place);
                    let peer = Peer { address, certificate: certificate(&stream) };
                    let stream = Transport::Tls(Box::new(stream));
                    // An error means that the door has closed.
                    let _ = sender.send(Connection { stream, peer }).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, peer = %address, "a TLS handshake failed"),
                Err(_) => tracing::debug!(peer = %address, "a TLS handshake took too long"),
            }
        });
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

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.connections).poll_next(context).map(|connection| connection.map(Ok))
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match tokio_stream::StreamExt::next(&mut self.connections).await {
            Some(connection) => {
                let peer = connection.peer;
                (connection, peer)
            }
            // The accepting task ends only with this value, or with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { address: self.address, certificate: None })
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl axum::extract::connect_info::Connected<IncomingStream<'_, Incoming>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        *stream.remote_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
