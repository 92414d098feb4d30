//! The running server: listeners, doors and workers, started and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::api::authenticate::TrustedProxies;
use crate::api::grpc::{self, Doors};
use crate::api::http::{self as http_door, HttpDoor};
use crate::api::operation::SERVICES;
use crate::app::App;
use crate::delivery::{self, Way};
use crate::proto::DESCRIPTORS;
use crate::store::activity::DEFAULT_RETENTION_MONTHS;

/// Both listeners, bound before anything else starts: a port in use is found at once.
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For HTTP.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds both. Without TLS only the loopback is safe, unless a proxy or mesh in front terminates TLS.
    pub async fn bind(grpc: SocketAddr, http: SocketAddr, tls_terminated_elsewhere: bool) -> anyhow::Result<Self> {
        let exposed = [grpc, http].into_iter().find(|address| !address.ip().is_loopback());
        if let Some(address) = exposed.filter(|_| !tls_terminated_elsewhere) {
            anyhow::bail!(
                "{address} can be reached from elsewhere and has no TLS: listen on 127.0.0.1, or say --tls-terminated-elsewhere if a proxy in front has it"
            );
        }
        Ok(Self { grpc: bind(grpc, "--grpc-addr").await?, http: bind(http, "--http-addr").await? })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where HTTP listens.
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

/// What a server consists of.
pub struct Services {
    /// What operations stand on.
    pub app: Arc<App>,
    /// Where metrics are collected.
    pub metrics: PrometheusHandle,
    /// By which way messages leave.
    pub delivery: Way,
    /// Proxies whose word about the caller's address counts.
    pub proxies: TrustedProxies,
}

/// Serves until it is told to stop, then drains.
pub async fn serve(listeners: Listeners, services: Services, stop: CancellationToken) -> anyhow::Result<()> {
    let Services { app, metrics, delivery, proxies } = services;
    let store = app.store.clone();
    store.make_partitions(app.clock.now()).await?;
    let doors = Doors { app, proxies: Arc::new(proxies) };
    let mut workers = JoinSet::new();
    workers.spawn(store.wake().clone().run(store.database().clone(), stop.clone()));
    workers.spawn(store.clone().keep_partitions(DEFAULT_RETENTION_MONTHS, stop.clone()));
    workers.spawn(store.clone().keep_sweeping(stop.clone()));
    workers.spawn(store.clone().keep_purging(stop.clone()));
    let door = HttpDoor { doors: doors.clone(), metrics, mailbox: delivery.is_mailbox() };
    workers.spawn(delivery::worker::run(store, delivery, stop.clone()));
    let served = tokio::try_join!(
        serve_grpc(listeners.grpc, &doors, stop.clone()),
        serve_http(listeners.http, door, stop.clone())
    );
    stop.cancel();
    while workers.join_next().await.is_some() {}
    served.map(|_| ())
}

async fn serve_grpc(listener: TcpListener, doors: &Doors, stop: CancellationToken) -> anyhow::Result<()> {
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
    let routes = Routes::from(grpc::services(doors))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let shutdown = async move {
        stop.cancelled().await;
        for service in SERVICES.iter().copied().chain([""]) {
            health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
    };
    Server::builder()
        .accept_http1(true)
        .layer(http_door::cors())
        .layer(tonic_web::GrpcWebLayer::new())
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
        .await
        .context("the gRPC listener failed")
}

async fn serve_http(listener: TcpListener, door: HttpDoor, stop: CancellationToken) -> anyhow::Result<()> {
    let service = http_door::router(door).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the HTTP listener failed")
}
