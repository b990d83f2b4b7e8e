use std::net::IpAddr;

use palisade_core::Head;

use crate::{
    ByConnectInfo, ByExtension, ClientNet, ExtractKey, FindPeer, IntoPeer, InvalidPrefix,
    net::Ipv6Prefix,
};

/// The client is whoever the connection is with.
///
/// The peer of a connection cannot lie about its address. Behind a proxy the peer is the proxy, so that
/// all its clients are one: see [`ForwardedIp`](crate::ForwardedIp).
///
/// Servers put the peer's address into the request's extensions, each in a type of its own. axum's
/// `ConnectInfo<SocketAddr>` is read by [`PeerIp::new`], with the feature `axum`; for any other there is
/// [`from_extension`](PeerIp::from_extension). tonic's, for example, is
/// `PeerIp::from_extension(TcpConnectInfo::remote_addr)`.
///
/// IPv6 addresses are grouped by /64, as [`ClientNet`] says. A request without the extension has no key.
#[derive(Clone, Copy, Debug)]
pub struct PeerIp<P = ByConnectInfo> {
    source: P,
    prefix: Option<Ipv6Prefix>,
}

impl PeerIp {
    /// The peer that axum knows, if the app is served by `into_make_service_with_connect_info` with a
    /// `SocketAddr`, or tested with `MockConnectInfo`.
    #[cfg(feature = "axum")]
    #[must_use]
    pub const fn new() -> Self {
        Self::from_source(ByConnectInfo(()))
    }

    /// The peer as `address` finds it in the extension of type `T`.
    ///
    /// It returns an `IpAddr` or `SocketAddr`, or an `Option` of one:
    ///
    /// ```
    /// use http::Request;
    /// use palisade_key::{Head, PeerIp};
    /// use std::net::SocketAddr;
    ///
    /// /// What the server knows of a connection.
    /// #[derive(Clone)]
    /// struct Connection {
    ///     remote: Option<SocketAddr>,
    /// }
    ///
    /// let peer = PeerIp::from_extension(|connection: &Connection| connection.remote);
    ///
    /// let mut request = Request::new(());
    /// assert_eq!(peer.address(Head::of(&request)), None);
    /// let remote = "192.0.2.1:4711".parse().ok();
    /// request.extensions_mut().insert(Connection { remote });
    /// assert_eq!(peer.address(Head::of(&request)), "192.0.2.1".parse().ok());
    /// ```
    ///
    /// So that the type can be written down, cast a closure to a function pointer:
    /// `PeerIp<ByExtension<Connection, fn(&Connection) -> Option<SocketAddr>>>`.
    #[must_use]
    pub const fn from_extension<T, F, A>(address: F) -> PeerIp<ByExtension<T, F>>
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(&T) -> A,
        A: IntoPeer,
    {
        PeerIp::from_source(ByExtension::new(address))
    }
}

impl<P> PeerIp<P> {
    /// The peer as a [`FindPeer`] of your own finds it.
    #[must_use]
    pub const fn from_source(source: P) -> Self {
        Self { source, prefix: None }
    }

    /// Groups IPv6 addresses by their first `bits` instead of 64: 56 or 48 where customers are given as
    /// much, 128 to tell all addresses apart.
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

    /// The peer's address, ungrouped; never an IPv4 address in IPv6 form.
    #[inline]
    pub fn address(&self, head: Head<'_>) -> Option<IpAddr>
    where
        P: FindPeer,
    {
        self.source.find_peer(head).map(|address| address.to_canonical())
    }

    pub(crate) fn into_parts(self) -> (P, Option<Ipv6Prefix>) {
        (self.source, self.prefix)
    }
}

#[cfg(feature = "axum")]
impl Default for PeerIp {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: FindPeer> ExtractKey for PeerIp<P> {
    type Key = ClientNet;

    #[inline]
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&ClientNet>) -> R) -> R {
        let prefix = self.prefix.unwrap_or_default();
        f(self.address(head).map(|address| ClientNet::within(address, prefix)).as_ref())
    }
}
