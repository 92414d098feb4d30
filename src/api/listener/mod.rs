//! The connections of both doors, with TLS or without: which are accepted, and what is served over them.

mod accept;
mod connection;
mod handshakes;
pub mod limits;
mod serve;
mod tls;

pub use accept::Incoming;
pub use connection::Peer;
pub use limits::{Allowance, Guard, Limits};
pub use serve::{Door, Leaving, serve};
pub use tls::{Tls, TlsError, TlsFiles};
