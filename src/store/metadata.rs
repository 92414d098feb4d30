//! The origin of each row of `log` and `activity`.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::personal::Sealed;
use crate::store::answers::NamedCommand;
use crate::telemetry::trace::TraceContext;

/// The actor who caused an event or a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind, which says what the id is.
    pub kind: ActorKind,
    /// A `sub`, a client id or an access key id; empty for an operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The credential that was shown: the session of an access token, an access key, or the fingerprint of a
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
}

/// The kinds of actors, by how they prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A user with an access token or a code.
    User,
    /// An app client that acts for a caller who has not proved who they are.
    AppClient,
    /// A service account, with a signature or a certificate.
    ServiceAccount,
    /// An operator at the command line, with access to the database.
    Operator,
}

/// The origin of a command.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The caller that the command is run for.
    pub actor: Actor,
    /// Cognito's name of the operation, or the name of the command-line command.
    pub operation: &'static str,
    /// The id of the request, which the caller reads too.
    pub request_id: String,
    /// Where the command belongs in a trace, if it is traced or its caller says so.
    pub trace_context: Option<TraceContext>,
    /// The caller's IP address, if it is known.
    pub address: Option<IpAddr>,
    /// The command with its idempotency key, if the caller gave one.
    pub command: Option<NamedCommand>,
    /// How long the caller waits, if they said so.
    pub patience: Option<Duration>,
}

/// The `metadata` of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// The actor who caused the row.
    pub actor: Actor,
    /// The name of the operation, as in [`Origin`].
    pub operation: String,
    /// The id of the request.
    pub request_id: String,
    /// The header `traceparent` of what this row causes, if the command belongs to a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The caller's address, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Sealed>,
}

impl Metadata {
    /// The metadata of a row, with its sealed address.
    pub fn new(origin: &Origin, address: Option<Sealed>) -> Self {
        Self {
            actor: origin.actor.clone(),
            operation: origin.operation.to_owned(),
            request_id: origin.request_id.clone(),
            traceparent: origin.trace_context.map(|context| context.to_string()),
            address,
        }
    }

    /// The trace that the row's command belongs to.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.traceparent.as_ref()?.parse().ok()
    }
}
