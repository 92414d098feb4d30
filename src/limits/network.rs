//! The network of a caller, by which calls are counted.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

/// The prefix length of a customer's network in IPv6; the customer chooses the rest of the address.
const CUSTOMER: u8 = 64;

/// The network of a caller: a whole IPv4 address, the first 64 bits of an IPv6 address, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(Option<IpNet>);

impl Network {
    /// The network of callers without an address, who count as one.
    pub const UNKNOWN: Self = Self(None);

    /// The network of an address. An IPv4 address in IPv6 form counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, CUSTOMER).trunc().into(),
        }))
    }
}

impl From<Option<IpAddr>> for Network {
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(Self::UNKNOWN, Self::of)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(network) => network.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn each_ipv4_address_is_one_network_in_any_notation() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1").to_string(), "192.0.2.1/32");
    }

    #[test]
    fn ipv6_addresses_differ_by_their_first_half() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn callers_without_an_address_share_one_network() {
        assert_eq!(Network::from(None), Network::UNKNOWN);
        assert_eq!(Network::from(Some(IpAddr::from([192, 0, 2, 1]))), of("192.0.2.1"));
        assert_eq!(Network::UNKNOWN.to_string(), "unknown");
    }

    proptest! {
        #[test]
        fn any_address_has_one(address: u128, other: u64, four: u32) {
            let first = Network::of(Ipv6Addr::from(address).into());
            // An address that is mapped from IPv4 has no halves.
            if Ipv6Addr::from(address).to_ipv4_mapped().is_none() {
                let sibling = (address >> 64 << 64) | u128::from(other);
                prop_assume!(Ipv6Addr::from(sibling).to_ipv4_mapped().is_none());
                prop_assert_eq!(first, Network::of(Ipv6Addr::from(sibling).into()));
            }
            let four = Ipv4Addr::from(four);
            prop_assert_eq!(Network::of(four.into()), Network::of(four.to_ipv6_mapped().into()));
        }
    }
}
