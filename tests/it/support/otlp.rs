//! A receiver of OTLP, over gRPC and over HTTP, which keeps what it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What was received so far.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub spans: Vec<Span>,
    /// Names of metrics, in the order of their arrival.
    pub metrics: Vec<String>,
    pub resources: Vec<Resource>,
}

/// A receiver that listens as long as the test runs.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Receiver {
    /// Listens at two free ports.
    pub async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let (grpc, http) = (listener().await, listener().await);
        let receiver = Self { grpc: grpc.1, http: http.1, received };
        let services = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .serve_with_incoming(TcpListenerStream::new(grpc.0));
        tokio::spawn(services);
        let routes = Router::new()
            .route(
                "/v1/traces",
                post(async |State(receiver): State<Self>, body: Bytes| {
                    receiver.take_spans(ExportTraceServiceRequest::decode(body).expect("spans"));
                }),
            )
            .route(
                "/v1/metrics",
                post(async |State(receiver): State<Self>, body: Bytes| {
                    receiver.take_metrics(ExportMetricsServiceRequest::decode(body).expect("metrics"));
                }),
            )
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(http.0, routes).await });
        receiver
    }

    /// What was received so far.
    pub fn received(&self) -> Received {
        self.received.lock().expect("no test panicked here").clone()
    }

    fn take_spans(&self, request: ExportTraceServiceRequest) {
        let mut received = self.received.lock().expect("no test panicked here");
        for spans in request.resource_spans {
            received.resources.extend(spans.resource);
            received.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }

    fn take_metrics(&self, request: ExportMetricsServiceRequest) {
        let mut received = self.received.lock().expect("no test panicked here");
        for metrics in request.resource_metrics {
            let metrics = metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            received.metrics.extend(metrics.map(|metric| metric.name));
        }
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take_spans(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take_metrics(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

/// The text of an attribute; none if it is absent or of another type.
pub fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}
