//! A proxy in front of Postgres that breaks connections: one at a chosen statement, or all at once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// The type of the frontend message Execute, which runs a statement.
const EXECUTE: u8 = b'E';
const QUERY: u8 = b'Q';
/// The type of Sync, which ends a sequence of Parse, Bind and Execute.
const SYNC: u8 = b'S';
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// What a test has ordered the proxy to do.
#[derive(Default)]
struct Plan {
    /// How many statements are left until the connection is cut; 0 for no cut.
    left: AtomicUsize,
    /// If set, the proxy hangs up on the next COMMIT, and passes it on when this is released.
    held: Mutex<Option<oneshot::Receiver<()>>>,
    /// Whether new connections are refused after the next cut.
    closes: AtomicBool,
    /// Whether new connections are refused now.
    closed: AtomicBool,
    /// Changes whenever all connections are cut.
    cuts: watch::Sender<()>,
}

/// A running proxy. It passes everything on until it is told otherwise.
pub struct Proxy {
    pub address: SocketAddr,
    plan: Arc<Plan>,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, plan) = (listener.local_addr().expect("an address"), Arc::new(Plan::default()));
        let plan_of_all = plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if plan_of_all.closed.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(target).await.expect("Postgres listens");
                // A statement comes in parts, and none of them waits for the acknowledgement of the one before.
                for side in [&client, &server] {
                    side.set_nodelay(true).expect("a connection");
                }
                let passing = Passing { frames: Frames::default(), plan: plan_of_all.clone() };
                tokio::spawn(passing.run(client, server));
            }
        });
        Self { address, plan }
    }

    /// Cuts the connection that sends the n-th statement from now on, after Postgres has answered it.
    pub fn cut_after(&self, statement: usize) {
        self.plan.left.store(statement, Ordering::SeqCst);
    }

    /// Whether a connection was cut since then. Cancels the order otherwise.
    pub fn has_cut(&self) -> bool {
        self.plan.left.swap(0, Ordering::SeqCst) == 0
    }

    /// Refuses new connections from the next cut on, until [`Self::open`].
    pub fn close_with_cut(&self) {
        self.plan.closes.store(true, Ordering::SeqCst);
    }

    /// Whether new connections are refused.
    pub fn is_closed(&self) -> bool {
        self.plan.closed.load(Ordering::SeqCst)
    }

    /// Ends the refusal of new connections.
    pub fn open(&self) {
        self.plan.closes.store(false, Ordering::SeqCst);
        self.plan.closed.store(false, Ordering::SeqCst);
    }

    /// Cuts all connections at once, in any state.
    pub fn cut_all(&self) {
        self.plan.cuts.send_replace(());
    }

    /// Hangs up on the next client that sends COMMIT, and passes the COMMIT on only when the returned sender is used.
    pub fn hold_commit(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        *self.plan.held.lock().expect("nobody panics with it") = Some(held);
        release
    }
}

impl Plan {
    /// Counts a statement. Returns whether it is the last one of its connection.
    fn counts_out(&self) -> bool {
        let counted = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        counted == Ok(1)
    }

    /// Applies the orders for a cut.
    fn cuts_one(&self) {
        if self.closes.load(Ordering::SeqCst) {
            self.closed.store(true, Ordering::SeqCst);
        }
    }
}

struct Passing {
    frames: Frames,
    plan: Arc<Plan>,
}

impl Passing {
    async fn run(mut self, mut client: TcpStream, mut server: TcpStream) {
        let (mut from_client, mut from_server) = ([0; 16_384], [0; 16_384]);
        let mut cuts = self.plan.cuts.subscribe();
        loop {
            tokio::select! {
                _ = cuts.changed() => return,
                read = client.read(&mut from_client) => {
                    let length = read.unwrap_or(0);
                    match self.pass_on(&from_client[..length], &mut server).await {
                        Next::GoesOn if length > 0 => {}
                        Next::GoesOn | Next::Ends => return,
                        Next::Holds { commit, released } => {
                            drop(client);
                            let _ = released.await;
                            server.write_all(&commit).await.expect("Postgres is there");
                            return wait_until_ready(&mut server).await;
                        }
                    }
                }
                read = server.read(&mut from_server) => {
                    let length = read.unwrap_or(0);
                    if length == 0 || client.write_all(&from_server[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Passes on what a client sent.
    async fn pass_on(&mut self, bytes: &[u8], server: &mut TcpStream) -> Next {
        self.frames.buffer.extend_from_slice(bytes);
        let mut last = false;
        while let Some(frame) = self.frames.next() {
            let kind = frame.first().copied();
            if kind == Some(QUERY) && frame.windows(6).any(|window| window.eq_ignore_ascii_case(b"commit")) {
                let held = self.plan.held.lock().expect("nobody panics with it").take();
                if let Some(released) = held {
                    self.plan.cuts_one();
                    return Next::Holds { commit: frame, released };
                }
            }
            if server.write_all(&frame).await.is_err() {
                return Next::Ends;
            }
            last |= matches!(kind, Some(QUERY | EXECUTE)) && self.plan.counts_out();
            if last && matches!(kind, Some(QUERY | SYNC)) {
                wait_until_ready(server).await;
                self.plan.cuts_one();
                return Next::Ends;
            }
        }
        Next::GoesOn
    }
}

/// How a connection goes on.
enum Next {
    GoesOn,
    Ends,
    /// The client is disconnected and its COMMIT is under way, as in a slow network.
    Holds {
        commit: Vec<u8>,
        released: oneshot::Receiver<()>,
    },
}

/// Reads answers until Postgres waits for the next statement.
async fn wait_until_ready(server: &mut TcpStream) {
    const READY: [u8; 5] = [b'Z', 0, 0, 0, 5];
    let (mut answer, mut read) = (Vec::new(), [0; 16_384]);
    while !(answer.len() >= 6 && answer[answer.len() - 6..].starts_with(&READY)) {
        let length = server.read(&mut read).await.expect("Postgres answers");
        assert!(length > 0, "Postgres answers");
        answer.extend_from_slice(&read[..length]);
    }
}

/// Bytes that were received and not passed on yet, split into the protocol's messages.
#[derive(Default)]
struct Frames {
    buffer: Vec<u8>,
    /// Whether the startup message is over: only later messages begin with their type.
    started: bool,
}

impl Frames {
    fn next(&mut self) -> Option<Vec<u8>> {
        let start = usize::from(self.started);
        let length = u32::from_be_bytes(self.buffer.get(start..start + 4)?.try_into().ok()?) as usize;
        if self.buffer.len() < start + length {
            return None;
        }
        let rest = self.buffer.split_off(start + length);
        let frame = std::mem::replace(&mut self.buffer, rest);
        self.started = self.started || frame.get(4..8) != Some(&SSL_REQUEST);
        Some(frame)
    }
}
