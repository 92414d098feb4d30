//! Where a call comes from, as limits see it.

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::message::Medium;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::limits::Network;
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

impl Whence {
    /// Somebody whom nobody vouches for: what counts is the network of the caller.
    pub fn of_stranger(keys: &PoolKeys, caller: &Caller) -> Self {
        let network = Network::from(caller.address).to_string();
        Self { network: hash(keys, &network), is_limited: caller.address.is_some() }
    }

    /// A server that has proved itself, by a service account: a person is where that server says, or else where it is itself.
    pub fn of_server(keys: &PoolKeys, says: Option<&str>) -> Self {
        let person = says.and_then(|address| address.parse().ok()).map(|address| Network::of(address).to_string());
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
