//! The caller, as far as the pipeline knows them.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::UserPoolId;
use crate::limits::Network;
use crate::store::answers::NamedCommand;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::{Actor, ActorKind, Origin};
use crate::store::service_accounts::ServiceAccount;
use crate::telemetry::trace::TraceContext;
use crate::triggers::Asked;

/// What is known about a call besides its message.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The service account and its credential, for developer operations.
    pub developer: Option<Developer>,
    /// The caller's address: from the connection, or from a trusted proxy.
    pub address: Option<IpAddr>,
    /// The id of the request, which the caller gets, too.
    pub request_id: String,
    /// Where the call's effects belong in a trace: in its own span, else where its caller says.
    pub trace_context: Option<TraceContext>,
    /// The region in the AWS signature: pools that the call creates belong to it.
    pub region: Option<String>,
    /// How long the caller waits, from `grpc-timeout`.
    pub patience: Option<Duration>,
    /// The operation, by its name.
    pub operation: &'static str,
    /// The header `idempotency-key` as it came, unchecked.
    pub idempotency_key: Option<String>,
    /// The command under its idempotency key: set by the pipeline for commands of developers.
    pub command: Option<NamedCommand>,
    /// What triggers have answered to this call.
    pub asked: Asked,
}

/// The queue in which slow work waits.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The pool that the work is done for.
    pub pool: UserPoolId,
    /// The network that the caller calls from.
    pub network: Network,
    /// How long the caller waits.
    pub patience: Option<Duration>,
}

/// A service account that calls.
#[derive(Clone, Debug)]
pub struct Developer {
    /// The account that the credential belongs to.
    pub account: ServiceAccount,
    /// The kind of credential that the account presented.
    pub credential: Credential,
}

/// The credential that a service account presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The secret of its access key: in a bearer token, or by a signature.
    Secret,
    /// A client certificate that is bound to the account.
    Certificate(Fingerprint),
}

impl Caller {
    /// The queue for the slow work of this call.
    pub fn turn(&self, pool: &UserPoolId) -> Turn {
        Turn { pool: pool.clone(), network: self.address.into(), patience: self.patience }
    }

    /// The service account, for developer operations.
    pub fn account(&self) -> Option<&ServiceAccount> {
        self.developer.as_ref().map(|developer| &developer.account)
    }

    /// The origin of what this call writes, by the given actor.
    pub fn origin(&self, kind: ActorKind, id: impl Into<String>, credential_id: Option<String>) -> Origin {
        Origin {
            actor: Actor { kind, id: id.into(), credential_id },
            operation: self.operation,
            request_id: self.request_id.clone(),
            trace_context: self.trace_context,
            address: self.address,
            command: self.command.clone(),
            patience: self.patience,
        }
    }

    /// Says which user the answer is about, if no commit does: a stored answer becomes unreadable with that user.
    pub fn is_answered_about(&self, user: &LoadedUser) {
        if let Some(command) = &self.command {
            command.concerns(&user.key);
        }
    }

    /// The origin of what a developer writes.
    pub fn developer_origin(&self) -> Origin {
        let id = self.account().map(|account| account.access_key_id.to_string());
        let credential = match self.developer.as_ref().map(|developer| developer.credential) {
            Some(Credential::Certificate(fingerprint)) => Some(fingerprint.to_string()),
            Some(Credential::Secret) | None => id.clone(),
        };
        self.origin(ActorKind::ServiceAccount, id.unwrap_or_default(), credential)
    }
}
