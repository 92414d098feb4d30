//! What a cluster does between clients and replicas: it passes each new connection on to a replica that says it is ready,
//! and leaves open ones where they are.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::http::send_if_there;
use super::serve::Serve;

/// How often each replica is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(200);

/// A replica as the balancer knows it.
struct Replica {
    name: String,
    grpc: SocketAddr,
    http: SocketAddr,
    ready: AtomicBool,
    /// It was told to stop, so that it may say that it is not ready.
    leaving: AtomicBool,
}

/// A server behind the balancer.
pub struct Member {
    pub serve: Serve,
    replica: Arc<Replica>,
    watch: JoinHandle<()>,
}

/// Both addresses that clients use, and the replicas behind them.
#[derive(Clone)]
pub struct Balancer {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    replicas: Arc<Mutex<Vec<Arc<Replica>>>>,
    next: Arc<AtomicUsize>,
    /// What a replica answered instead of being ready, though nobody had told it to stop.
    unready: Arc<Mutex<Vec<String>>>,
}

impl Balancer {
    /// Listens at two free ports, with no replica so far.
    pub async fn start() -> Self {
        let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (grpc, http) = (bind().await, bind().await);
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let balancer = Self {
            grpc: address(&grpc),
            http: address(&http),
            replicas: Arc::default(),
            next: Arc::default(),
            unready: Arc::default(),
        };
        tokio::spawn(balancer.clone().accept(grpc, |replica| replica.grpc));
        tokio::spawn(balancer.clone().accept(http, |replica| replica.http));
        balancer
    }

    /// Takes a server in; it gets connections as long as it is ready.
    pub fn add(&self, name: &str, serve: Serve) -> Member {
        let replica = Arc::new(Replica {
            name: name.to_owned(),
            grpc: serve.grpc,
            http: serve.http,
            ready: AtomicBool::new(true),
            leaving: AtomicBool::new(false),
        });
        self.replicas().push(replica.clone());
        let watch = tokio::spawn(self.clone().watch(replica.clone()));
        Member { serve, replica, watch }
    }

    /// What replicas answered instead of being ready before they were told to stop.
    pub fn unready(&self) -> Vec<String> {
        self.unready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets a server go that has ended.
    pub fn remove(&self, member: Member) {
        member.watch.abort();
        self.replicas().retain(|replica| !Arc::ptr_eq(replica, &member.replica));
    }

    fn replicas(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Replica>>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self, replica: Arc<Replica>) {
        loop {
            let answer = send_if_there(replica.http, "GET", "/readyz", &[], b"").await;
            let ready = answer.as_ref().is_some_and(|answer| answer.status == 200);
            replica.ready.store(ready, Ordering::SeqCst);
            if !ready && !replica.leaving.load(Ordering::SeqCst) {
                let said = answer.map_or("nothing".to_owned(), |answer| answer.text());
                self.unready.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}: {said}", replica.name));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn accept(self, listener: TcpListener, address: fn(&Replica) -> SocketAddr) {
        while let Ok((mut client, _)) = listener.accept().await {
            let Some(to) = self.pick().map(|replica| address(&replica)) else { continue };
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(to).await {
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    // Either side may end it as it likes.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    }

    /// The next ready replica; they take turns.
    fn pick(&self) -> Option<Arc<Replica>> {
        let ready: Vec<_> =
            self.replicas().iter().filter(|replica| replica.ready.load(Ordering::SeqCst)).cloned().collect();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        ready.get(number.checked_rem(ready.len())?).cloned()
    }
}

impl Member {
    /// From now on the server may say that it is not ready.
    pub fn is_told_to_stop(&self) {
        self.replica.leaving.store(true, Ordering::SeqCst);
    }
}
