use std::{
    fmt,
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

use palisade_core::Head;

/// Finds the address that a request's connection is with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot find the peer's address",
    note = "axum's `ConnectInfo` is read with the feature `axum`; for any other extension there is \
            `PeerIp::from_extension`"
)]
pub trait FindPeer {
    /// The address, if it is known.
    fn find_peer(&self, head: Head<'_>) -> Option<IpAddr>;
}

/// Finds the peer in axum's `ConnectInfo<SocketAddr>`, with the feature `axum`.
#[derive(Clone, Copy, Debug)]
pub struct ByConnectInfo(pub(crate) ());

#[cfg(feature = "axum")]
impl FindPeer for ByConnectInfo {
    #[inline]
    fn find_peer(&self, head: Head<'_>) -> Option<IpAddr> {
        use axum_lean::extract::connect_info::{ConnectInfo, MockConnectInfo};

        let known = head.extensions();
        let real = known.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer);
        let mock = || known.get::<MockConnectInfo<SocketAddr>>().map(|MockConnectInfo(peer)| peer);
        real.or_else(mock).map(SocketAddr::ip)
    }
}

/// Finds the peer in an extension of the request: see [`PeerIp::from_extension`](crate::PeerIp::from_extension).
pub struct ByExtension<T, F> {
    address: F,
    extension: PhantomData<fn(&T)>,
}

impl<T, F> ByExtension<T, F> {
    pub(crate) const fn new(address: F) -> Self {
        Self { address, extension: PhantomData }
    }
}

impl<T, F, A> FindPeer for ByExtension<T, F>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(&T) -> A,
    A: IntoPeer,
{
    #[inline]
    fn find_peer(&self, head: Head<'_>) -> Option<IpAddr> {
        head.extensions().get().and_then(|extension| (self.address)(extension).into_peer())
    }
}

impl<T, F: Clone> Clone for ByExtension<T, F> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), extension: PhantomData }
    }
}

impl<T, F: Copy> Copy for ByExtension<T, F> {}

impl<T, F> fmt::Debug for ByExtension<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByExtension<{}>", std::any::type_name::<T>())
    }
}

/// What a connection's extension may give as the peer's address.
pub trait IntoPeer {
    /// The address, if there is one: a connection over a Unix socket, say, has none.
    fn into_peer(self) -> Option<IpAddr>;
}

macro_rules! into_peer {
    ($($address:ty: $ip:expr;)+) => {$(
        impl IntoPeer for $address {
            #[inline]
            fn into_peer(self) -> Option<IpAddr> {
                let ip: fn(Self) -> _ = $ip;
                Some(ip(self).into())
            }
        }
    )+};
}

into_peer! {
    IpAddr: |ip| ip;
    Ipv4Addr: |ip| ip;
    Ipv6Addr: |ip| ip;
    SocketAddr: |socket| socket.ip();
    SocketAddrV4: |socket| *socket.ip();
    SocketAddrV6: |socket| *socket.ip();
}

impl<A: IntoPeer> IntoPeer for Option<A> {
    #[inline]
    fn into_peer(self) -> Option<IpAddr> {
        self.and_then(A::into_peer)
    }
}
