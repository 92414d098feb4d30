//! The network that a call comes from, for limits.

use std::net::IpAddr;

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::message::Medium;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::limits::Network;
use crate::proto::v1::ContextDataType;
use crate::store::keys::PoolKeys;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The network that a call comes from.
#[derive(Clone, Debug)]
pub struct Whence {
    /// The keyed hash of the network, in the form in which a user's known networks are stored.
    pub network: Vec<u8>,
    /// The address of the person who calls, or for whom a server calls, if it is known.
    pub address: Option<IpAddr>,
    /// Whether the network's calls are limited; not for a server, which calls for many people.
    is_limited: bool,
}

/// A trusted server that signs a person in, authenticated by its service account.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The person's address, as the server reports it.
    pub person_address: Option<&'a str>,
}

impl<'a> Server<'a> {
    /// The server that sent this context.
    pub fn of(context: Option<&'a ContextDataType>) -> Self {
        Self { person_address: context.and_then(|context| context.ip_address.as_deref()) }
    }
}

impl Whence {
    /// A caller who proves nothing: their own network counts.
    pub fn of_stranger(keys: &PoolKeys, caller: &Caller) -> Self {
        let network = Network::from(caller.address).to_string();
        Self { network: hash(keys, &network), address: caller.address, is_limited: caller.address.is_some() }
    }

    /// A person who signs in: the network that the server reports for them, or else the caller's.
    pub fn of_person(keys: &PoolKeys, caller: &Caller, server: Option<Server<'_>>) -> Self {
        let Some(Server { person_address }) = server else { return Self::of_stranger(keys, caller) };
        let address = person_address.and_then(|address| address.parse().ok());
        let person = address.map(|address| Network::of(address).to_string());
        Self { network: hash(keys, person.as_deref().unwrap_or("a service account")), address, is_limited: false }
    }

    /// The same, without limits if the caller has proved to know the client's secret: then it is a server.
    pub fn with_secret(self, has_secret: bool) -> Self {
        Self { is_limited: self.is_limited && !has_secret, ..self }
    }

    /// The limit of a guess from this network.
    pub fn guess(&self, app: &App) -> Option<Limited> {
        self.is_limited.then(|| app.limits.guess_by_caller(&self.network)).flatten()
    }

    /// The network, if it has to be remembered for a user who signs in: at most once a day.
    pub fn to_remember(&self, familiar_since: Option<Timestamp>, at: Timestamp) -> Option<&[u8]> {
        let is_known = familiar_since.is_some_and(|since| at < since.plus_seconds(DAY_SECONDS));
        (!is_known).then_some(&*self.network)
    }

    /// The limits of codes that are asked for from this network.
    pub fn codes(&self, app: &App, medium: Medium) -> Vec<Limited> {
        if self.is_limited { app.limits.code_by_caller(medium, &self.network) } else { Vec::new() }
    }
}

fn hash(keys: &PoolKeys, network: &str) -> Vec<u8> {
    keys.keyed_hash("network", &[network])
}
