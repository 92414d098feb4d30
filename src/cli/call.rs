//! `userpool call <Operation> [JSON]`: any operation by its name, with Cognito's field names.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use prost_reflect::DynamicMessage;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::api::aws_json::{decode, encode};
use crate::api::grpc::BytesCodec;
use crate::api::operation::Operation;
use crate::proto::descriptor_pool;
use crate::secret_file;

/// Which operation to call, and on which server.
#[derive(Debug, Args)]
pub struct CallArguments {
    /// The operation, such as CreateUserPool.
    operation: String,
    /// The request as JSON with Cognito's names; `-` reads it from standard input.
    #[arg(default_value = "{}")]
    json: String,
    /// The server: host and port of its gRPC listener.
    #[arg(long, env = "USERPOOL_GRPC_ADDR", default_value = "127.0.0.1:50051")]
    grpc_addr: String,
    /// Connects to the server with TLS.
    #[arg(long)]
    tls: bool,
    /// CA certificates as PEM for the server's certificate, instead of the system's; implies TLS.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The client certificate as PEM: without a token, it authenticates the service account that it is bound to.
    /// Implies TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the client certificate, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The bearer token of a service account.
    #[arg(long, env = "USERPOOL_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl CallArguments {
    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let (address, own) = (&self.grpc_addr, self.tls_certificate.as_ref().zip(self.tls_key.as_ref()));
        if !self.tls && self.tls_ca.is_none() && own.is_none() {
            return Ok(Endpoint::from_shared(format!("http://{address}"))?);
        }
        let mut tls = match &self.tls_ca {
            Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = own {
            tls = tls.identity(Identity::from_pem(read(certificate)?, secret(key)?));
        }
        Ok(Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?)
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))
}

fn secret(file: &Path) -> anyhow::Result<Vec<u8>> {
    secret_file::read(file).with_context(|| format!("{} can't be used", file.display()))
}

/// Calls the operation and prints the response.
pub async fn run(arguments: CallArguments) -> anyhow::Result<()> {
    let name = &arguments.operation;
    let info = Operation::by_name(name).ok_or_else(|| anyhow!("there is no operation {name}"))?.info();
    let json = if arguments.json == "-" { std::io::read_to_string(std::io::stdin())? } else { arguments.json.clone() };
    let message = |full_name: &str| descriptor_pool().get_message_by_name(full_name).context("no descriptor");
    let body =
        decode::decode(&message(info.request)?, json.as_bytes()).map_err(|error| anyhow!("{}", error.message))?;
    let mut request = Request::new(body);
    if let Some(token) = &arguments.token {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().context("the token is not a token")?);
    }
    let endpoint = arguments.endpoint()?;
    let channel = endpoint.connect().await.with_context(|| format!("no server answers at {}", arguments.grpc_addr))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    match client.unary(request, http::uri::PathAndQuery::from_static(info.path), BytesCodec).await {
        Ok(response) => {
            let response = DynamicMessage::decode(message(info.response)?, response.into_inner())?;
            println!("{}", serde_json::to_string_pretty(&encode::encode(&response))?);
            Ok(())
        }
        Err(status) => bail!("{}: {}", exception(&status), status.message()),
    }
}

/// The exception in a status, or its gRPC code.
fn exception(status: &Status) -> String {
    let info = status.get_details_error_info();
    let exception = info.and_then(|info| info.metadata.get("exception").cloned());
    exception.unwrap_or_else(|| format!("{:?}", status.code()))
}
