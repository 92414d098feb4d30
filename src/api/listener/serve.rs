//! Serves HTTP/1.1 and HTTP/2 over each connection, within its limits, until the server drains.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::{Frame, Incoming as Arriving, SizeHint};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::api::listener::accept::Incoming;
use crate::api::listener::connection::{Connection, OpenCall, Peer, Seen, Usage};
use crate::api::listener::limits::{Guard, Limits, Room};
use crate::limits::shares::Taken;
use crate::telemetry::metrics;

/// Most bytes of one body that a caller may send before the server has asked for more.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all bodies of a connection together: only this much can be in memory before it is counted.
const CONNECTION_WINDOW: u32 = 128 * 1024;
/// Largest headers of one request over HTTP/2, in bytes.
const LARGEST_HEADERS: u32 = 16 * 1024;
/// Largest headers of one request over HTTP/1.1 with what is read ahead of its body, in bytes.
const LARGEST_BUFFER: usize = 64 * 1024;
/// Most bytes of one answer that are buffered for a slow caller of HTTP/2.
const SEND_BUFFER: usize = 64 * 1024;
/// A connection ends when its caller has reset this many streams before the server has looked at them.
const MOST_RESET: usize = 20;
/// How long a caller may take to answer a ping.
const LONGEST_PONG: Duration = Duration::from_secs(20);
/// Services whose answers go on for as long as the caller likes.
const STREAMING: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// The routers of one listener.
#[derive(Clone)]
pub struct Door {
    /// Answers calls while there is room.
    pub router: Router,
    /// Refuses calls while the limit of calls is reached.
    pub crowded: Router,
}

/// The steps of a stop that the connections of a listener take part in.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Answers over HTTP/1.1 close their connections, so that callers make the next call elsewhere, and none of them sends
    /// one at the moment when the server ends an idle connection.
    pub stopping: CancellationToken,
    /// No more connections are accepted; open calls end.
    pub draining: CancellationToken,
}

/// Serves every connection until the server drains, and then the open connections until they have ended.
pub async fn serve(mut incoming: Incoming, door: Door, leaving: Leaving) {
    let builder = Arc::new(builder(&incoming.guard().limits));
    let guard = incoming.guard().clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = leaving.draining.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            connection = incoming.next() => match connection {
                Some(connection) => {
                    let served = converse(connection, builder.clone(), door.clone(), guard.clone(), leaving.clone());
                    connections.spawn(served);
                }
                // The accepting task ends only with the runtime.
                None => break,
            }
        }
    }
    // No more connections are accepted.
    incoming.close().await;
    while connections.join_next().await.is_some() {}
}

fn builder(limits: &Limits) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams { longest_answer: limits.longest_answer });
    builder
        .http1()
        .timer(TokioTimer::new())
        // This timeout runs between requests as well. `converse` bounds the time of the first one.
        .header_read_timeout(limits.longest_idle)
        .max_buf_size(LARGEST_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(LONGEST_PONG)
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(LARGEST_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MOST_RESET);
    builder
}

/// One connection, from its first byte to its last.
async fn converse(
    connection: Connection,
    builder: Arc<auto::Builder<Streams>>,
    door: Door,
    guard: Arc<Guard>,
    Leaving { stopping, draining }: Leaving,
) {
    let (peer, usage) = (connection.peer(), connection.usage().clone());
    let (first, idle) = (guard.limits.longest_headers, guard.limits.longest_idle);
    let room = guard.room(peer.address.ip());
    let line = Arc::new(Line { door, guard, room, peer, usage: usage.clone(), stopping });
    let service = service_fn(move |request| line.clone().answer(request));
    let mut served = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let mut draining = pin!(draining.cancelled());
    let mut look = pin!(sleep(first));
    let (mut calls, mut looked, mut leaving) = (0, false, false);
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(error, peer = %peer.address, "a connection ended with an error");
                }
                return;
            }
            () = &mut draining, if !leaving => {
                leaving = true;
                served.as_mut().graceful_shutdown();
                look.as_mut().reset(Instant::now() + first);
            }
            () = &mut look => {
                let seen = usage.look(&mut calls);
                // When the server is leaving, idle connections are not waited for; silent ones never are.
                if seen == Seen::Silent || (leaving && seen == Seen::Idle) {
                    return;
                }
                if looked && seen == Seen::Idle {
                    leaving = true;
                    served.as_mut().graceful_shutdown();
                }
                looked = true;
                let next = if leaving { first } else { idle };
                look.as_mut().reset(Instant::now() + next);
            }
        }
    }
}

/// State that the calls of one connection share.
struct Line {
    door: Door,
    guard: Arc<Guard>,
    room: Room,
    peer: Peer,
    usage: Arc<Usage>,
    stopping: CancellationToken,
}

impl Line {
    async fn answer(self: Arc<Self>, request: Request<Arriving>) -> Result<Response<Answer>, Infallible> {
        let open = self.usage.begin();
        let mut request = request.map(Body::new);
        let other = self.guard.room_behind_proxy(self.peer.address.ip(), request.headers());
        let room = other.as_ref().unwrap_or(&self.room);
        let place = room.calls.take(1);
        let has_streams = request.version() == Version::HTTP_2;
        let streaming = STREAMING.iter().any(|path| request.uri().path().starts_with(path));
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(room.allowance.clone());
        let mut router = match &place {
            Some(_) => self.door.router.clone(),
            None => {
                metrics::CALLS_REFUSED.add(1, []);
                self.door.crowded.clone()
            }
        };
        let mut response = router.call(request).await?;
        if !has_streams && self.stopping.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !streaming {
            // HTTP/1.1 has no streams: there the connection itself notices a caller that does not read.
            let _ = ANSWERED.try_with(|answered| answered.set(true));
        }
        Ok(response.map(|body| Answer { body, _open: open, _place: place }))
    }
}

/// The body of an answer. The call ends when it is dropped.
struct Answer {
    body: Body,
    _open: OpenCall,
    _place: Option<Taken>,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

tokio::task_local! {
    /// Whether the call of this stream has been answered, so that only its caller is waited for.
    static ANSWERED: Cell<bool>;
}

/// Runs the streams of HTTP/2, each until its caller has had time to read the answer.
#[derive(Clone)]
struct Streams {
    longest_answer: Duration,
}

impl<Stream: Future<Output = ()> + Send + 'static> Executor<Stream> for Streams {
    fn execute(&self, stream: Stream) {
        tokio::spawn(ANSWERED.scope(Cell::new(false), taken_in_time(stream, self.longest_answer)));
    }
}

async fn taken_in_time(stream: impl Future<Output = ()>, longest: Duration) {
    let mut stream = pin!(stream);
    let mut end = None;
    std::future::poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if end.is_none() && ANSWERED.with(Cell::get) {
            end = Some(Box::pin(sleep(longest)));
        }
        end.as_mut().map_or(Poll::Pending, |end| end.as_mut().poll(context))
    })
    .await;
}
