//! Calls over gRPC, of operations and of the floor alike: a request body goes out, and an answer or a refusal comes
//! back.

use std::net::IpAddr;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request as Call, Status};
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::Request;
use userpool::proto::userpool::v1::Authorization;

/// Why a call has no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The server has no capacity left: counted, and left out of throughput.
    Refused,
    /// An error that must not happen in a measured run.
    Failed(anyhow::Error),
}

impl From<Status> for NoAnswer {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::ResourceExhausted => Self::Refused,
            code => Self::Failed(anyhow!("a call was answered {code:?}: {}", status.message())),
        }
    }
}

impl<E: Into<anyhow::Error>> From<Failed<E>> for NoAnswer {
    fn from(failed: Failed<E>) -> Self {
        Self::Failed(failed.0.into())
    }
}

/// Marks an error as one that ends the run.
pub struct Failed<E>(pub E);

/// The empty call: `Check` of the standard health service. No operation can be cheaper.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A connection to the server, with the credential of a service account.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    authorization: MetadataValue<Ascii>,
}

/// A call that is encoded once and made many times.
#[derive(Clone, Debug)]
pub struct Prepared {
    path: &'static str,
    developer: bool,
    body: Bytes,
}

impl Prepared {
    /// A call of the operation that the request belongs to.
    pub fn new<Req: Request>(request: &Req) -> Self {
        let info = Req::OPERATION.info();
        let developer = info.authorization == Authorization::Developer;
        Self { path: info.path, developer, body: request.encode_to_vec().into() }
    }
}

impl Caller {
    /// Connects to the server, from an address of this machine.
    pub async fn connect(address: &str, from: IpAddr, token: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = endpoint.local_address(Some(from)).connect().await?;
        Ok(Self { channel, authorization: format!("Bearer {token}").parse().context("the token is a header")? })
    }

    /// Calls an operation and reads its answer.
    pub async fn call<Req: Request>(&self, request: &Req) -> Result<Req::Response, NoAnswer> {
        let answer = self.make(&Prepared::new(request)).await?;
        Ok(Req::Response::decode(answer).map_err(Failed)?)
    }

    /// Makes a prepared call. The answer stays as it came, so that the driver does as little as in an empty call.
    pub async fn make(&self, call: &Prepared) -> Result<Bytes, NoAnswer> {
        let mut request = Call::new(call.body.clone());
        if call.developer {
            request.metadata_mut().insert("authorization", self.authorization.clone());
        }
        self.unary(request, call.path).await
    }

    /// Makes the empty call, the part of every floor that is not work.
    pub async fn empty(&self) -> Result<Bytes, NoAnswer> {
        self.unary(Call::new(Bytes::new()), HEALTH).await
    }

    async fn unary(&self, request: Call<Bytes>, path: &'static str) -> Result<Bytes, NoAnswer> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(Failed)?;
        let answer = client.unary(request, PathAndQuery::from_static(path), BytesCodec).await?;
        Ok(answer.into_inner())
    }
}
