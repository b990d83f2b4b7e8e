//! Who is asking.

use std::net::IpAddr;

use axum::http::HeaderName;
use palisade::{
    Head,
    key::{ClientNet, ExtractKey, ForwardedIp, HeaderKey, PeerIp},
};

use crate::settings::RateKey;

/// Tells clients apart as the settings say. A program that knows how it does so uses one of these as
/// it is.
#[derive(Clone)]
pub(crate) enum Client {
    Peer(PeerIp),
    Header(HeaderName, HeaderKey),
    Forwarded(ForwardedIp),
}

impl From<&RateKey> for Client {
    fn from(key: &RateKey) -> Self {
        match key {
            RateKey::Peer => Self::Peer(PeerIp::new()),
            RateKey::Header(name) => Self::Header(name.clone(), HeaderKey::new(name.clone())),
            RateKey::Forwarded(proxies) => {
                Self::Forwarded(ForwardedIp::trusting(proxies.iter().copied()))
            }
        }
    }
}

/// Keys of whichever kind are bytes: a header's, lent as they stand in the request, or an address's.
impl ExtractKey for Client {
    type Key = [u8];

    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let address = match self {
            Self::Header(_, header) => return header.with(head, f),
            Self::Peer(peer) => peer.with(head, |net| net.map(bytes)),
            Self::Forwarded(client) => client.with(head, |net| net.map(bytes)),
        };
        f(address.as_ref().map(|bytes| &bytes[..]))
    }
}

/// The first address is enough, as all IPv6 networks here are of 64 bits; and none of these looks
/// like an IPv4 address in IPv6 form.
fn bytes(net: &ClientNet) -> [u8; 16] {
    match net.first() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

impl Client {
    /// What may be shown of the key: an address; of a header, whose value may be a secret, its name.
    pub(crate) fn shown(&self, head: Head<'_>) -> Option<String> {
        match self {
            Self::Peer(peer) => peer.with(head, |net| net.map(ToString::to_string)),
            Self::Forwarded(client) => client.with(head, |net| net.map(ToString::to_string)),
            Self::Header(name, header) => {
                header.with(head, |value| value.map(|_| format!("header:{name}")))
            }
        }
    }
}
