//! Proxies that we believe about the caller's address.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Proxies that we believe about the caller's address.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts the addresses of these networks and no other.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address belongs to a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        // A listener on `::` sees IPv4 callers as mapped addresses.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The caller's address: the last one in `x-forwarded-for` that is not a trusted proxy's. Entries before an
    /// unreadable one count for nothing: an untrusted sender may have written them.
    pub(crate) fn caller_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or_default());
        let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
        let mut address = peer;
        for hop in hops.into_iter().rev() {
            match hop_address(hop) {
                Some(hop) if self.trusts(address) => address = hop,
                _ => break,
            }
        }
        address
    }
}

/// The address of a hop. Some proxies add the port, and then brackets around an IPv6 address.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forwarded_for(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), value.parse().unwrap())])
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = TrustedProxies::new(vec!["10.0.0.0/30".parse().unwrap()]);
        let forwarded = forwarded_for("1.1.1.1, 2.2.2.2, 10.0.0.2");
        assert_eq!(proxies.caller_address(ip("10.0.0.1"), &forwarded), ip("2.2.2.2"));
        assert_eq!(proxies.caller_address(ip("::ffff:10.0.0.1"), &forwarded), ip("2.2.2.2"));
        assert_eq!(proxies.caller_address(ip("10.0.0.4"), &forwarded), ip("10.0.0.4"));
        assert_eq!(proxies.caller_address(ip("9.9.9.9"), &forwarded), ip("9.9.9.9"));
        assert_eq!(TrustedProxies::default().caller_address(ip("10.0.0.1"), &forwarded), ip("10.0.0.1"));
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_the_chain() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = TrustedProxies::new(vec!["10.0.0.0/30".parse().unwrap()]);
        for (forwarded, caller) in [
            ("6.6.6.6, 1.1.1.1:51234", "1.1.1.1"),
            ("6.6.6.6, [2001:db8::1]:51234, 10.0.0.2:80", "2001:db8::1"),
            ("6.6.6.6, [2001:db8::1]", "2001:db8::1"),
            ("6.6.6.6, unknown", "10.0.0.1"),
            ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("6.6.6.6, ", "10.0.0.1"),
        ] {
            let address = proxies.caller_address(ip("10.0.0.1"), &forwarded_for(forwarded));
            assert_eq!(address, ip(caller), "{forwarded}");
        }
    }

    proptest! {
        #[test]
        fn any_forwarded_header_yields_an_address(value in "[ -~]{0,60}") {
            let peer = IpAddr::from([10, 0, 0, 1]);
            let address = TrustedProxies::new(vec![peer.into()]).caller_address(peer, &forwarded_for(&value));
            prop_assert_eq!(TrustedProxies::default().caller_address(peer, &forwarded_for(&value)), peer);
            prop_assert!(address == peer || value.contains(&address.to_string()) || address.is_ipv6());
        }
    }
}
