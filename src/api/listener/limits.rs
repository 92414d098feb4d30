//! What the listeners let callers use: connections, calls, bytes of bodies, and time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::api::trusted_proxies::TrustedProxies;
use crate::limits::Network;
use crate::limits::shares::{Portion, Shares};

/// The limits of both listeners, from the settings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most connections of one listener.
    pub connections: usize,
    /// Most calls that one listener answers at once.
    pub calls: usize,
    /// Most calls at once over one connection of HTTP/2.
    pub streams: u32,
    /// Most TLS handshakes of one listener at once.
    pub handshakes: usize,
    /// Most bytes of bodies in memory, both listeners together.
    pub bodies: usize,
    /// Percentage of each of these that one network may have.
    pub share: u32,
    /// Networks that have no share and may use all of it.
    pub without_share: Vec<IpNet>,
    /// A handshake that takes longer is given up.
    pub longest_handshake: Duration,
    /// A connection without a whole request after this time is closed.
    pub longest_headers: Duration,
    /// A body that takes longer to arrive is refused.
    pub longest_body: Duration,
    /// An answer that the caller takes longer to read is given up.
    pub longest_answer: Duration,
    /// A connection without a call for this time is closed.
    pub longest_idle: Duration,
    /// How often an HTTP/2 connection is pinged, to see whether its caller is still there.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let loopback: [IpNet; 2] = [
            Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
            Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        ];
        Self {
            connections: 4_096,
            calls: 4_096,
            streams: 100,
            handshakes: 256,
            bodies: 64 * 1024 * 1024,
            share: 25,
            without_share: loopback.into(),
            longest_handshake: Duration::from_secs(10),
            longest_headers: Duration::from_secs(10),
            longest_body: Duration::from_secs(10),
            longest_answer: Duration::from_secs(30),
            longest_idle: Duration::from_secs(300),
            ping: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The part of `most` that one network may have: at least 1.
    pub fn share_of(&self, most: usize) -> usize {
        (most.saturating_mul(self.share as usize) / 100).max(1)
    }

    fn shares(&self, most: usize) -> Arc<Shares> {
        Shares::new(most, self.share_of(most))
    }
}

/// What the callers of one listener use at the moment.
#[derive(Debug)]
pub struct Guard {
    /// The limits that callers are held to.
    pub limits: Limits,
    proxies: Arc<TrustedProxies>,
    connections: Arc<Shares>,
    calls: Arc<Shares>,
    bodies: Arc<Shares>,
}

/// The memory that a call's body may use, and the time it may take. Each request carries it.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// The portion of the memory for bodies, in bytes.
    pub bodies: Portion,
    /// Most time to read the whole body.
    pub longest_body: Duration,
}

/// What the calls of one caller may use.
#[derive(Clone, Debug)]
pub struct Room {
    /// One place for each call under way.
    pub calls: Portion,
    /// The memory and the time for the body of each call.
    pub allowance: Arc<Allowance>,
}

impl Guard {
    /// The guards of two listeners, which share the memory for bodies.
    pub fn pair(limits: Limits, proxies: Arc<TrustedProxies>) -> [Arc<Self>; 2] {
        let bodies = limits.shares(limits.bodies);
        [(); 2].map(|()| {
            let (connections, calls) = (limits.shares(limits.connections), limits.shares(limits.calls));
            let (limits, proxies, bodies) = (limits.clone(), proxies.clone(), bodies.clone());
            Arc::new(Self { limits, proxies, connections, calls, bodies })
        })
    }

    /// The network whose share an address counts to; absent if the address is exempt from shares.
    pub fn network(&self, address: IpAddr) -> Option<Network> {
        let canonical = address.to_canonical();
        let exempt = self.limits.without_share.iter().any(|network| network.contains(&canonical));
        (!exempt && !self.proxies.trusts(address)).then(|| Network::of(address))
    }

    /// How many connections are open, those in their handshake included.
    pub fn open_connections(&self) -> usize {
        self.connections.taken()
    }

    /// The portion of connections for an address.
    pub fn connections(&self, address: IpAddr) -> Portion {
        portion(&self.connections, self.network(address))
    }

    /// What calls from an address may use.
    pub fn room(&self, address: IpAddr) -> Room {
        let network = self.network(address);
        let allowance = Allowance { bodies: portion(&self.bodies, network), longest_body: self.limits.longest_body };
        Room { calls: portion(&self.calls, network), allowance: Arc::new(allowance) }
    }

    /// For a call through a trusted proxy, what it may use: it counts to the caller's share, not to the proxy's.
    pub fn room_behind_proxy(&self, proxy: IpAddr, headers: &HeaderMap) -> Option<Room> {
        if !self.proxies.trusts(proxy) {
            return None;
        }
        let caller = self.proxies.caller_address(proxy, headers);
        (caller != proxy).then(|| self.room(caller))
    }
}

fn portion(shares: &Arc<Shares>, network: Option<Network>) -> Portion {
    match network {
        Some(network) => shares.of(network),
        None => shares.of_many(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Arc<Guard> {
        let limits = Limits { connections: 8, calls: 8, ..Limits::default() };
        let [guard, _] = Guard::pair(limits, Arc::new(TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()])));
        guard
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_a_quarter_and_the_loopback_and_proxies_have_more() {
        let guard = guard();
        for (address, most) in [
            ("192.0.2.1", 2),
            ("::ffff:192.0.2.2", 2),
            ("2001:db8::1", 2),
            ("10.1.2.3", 8),
            ("127.0.0.9", 8),
            ("::1", 8),
        ] {
            let portion = guard.connections(ip(address));
            let taken: Vec<_> = (0..9).map_while(|_| portion.take(1)).collect();
            assert_eq!(taken.len(), most, "{address}");
        }
    }

    #[test]
    fn calls_behind_a_proxy_count_to_their_caller() {
        let guard = guard();
        let by = |value: &str| HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())]);
        let take =
            |proxy: &str, caller: &str| guard.room_behind_proxy(ip(proxy), &by(caller)).map(|room| room.calls.take(1));
        let held: Vec<_> = (0..2).map(|_| take("10.0.0.1", "192.0.2.1").unwrap().unwrap()).collect();
        assert!(take("10.0.0.1", "192.0.2.1").unwrap().is_none(), "the caller has had its share");
        assert!(take("10.0.0.1", "192.0.2.2").unwrap().is_some());
        assert!(guard.room(ip("192.0.2.1")).calls.take(1).is_none(), "it is the same caller without the proxy");
        assert!(take("192.0.2.7", "192.0.2.2").is_none(), "an address that is no proxy is not believed");
        assert!(guard.room_behind_proxy(ip("10.0.0.1"), &HeaderMap::new()).is_none());
        drop(held);
    }

    #[test]
    fn a_share_is_at_least_one() {
        let limits = Limits { share: 1, ..Limits::default() };
        assert_eq!((limits.share_of(4_096), limits.share_of(7)), (40, 1));
    }
}
