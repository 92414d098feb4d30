//! What callers may take of the listeners: the section `[connections]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::api::body::LARGEST_BODY;
use crate::api::listener::Limits;
use crate::cli::config::server::{Checked, Problem};
use crate::cli::config::{network, networks};

const MIB: usize = 1024 * 1024;
const BODIES: RangeInclusive<u32> = 8..=65_536;
const SHARES: RangeInclusive<u32> = 1..=100;

/// What callers may take of the listeners: the section `[connections]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConnectionSettings {
    /// How many connections each of the two listeners has at once; more are closed [default: 4096].
    #[arg(long = "connections-most", env = "USERPOOL_CONNECTIONS_MOST", value_name = "NUMBER")]
    pub most: Option<u32>,
    /// How many calls each of the two listeners answers at once; more are refused [default: 4096].
    #[arg(long = "connections-calls", env = "USERPOOL_CONNECTIONS_CALLS", value_name = "NUMBER")]
    pub calls: Option<u32>,
    /// How many calls a connection of HTTP/2 has at once [default: 100].
    #[arg(long = "connections-streams", env = "USERPOOL_CONNECTIONS_STREAMS", value_name = "NUMBER")]
    pub streams: Option<u32>,
    /// How many TLS handshakes each listener has under way; the oldest is given up for one more [default: 256].
    #[arg(long = "connections-handshakes", env = "USERPOOL_CONNECTIONS_HANDSHAKES", value_name = "NUMBER")]
    pub handshakes: Option<u32>,
    /// Memory in MiB for the bodies of all requests at once; a request that does not fit is refused [default: 64].
    #[arg(long = "connections-bodies", env = "USERPOOL_CONNECTIONS_BODIES", value_name = "MIB")]
    pub bodies: Option<u32>,
    /// How much of each of these one address (of IPv6: 64 bits of it) may have, in percent [default: 25].
    #[arg(long = "connections-share", env = "USERPOOL_CONNECTIONS_SHARE", value_name = "PERCENT")]
    pub share: Option<u32>,
    /// Addresses or networks that may have more, beside trusted proxies [default: 127.0.0.0/8,::1].
    #[arg(long = "connections-without-share", env = "USERPOOL_CONNECTIONS_WITHOUT_SHARE", value_delimiter = ',', value_parser = network, value_name = "NETWORK")]
    #[serde(deserialize_with = "networks")]
    pub without_share: Option<Vec<IpNet>>,
    /// How many seconds a TLS handshake may take [default: 10].
    #[arg(
        long = "connections-longest-handshake",
        env = "USERPOOL_CONNECTIONS_LONGEST_HANDSHAKE",
        value_name = "SECONDS"
    )]
    pub longest_handshake: Option<u32>,
    /// How many seconds the headers of a connection's first request may take [default: 10].
    #[arg(long = "connections-longest-headers", env = "USERPOOL_CONNECTIONS_LONGEST_HEADERS", value_name = "SECONDS")]
    pub longest_headers: Option<u32>,
    /// How many seconds the body of a request may take [default: 10].
    #[arg(long = "connections-longest-body", env = "USERPOOL_CONNECTIONS_LONGEST_BODY", value_name = "SECONDS")]
    pub longest_body: Option<u32>,
    /// How many seconds a caller may leave an answer unread [default: 30].
    #[arg(long = "connections-longest-answer", env = "USERPOOL_CONNECTIONS_LONGEST_ANSWER", value_name = "SECONDS")]
    pub longest_answer: Option<u32>,
    /// After how many seconds without a call a connection is closed [default: 300].
    #[arg(long = "connections-longest-idle", env = "USERPOOL_CONNECTIONS_LONGEST_IDLE", value_name = "SECONDS")]
    pub longest_idle: Option<u32>,
    /// How often, in seconds, a caller of HTTP/2 is asked whether it is still there [default: 60].
    #[arg(long = "connections-ping", env = "USERPOOL_CONNECTIONS_PING", value_name = "SECONDS")]
    pub ping: Option<u32>,
}

impl ConnectionSettings {
    /// The limits; adds a problem for each setting that is out of range.
    pub(super) fn limits(self, checked: &mut Checked<'_>) -> Limits {
        let default = Limits::default();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut number = |name, value, default, most| checked.range(name, value, default, 1..=most) as usize;
        let connections = number("connections.most", self.most, count(default.connections), 1_000_000);
        let calls = number("connections.calls", self.calls, count(default.calls), 1_000_000);
        let streams = number("connections.streams", self.streams, default.streams, 10_000);
        let handshakes = number("connections.handshakes", self.handshakes, count(default.handshakes), 100_000);
        let bodies = checked.range("connections.bodies", self.bodies, count(default.bodies / MIB), BODIES);
        let share = checked.range("connections.share", self.share, default.share, SHARES);
        let mut seconds = |name, value, default: Duration| {
            let default = u32::try_from(default.as_secs()).unwrap_or(u32::MAX);
            Duration::from_secs(u64::from(checked.range(name, value, default, 1..=86_400)))
        };
        let limits = Limits {
            connections,
            calls,
            streams: count(streams),
            handshakes,
            bodies: bodies as usize * MIB,
            share,
            without_share: self.without_share.unwrap_or(default.without_share),
            longest_handshake: seconds(
                "connections.longest-handshake",
                self.longest_handshake,
                default.longest_handshake,
            ),
            longest_headers: seconds("connections.longest-headers", self.longest_headers, default.longest_headers),
            longest_body: seconds("connections.longest-body", self.longest_body, default.longest_body),
            longest_answer: seconds("connections.longest-answer", self.longest_answer, default.longest_answer),
            longest_idle: seconds("connections.longest-idle", self.longest_idle, default.longest_idle),
            ping: seconds("connections.ping", self.ping, default.ping),
        };
        // With less memory, a caller with one large body under way would be refused a second one.
        let least = 2 * LARGEST_BODY;
        let is_small = limits.share_of(limits.bodies) < least;
        let is_in_range = BODIES.contains(&bodies) && SHARES.contains(&share);
        checked.unless(is_small && is_in_range, || Problem::SmallShare(least / MIB));
        limits
    }
}
