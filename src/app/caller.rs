//! Who calls, as far as the pipeline has found out.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::UserPoolId;
use crate::limits::Network;
use crate::store::answers::NamedCommand;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::{Actor, ActorKind, Origin};
use crate::store::service_accounts::ServiceAccount;

/// What is known of a call besides its message.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The service account and its credential, for developer operations.
    pub developer: Option<Developer>,
    /// The caller's address: of the connection, or as a trusted proxy says.
    pub address: Option<IpAddr>,
    /// The id of the request, which the caller reads too.
    pub request_id: String,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// The region that a signature names: pools that the call creates belong there.
    pub region: Option<String>,
    /// How long the caller waits.
    pub patience: Option<Duration>,
    /// The operation, by its name.
    pub operation: &'static str,
    /// What the caller sent as `idempotency-key`, whatever its form.
    pub idempotency_key: Option<String>,
    /// The command under the name that the caller gave it: set by the pipeline for commands of developers.
    pub command: Option<NamedCommand>,
}

/// Whose turn slow work takes.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The pool that it is done for.
    pub pool: UserPoolId,
    /// Where the caller is.
    pub network: Network,
    /// How long the caller waits.
    pub patience: Option<Duration>,
}

/// A service account that calls.
#[derive(Clone, Debug)]
pub struct Developer {
    /// Which.
    pub account: ServiceAccount,
    /// By what it is known.
    pub credential: Credential,
}

/// What a service account has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The secret of its access key: in a bearer token, or by a signature.
    Secret,
    /// A certificate that is bound to it.
    Certificate(Fingerprint),
}

impl Caller {
    /// Whose turn the slow work of this call takes.
    pub fn turn(&self, pool: &UserPoolId) -> Turn {
        Turn { pool: pool.clone(), network: self.address.into(), patience: self.patience }
    }

    /// The service account, for developer operations.
    pub fn account(&self) -> Option<&ServiceAccount> {
        self.developer.as_ref().map(|developer| &developer.account)
    }

    /// The origin of what this call does, by the given actor.
    pub fn origin(&self, kind: ActorKind, id: impl Into<String>, credential_id: Option<String>) -> Origin {
        Origin {
            actor: Actor { kind, id: id.into(), credential_id },
            operation: self.operation,
            request_id: self.request_id.clone(),
            traceparent: self.traceparent.clone(),
            address: self.address,
            command: self.command.clone(),
            patience: self.patience,
        }
    }

    /// Says whom the answer is about, where no commit does: if it is stored, it goes with that user.
    pub fn is_answered_about(&self, user: &LoadedUser) {
        if let Some(command) = &self.command {
            command.concerns(&user.key);
        }
    }

    /// The origin of what a developer does.
    pub fn developer_origin(&self) -> Origin {
        let id = self.account().map(|account| account.access_key_id.to_string());
        let credential = match self.developer.as_ref().map(|developer| developer.credential) {
            Some(Credential::Certificate(fingerprint)) => Some(fingerprint.to_string()),
            Some(Credential::Secret) | None => id.clone(),
        };
        self.origin(ActorKind::ServiceAccount, id.unwrap_or_default(), credential)
    }
}
