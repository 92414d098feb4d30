//! A connection that a door serves: its bytes, and what they tell about its use.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use crate::api::listener::limits::Limits;
use crate::domain::fingerprint::Fingerprint;
use crate::limits::shares::Taken;

/// The first bytes of a caller that uses HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that a door serves.
pub struct Connection {
    stream: Transport,
    peer: Peer,
    usage: Arc<Usage>,
    /// How many bytes of the preface have arrived; none after any other byte.
    preface: Option<usize>,
    longest_stall: Duration,
    /// Runs while the caller does not read its answer.
    stall: Option<Pin<Box<Sleep>>>,
    _place: Taken,
}

/// The other end of a connection: a caller, or the proxy in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port as the connection shows them.
    pub address: SocketAddr,
    /// The client certificate, verified in the handshake; absent without TLS or without a certificate.
    pub certificate: Option<Fingerprint>,
}

/// The stream that carries the bytes.
pub enum Transport {
    /// The network connection itself.
    Plain(TcpStream),
    /// TLS over the network connection.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How a connection is used.
#[derive(Debug, Default)]
pub struct Usage {
    /// HTTP/2 has begun: the caller may keep the connection for later calls.
    kept: AtomicBool,
    /// Number of calls that have begun.
    calls: AtomicU64,
    /// Number of calls that have not ended.
    open: AtomicUsize,
}

/// A call that has not ended.
#[derive(Debug)]
pub struct OpenCall(Arc<Usage>);

/// How a connection was used since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No whole request or preface has arrived so far.
    Silent,
    /// No call since the last look.
    Idle,
    /// At least one call since the last look, or one that has not ended.
    Used,
}

impl Usage {
    /// Counts a call until the value is dropped.
    pub fn begin(self: &Arc<Self>) -> OpenCall {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenCall(self.clone())
    }

    /// The use since the last look, at which there had been `calls_before` calls.
    pub fn look(&self, calls_before: &mut u64) -> Seen {
        let calls = self.calls.load(Ordering::Relaxed);
        let before = std::mem::replace(calls_before, calls);
        if calls == 0 && !self.kept.load(Ordering::Relaxed) {
            Seen::Silent
        } else if calls == before && self.open.load(Ordering::Relaxed) == 0 {
            Seen::Idle
        } else {
            Seen::Used
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// A connection that has just begun.
    pub fn new(stream: Transport, peer: Peer, place: Taken, limits: &Limits) -> Self {
        let longest_stall = limits.longest_answer;
        Self { stream, peer, usage: Arc::default(), preface: Some(0), longest_stall, stall: None, _place: place }
    }

    /// The other end of the connection.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The use of the connection, counted as it goes on.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Compares the first bytes with the preface of HTTP/2.
    fn note(&mut self, bytes: &[u8]) {
        let Some(already) = self.preface else { return };
        let end = PREFACE.len().min(already + bytes.len());
        self.preface = PREFACE.get(already..end).filter(|expected| bytes.starts_with(expected)).map(|_| end);
        if self.preface == Some(PREFACE.len()) {
            self.preface = None;
            self.usage.kept.store(true, Ordering::Relaxed);
        }
    }

    /// Gives up waiting for a caller that does not read.
    fn bounded<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stall = None;
            return poll;
        }
        let longest = self.longest_stall;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        match stall.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let poll = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if this.preface.is_some() {
            this.note(&buffer.filled()[before..]);
        }
        poll
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        this.bounded(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        this.bounded(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        this.bounded(context, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = match &mut this.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        this.bounded(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::limits::shares::Shares;

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let place = Shares::new(1, 1).of_many().take(1).unwrap();
        let limits = Limits { longest_answer: Duration::from_millis(50), ..Limits::default() };
        let peer = Peer { address, certificate: None };
        (Connection::new(Transport::Plain(stream), peer, place, &limits), caller)
    }

    #[tokio::test]
    async fn a_connection_is_kept_after_the_whole_preface_in_any_pieces() {
        for (pieces, kept) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], true),
            (&["PRI * HTTP/2", ".0\r\n\r\nSM\r\n\r\nmore"], true),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r"], false),
            (&["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], false),
        ] {
            let (mut connection, mut caller) = pair().await;
            for piece in pieces {
                caller.write_all(piece.as_bytes()).await.unwrap();
                let mut read = vec![0; piece.len()];
                connection.read_exact(&mut read).await.unwrap();
            }
            let expected = if kept { Seen::Idle } else { Seen::Silent };
            assert_eq!(connection.usage().look(&mut 0), expected, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn an_unread_answer_is_given_up() {
        let (mut connection, _caller) = pair().await;
        let answer = vec![0; 64 * 1024 * 1024];
        let error = connection.write_all(&answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_connection_is_idle_between_calls_only() {
        let usage = Arc::new(Usage::default());
        let mut calls = 0;
        assert_eq!(usage.look(&mut calls), Seen::Silent);
        let call = usage.begin();
        assert_eq!(usage.look(&mut calls), Seen::Used);
        assert_eq!(usage.look(&mut calls), Seen::Used);
        drop(call);
        assert_eq!(usage.look(&mut calls), Seen::Idle);
        drop(usage.begin());
        assert_eq!(usage.look(&mut calls), Seen::Used);
        assert_eq!(usage.look(&mut calls), Seen::Idle);
    }
}
