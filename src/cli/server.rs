//! The running server: listeners, doors and workers, started and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_prometheus_text_exporter::PrometheusExporter;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::grpc::{self, Doors};
use crate::api::http::{self as http_door, Development, HttpDoor};
use crate::api::listener::{self, Door, Guard, Incoming, Leaving, Limits, Tls};
use crate::api::operation::SERVICES;
use crate::api::trusted_proxies::TrustedProxies;
use crate::app::App;
use crate::cli::shutdown::Shutdown;
use crate::delivery::{self, Way};
use crate::environment::Random;
use crate::kafka::relay::Relay;
use crate::proto::DESCRIPTORS;
use crate::store::Store;
use crate::telemetry::metrics;
use crate::triggers::bridge::Bridge;

/// How often idle counts in memory are forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// How long statements that still run may delay the end of the process.
const LAST_STATEMENTS: Duration = Duration::from_secs(1);
/// The only call that is answered while the limit of calls is reached: it ends at once.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Largest request for health or reflection, in bytes.
const LARGEST_QUESTION: usize = 16 * 1024;

/// Both listeners, bound before anything else starts, so that a port in use is noticed at once.
pub struct Listeners {
    /// The socket of the gRPC door.
    pub grpc: TcpListener,
    /// The socket of the HTTP door.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds both sockets; an error names the flag to change.
    pub async fn bind(grpc: SocketAddr, http: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { grpc: bind(grpc, "--grpc-addr").await?, http: bind(http, "--http-addr").await? })
    }

    /// The gRPC listener's address, with the real port if 0 was asked for.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// The HTTP listener's address, with the real port if 0 was asked for.
    pub fn http_addr(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another process: choose another address with {flag}")
        }
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("this user may not listen on {address}: choose another address with {flag}")
        }
        _ => anyhow::anyhow!("can't listen on {address} ({error}): choose another address with {flag}"),
    })
}

/// The parts of a server.
pub struct Services {
    /// The application that operations run on.
    pub app: Arc<App>,
    /// The metrics that `/metrics` shows.
    pub metrics: PrometheusExporter,
    /// How messages are delivered.
    pub delivery: Way,
    /// Proxies that we believe about the caller's address.
    pub proxies: TrustedProxies,
    /// Publishes events to Kafka; absent if no brokers are set.
    pub relay: Option<Relay>,
    /// Calls endpoints of this machine for triggers; only in development.
    pub bridge: Option<Bridge>,
    /// TLS of both listeners; absent if they have none.
    pub tls: Option<Arc<Tls>>,
    /// What callers may use of both listeners.
    pub limits: Limits,
    /// For how many months activity, such as sign-ins, is kept.
    pub activity_months: u32,
}

/// Serves until it is told to stop, then drains: the workers run until the last call has ended.
pub async fn serve(listeners: Listeners, services: Services, shutdown: Shutdown) -> anyhow::Result<()> {
    let proxies = Arc::new(services.proxies.clone());
    let [grpc, http] = Guard::pair(services.limits.clone(), proxies.clone());
    let http_address = listeners.http_addr()?;
    observe(&services.app, &grpc, &http);
    let grpc = Incoming::new(listeners.grpc, services.tls.clone(), grpc);
    let http = Incoming::new(listeners.http, services.tls.clone(), http);
    let doors = Doors { app: services.app.clone(), proxies };
    let relay = services.relay.as_ref().filter(|_| services.delivery.is_mailbox());
    let door = HttpDoor {
        doors: doors.clone(),
        metrics: services.metrics.clone(),
        development: relay.map(|relay| Development { address: http_address, kafka: relay.config() }),
        stopping: shutdown.stopping.clone(),
    };
    let (done, store) = (CancellationToken::new(), services.app.store.clone());
    let mut workers = start_workers(services, &done).await?;
    let steps = tokio::spawn(shutdown.clone().run());
    let served = tokio::select! {
        served = async { tokio::join!(serve_grpc(grpc, &doors, &shutdown), serve_http(http, door, &shutdown)).0 } => served,
        () = shutdown.overdue.cancelled() => {
            tracing::warn!("calls that did not end in time are given up");
            Ok(())
        }
    };
    steps.abort();
    done.cancel();
    while workers.join_next().await.is_some() {}
    // A call that was given up may still hold a connection.
    if tokio::time::timeout(LAST_STATEMENTS, store.close()).await.is_err() {
        tracing::warn!("connections are still in use: they end with the process");
    }
    served
}

/// Shows from now on what is in use.
fn observe(app: &App, grpc: &Arc<Guard>, http: &Arc<Guard>) {
    app.store.observe();
    app.hasher.observe();
    let (grpc, http) = (Arc::downgrade(grpc), Arc::downgrade(http));
    metrics::CONNECTIONS.by(move || {
        let doors = [("grpc", grpc.upgrade()), ("http", http.upgrade())];
        let open = doors.into_iter().filter_map(|(door, guard)| Some((guard?.open_connections() as f64, [door])));
        open.collect()
    });
}

async fn start_workers(services: Services, done: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let store = services.app.store.clone();
    store.make_partitions(services.app.clock.now()).await?;
    let mut workers = JoinSet::new();
    if let Some(relay) = &services.relay {
        relay.enter().await?;
        warn_of_hidden_writers(&store).await?;
    }
    workers.spawn(store.wake().clone().run(store.clone(), done.clone()));
    workers.spawn(store.clone().keep_partitions(services.activity_months, done.clone()));
    workers.spawn(store.clone().keep_sweeping(done.clone()));
    workers.spawn(store.clone().keep_purging(done.clone()));
    workers.spawn(store.clone().await_end_of_upgrade(done.clone()));
    workers.spawn(forget_idle(services.app.clone(), done.clone()));
    let holder = Random::default().uuid().to_string();
    workers.spawn(services.app.triggers.clone().run(store.clone(), holder, done.clone()));
    workers.spawn(delivery::worker::run(store, services.delivery, done.clone()));
    if let Some(relay) = services.relay {
        workers.spawn(relay.run(done.clone()));
    }
    if let Some(bridge) = services.bridge {
        workers.spawn(bridge.run(done.clone()));
    }
    if let Some(tls) = services.tls {
        workers.spawn(tls.keep_current(done.clone()));
    }
    Ok(workers)
}

/// Once a minute, forgets the counts of callers that have gone.
async fn forget_idle(app: Arc<App>, done: CancellationToken) {
    while tokio::time::timeout(FORGET, done.cancelled()).await.is_err() {
        app.limits.forget_idle();
    }
}

/// Without this grant, a transaction of another program that delays all events can be neither measured nor named.
async fn warn_of_hidden_writers(store: &Store) -> anyhow::Result<()> {
    if !store.sees_all_writers().await? {
        tracing::warn!(
            "the account of the database is no member of pg_read_all_stats: a transaction of another program that holds events up can't be seen"
        );
    }
    Ok(())
}

async fn serve_grpc(incoming: Incoming, doors: &Doors, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in SERVICES.iter().copied().chain([""]) {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // A health check contains only a name.
    let health_service = health_service.max_decoding_message_size(LARGEST_QUESTION);
    let routes = Routes::from(grpc::services(doors))
        .add_service(health_service.clone())
        .add_service(reflection().build_v1()?.max_decoding_message_size(LARGEST_QUESTION))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(LARGEST_QUESTION));
    // The health check answers even while the limit of calls is reached. A watch holds a call open, so it needs a place.
    let crowded = Routes::from(grpc::crowded(doors).route_service(HEALTH_CHECK, health_service));
    let for_pages =
        |routes: Routes| routes.into_axum_router().layer(tonic_web::GrpcWebLayer::new()).layer(http_door::cors());
    let door = Door { router: for_pages(routes), crowded: for_pages(crowded) };
    let says_so = async {
        shutdown.stopping.cancelled().await;
        for service in SERVICES.iter().copied().chain([""]) {
            health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
    };
    tokio::join!(listener::serve(incoming, door, leaving(shutdown)), says_so);
    Ok(())
}

fn leaving(shutdown: &Shutdown) -> Leaving {
    Leaving { stopping: shutdown.stopping.clone(), draining: shutdown.draining.clone() }
}

async fn serve_http(incoming: Incoming, door: HttpDoor, shutdown: &Shutdown) {
    listener::serve(incoming, http_door::door(door), leaving(shutdown)).await;
}
