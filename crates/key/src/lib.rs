//! Tells **who is asking**: the key by which a layer counts each client for itself.
//!
//! | key | the client is | of type |
//! | --- | --- | --- |
//! | [`PeerIp`] | whoever the connection is with | [`ClientNet`] |
//! | [`ForwardedIp`] | whom your proxies say they were asked by | [`ClientNet`] |
//! | [`HeaderKey`] | who a header says: an API key, a tenant | `[u8]` |
//! | [`Authority`] | not told apart: this is the host that is asked for | `str` |
//! | [`Global`] | everybody | `()` |
//! | a closure `\|head: Head<'_>\| -> Option<K>` | whoever you say | `K` |
//!
//! Each is an [`ExtractKey`], which a layer is given when it is made. [`Missing`] says what becomes of a request
//! without a key.
//!
//! # When to use which
//!
//! Whatever a client may choose freely is no key against clients that mean harm: they choose another one
//! each time. An address is hard to choose, and a header only once somebody has checked it. So count by
//! address before authentication, and by user, tenant or API key after it.
//!
//! Behind a proxy all connections are the proxy's, and [`PeerIp`] would give all clients one bucket: use
//! [`ForwardedIp`] there, and nowhere else.
//!
//! # How it differs
//!
//! Others take the leftmost entry of `X-Forwarded-For`, which the client itself may write; or skip an
//! entry they cannot read, and believe what is left of it; or take whichever of several headers is there;
//! or mask an IPv4 address in IPv6 form as if it were an IPv6 one, so that behind a listener for both all
//! IPv4 clients are one. Each of these is a test here.
//!
//! Keys are lent, not made: to look up a header's value nobody clones it.
//!
//! # What it costs
//!
//! No allocation, lock or clock. [`PeerIp`] costs a look into the extensions, [`HeaderKey`] one into the
//! headers, [`ForwardedIp`] both, a search among the trusted networks for each entry it believes, and the
//! reading of it; the header's length is [bounded](ForwardedIp::MAX_BYTES). [`Authority`] copies the host
//! to the stack if it has to spell it anew.
//!
//! # Good to know
//!
//! * axum knows the peer only if the app is served by `into_make_service_with_connect_info`; served
//!   otherwise, all requests are without a key, and by default share one bucket.
//! * An IPv6 client is a network, a /64 unless you say otherwise: see [`ClientNet`].
//! * All connections and all HTTP/2 streams of a client have one key. Ports are never part of an address.
//! * Keys say who somebody is. Layers do not log them; if you do, mind who reads the log.
//!
//! # Example
//!
//! On axum, with the feature `axum`:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum_lean as axum;
//! use axum::extract::ConnectInfo;
//! use http::Request;
//! use palisade_key::{ExtractKey, Head, PeerIp};
//! use std::net::SocketAddr;
//!
//! let client = PeerIp::new();
//!
//! let mut request = Request::new(());
//! // As axum does when served by `into_make_service_with_connect_info::<SocketAddr>()`.
//! let peer: SocketAddr = "[::ffff:192.0.2.1]:4711".parse().unwrap();
//! request.extensions_mut().insert(ConnectInfo(peer));
//! client.with(Head::of(&request), |key| assert_eq!(key.unwrap().to_string(), "192.0.2.1"));
//! # }
//! ```
//!
//! # Customised
//!
//! On tonic, behind proxies that write `Forwarded`, for a network where each customer has a /56:
//!
//! ```
//! use http::{Request, header::FORWARDED};
//! use palisade_key::{ExtractKey, ForwardedIp, Head, PeerIp};
//! # #[derive(Clone)]
//! # struct TcpConnectInfo(std::net::SocketAddr);
//! # impl TcpConnectInfo {
//! #     fn remote_addr(&self) -> Option<std::net::SocketAddr> { Some(self.0) }
//! # }
//!
//! let client = ForwardedIp::try_trusting(["10.0.0.0/8", "fd00::/8"])?
//!     .with_header(FORWARDED)
//!     .with_peer(PeerIp::from_extension(TcpConnectInfo::remote_addr))
//!     .with_ipv6_prefix(56);
//!
//! let request = Request::post("/shop.Orders/Place")
//!     .header("forwarded", "for=198.51.100.7, for=\"[2001:db8:7:1234::9]:4711\", for=10.0.0.5")
//! #   .extension(TcpConnectInfo("10.0.0.1:443".parse()?))
//!     .body(())?;
//! client.with(Head::of(&request), |key| {
//!     assert_eq!(key.unwrap().to_string(), "2001:db8:7:1200::/56");
//! });
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod extract;
mod forwarded;
mod header;
mod missing;
mod net;
mod peer;
mod source;

pub use authority::Authority;
pub use extract::{ExtractKey, Global};
pub use forwarded::{ForwardedIp, InvalidCidr};
pub use header::HeaderKey;
pub use ipnet::IpNet;
pub use missing::{Asker, InvalidMissing, KEY_MISSING, Missing};
pub use net::{ClientNet, InvalidClientNet, InvalidPrefix};
pub use peer::PeerIp;
pub use source::{ByConnectInfo, ByExtension, FindPeer, IntoPeer};

#[doc(no_inline)]
pub use palisade_core::{Head, Reason, Rejection};
