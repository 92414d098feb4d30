//! What every row of `log` and `activity` says of where it comes from.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::personal::Sealed;
use crate::store::answers::NamedCommand;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Its id: a `sub`, a client id, an access key id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What it has shown: the session of its access token, its access key, the fingerprint of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
}

/// Kinds of actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A user, by an access token or a code.
    User,
    /// An app client, for somebody who has not proved who it is.
    AppClient,
    /// A service account.
    ServiceAccount,
    /// Somebody at the command line, on the database.
    Operator,
}

/// Where a command comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who acts.
    pub actor: Actor,
    /// The operation, by Cognito's name, or the command.
    pub operation: &'static str,
    /// The id of the request, as the caller reads it too.
    pub request_id: String,
    /// The W3C trace context, if the caller sent one.
    pub traceparent: Option<String>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The command's name, if its caller gave it one.
    pub command: Option<NamedCommand>,
    /// How long the caller waits, if it says so.
    pub patience: Option<Duration>,
}

/// The `metadata` of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// Who acted.
    pub actor: Actor,
    /// The operation.
    pub operation: String,
    /// The id of the request.
    pub request_id: String,
    /// The trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The caller's address, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Sealed>,
}

impl Metadata {
    /// The metadata of a row, with the address as it was sealed for it.
    pub fn new(origin: &Origin, address: Option<Sealed>) -> Self {
        Self {
            actor: origin.actor.clone(),
            operation: origin.operation.to_owned(),
            request_id: origin.request_id.clone(),
            traceparent: origin.traceparent.clone(),
            address,
        }
    }
}
