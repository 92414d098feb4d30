//! Where a call comes from, as limits see it.

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::message::Medium;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::limits::Network;
use crate::proto::v1::ContextDataType;
use crate::store::keys::PoolKeys;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Where a call comes from.
#[derive(Clone, Debug)]
pub struct Whence {
    /// The keyed hash of the network. Users know networks by it.
    pub network: Vec<u8>,
    /// Whether what this network does is limited: not that of a server, which calls for many.
    is_limited: bool,
}

/// A trusted server that signs a person in: it has proved itself by its service account.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The person's address, as the server says.
    pub person_address: Option<&'a str>,
}

impl<'a> Server<'a> {
    /// The server that sent this context.
    pub fn of(context: Option<&'a ContextDataType>) -> Self {
        Self { person_address: context.and_then(|context| context.ip_address.as_deref()) }
    }
}

impl Whence {
    /// Somebody whom nobody vouches for: what counts is the network of the caller.
    pub fn of_stranger(keys: &PoolKeys, caller: &Caller) -> Self {
        let network = Network::from(caller.address).to_string();
        Self { network: hash(keys, &network), is_limited: caller.address.is_some() }
    }

    /// Where a person is who signs in: where the server says that does it for them, or where the call comes from.
    pub fn of_person(keys: &PoolKeys, caller: &Caller, server: Option<Server<'_>>) -> Self {
        let Some(Server { person_address }) = server else { return Self::of_stranger(keys, caller) };
        let person = person_address.and_then(|address| address.parse().ok());
        let person = person.map(|address| Network::of(address).to_string());
        Self { network: hash(keys, person.as_deref().unwrap_or("a service account")), is_limited: false }
    }

    /// The same, if the caller has shown that it knows the secret of its client: then it is a server.
    pub fn with_secret(self, has_secret: bool) -> Self {
        Self { is_limited: self.is_limited && !has_secret, ..self }
    }

    /// What limits a guess that comes from here.
    pub fn guess(&self, app: &App) -> Option<Limited> {
        self.is_limited.then(|| app.limits.guess_by_caller(&self.network)).flatten()
    }

    /// The network, if a user who signs in from here has to be remembered there: once a day is enough.
    pub fn to_remember(&self, familiar_since: Option<Timestamp>, at: Timestamp) -> Option<&[u8]> {
        let is_known = familiar_since.is_some_and(|since| at < since.plus_seconds(DAY_SECONDS));
        (!is_known).then_some(&*self.network)
    }

    /// What limits codes that are asked for from here.
    pub fn codes(&self, app: &App, medium: Medium) -> Vec<Limited> {
        if self.is_limited { app.limits.code_by_caller(medium, &self.network) } else { Vec::new() }
    }
}

fn hash(keys: &PoolKeys, network: &str) -> Vec<u8> {
    keys.keyed_hash("network", &[network])
}
