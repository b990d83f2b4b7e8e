//! The client's address as proxies hand it on.

mod entries;
mod node;
mod trusted;

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use palisade_core::Head;

pub use self::trusted::InvalidCidr;
use self::{entries::Syntax, trusted::Trusted};
use crate::{
    ByConnectInfo, ClientNet, ExtractKey, FindPeer, InvalidPrefix, PeerIp, net::Ipv6Prefix,
};

/// The client is whom proxies that you trust say they were asked by.
///
/// Each proxy adds the address it was asked from at the right end of a header. So the header is read
/// from the right, from the connection's peer back towards the client, for as long as the one who wrote
/// an entry is trusted:
///
/// * A peer that is not trusted is the client, whatever the header says.
/// * The first address that is not trusted is the client. What is left of it came from there, and may
///   be invented.
/// * An entry that is no address (`unknown`, `_hidden`, empty, garbled) ends the walk: the client is the
///   trusted proxy that wrote it, and what is left of it is not believed.
/// * If all are trusted the leftmost is the client; without the header it is the peer.
///
/// All lines of the header are read as one list, in their order. At most the last
/// [`MAX_ENTRIES`](ForwardedIp::MAX_ENTRIES) entries that stand in its last
/// [`MAX_BYTES`](ForwardedIp::MAX_BYTES) bytes are considered; there the walk ends as it does at an entry that
/// is no address.
///
/// Addresses are accepted as `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` and
/// `[2001:db8::1]:4711`. IPv4 addresses in IPv6 form are IPv4 addresses throughout. Other IPv6 addresses
/// are grouped by /64, as [`ClientNet`] says.
///
/// # Which proxies, which header
///
/// Trust the networks your proxies connect from and no others, and read the one header that all of them
/// write or take away: one that they hand on as it came is the client's own. If the peer is not known the
/// request has no key. A proxy on a Unix socket has no address either; give it one that is trusted:
/// `PeerIp::from_extension(|_: &UnixPeer| Ipv4Addr::LOCALHOST)`.
///
/// ```
/// use http::Request;
/// use palisade_key::{ExtractKey, ForwardedIp, Head, PeerIp};
/// use std::net::IpAddr;
///
/// /// What the server knows of a connection.
/// #[derive(Clone)]
/// struct Connection(IpAddr);
///
/// let client = ForwardedIp::try_trusting(["10.0.0.0/8", "fd00::/8"])?
///     .with_peer(PeerIp::from_extension(|connection: &Connection| connection.0));
///
/// let request = Request::get("/")
///     .extension(Connection("10.0.0.7".parse()?)) // our proxy
///     .header("x-forwarded-for", "198.51.100.9") // sent along by the client
///     .header("x-forwarded-for", "192.0.2.1, 10.0.0.5") // added by our outer and inner proxy
///     .body(())?;
/// client.with(Head::of(&request), |key| assert_eq!(key.unwrap().to_string(), "192.0.2.1"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardedIp<P = ByConnectInfo> {
    peer: P,
    prefix: Option<Ipv6Prefix>,
    header: HeaderName,
    syntax: Syntax,
    trusted: Arc<Trusted>,
}

impl ForwardedIp {
    /// How many entries of the header are considered, from the right.
    pub const MAX_ENTRIES: usize = 32;

    /// How many bytes of the header's values are considered, from the right. An entry that is partly
    /// beyond is not considered.
    pub const MAX_BYTES: usize = 4096;

    /// Believes the `X-Forwarded-For` of proxies in these networks.
    ///
    /// The peer is the one in axum's `ConnectInfo`, for which the feature `axum` is needed; with any
    /// other server, follow up with [`with_peer`](Self::with_peer).
    ///
    /// A network of IPv4 addresses in IPv6 form (`::ffff:10.0.0.0/104`) is the IPv4 network. IPv6
    /// networks hold no IPv4 addresses, not even `::/0`.
    #[must_use]
    pub fn trusting(proxies: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            peer: ByConnectInfo(()),
            prefix: None,
            header: HeaderName::from_static("x-forwarded-for"),
            syntax: Syntax::List,
            trusted: Arc::new(proxies.into_iter().collect()),
        }
    }

    /// As [`trusting`](Self::trusting), for networks as text: `10.0.0.0/8`, `2001:db8::/32`, or a single
    /// address.
    ///
    /// # Errors
    ///
    /// When one of the texts is neither.
    pub fn try_trusting<T: AsRef<str>>(
        proxies: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidCidr> {
        let proxies: Result<Vec<_>, _> =
            proxies.into_iter().map(|proxy| trusted::parse(proxy.as_ref())).collect();
        proxies.map(Self::trusting)
    }
}

impl<P> ForwardedIp<P> {
    /// Learns from `peer` whom the connection is with.
    ///
    /// How `peer` groups IPv6 addresses holds here too, unless
    /// [`with_ipv6_prefix`](Self::with_ipv6_prefix) says otherwise.
    #[must_use]
    pub fn with_peer<Q>(self, peer: PeerIp<Q>) -> ForwardedIp<Q> {
        let (peer, prefix) = peer.into_parts();
        let Self { prefix: own, header, syntax, trusted, .. } = self;
        ForwardedIp { peer, prefix: own.or(prefix), header, syntax, trusted }
    }

    /// Reads this header instead of `X-Forwarded-For`.
    ///
    /// `X-Forwarded-For` is a list of addresses. `Forwarded` (RFC 7239) is a list of elements, of which
    /// the parameter `for` is read; an element that has none, or two, or is not well formed, is no
    /// address. Any other header (`X-Real-IP`, `CF-Connecting-IP`) holds one address, which is the
    /// client's whether it is trusted or not; if the header is repeated, or is no single address, the
    /// client is the peer.
    #[must_use]
    pub fn with_header(self, name: HeaderName) -> Self {
        let syntax = match name.as_str() {
            "x-forwarded-for" => Syntax::List,
            "forwarded" => Syntax::Forwarded,
            _ => Syntax::Single,
        };
        Self { header: name, syntax, ..self }
    }

    /// Groups IPv6 addresses by their first `bits` instead of 64: see [`PeerIp::with_ipv6_prefix`].
    ///
    /// # Panics
    ///
    /// When `bits` is not from 1 to 128.
    #[must_use]
    #[track_caller]
    pub fn with_ipv6_prefix(self, bits: u8) -> Self {
        Self { prefix: Some(Ipv6Prefix::new(bits)), ..self }
    }

    /// As [`with_ipv6_prefix`](Self::with_ipv6_prefix), for numbers that come in at run time.
    ///
    /// # Errors
    ///
    /// When `bits` is not from 1 to 128.
    pub fn try_with_ipv6_prefix(self, bits: u8) -> Result<Self, InvalidPrefix> {
        Ok(Self { prefix: Some(Ipv6Prefix::try_new(bits)?), ..self })
    }

    /// The client's address, ungrouped; never an IPv4 address in IPv6 form.
    pub fn address(&self, head: Head<'_>) -> Option<IpAddr>
    where
        P: FindPeer,
    {
        let peer = self.peer.find_peer(head)?.to_canonical();
        if !self.trusted.contains(peer) {
            return Some(peer);
        }
        let lines = head.headers().get_all(&self.header).iter().map(HeaderValue::as_bytes);
        Some(match self.syntax {
            Syntax::List => entries::walk(lines, entries::of_list, peer, &self.trusted),
            Syntax::Forwarded => entries::walk(lines, entries::of_forwarded, peer, &self.trusted),
            Syntax::Single => entries::only(lines).unwrap_or(peer),
        })
    }
}

impl<P: FindPeer> ExtractKey for ForwardedIp<P> {
    type Key = ClientNet;

    #[inline]
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&ClientNet>) -> R) -> R {
        let prefix = self.prefix.unwrap_or_default();
        f(self.address(head).map(|address| ClientNet::within(address, prefix)).as_ref())
    }
}
