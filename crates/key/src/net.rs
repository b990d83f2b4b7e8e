use std::{
    error::Error,
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A client as an address tells it: one IPv4 address, or one IPv6 network.
///
/// Whoever has an IPv6 connection has a whole network of addresses, usually at least a /64 (RFC 6177),
/// and may use another one for each request. So IPv6 addresses are grouped by their first 64 bits, or as
/// many as the extractor is told.
///
/// An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2), as a listener
/// for both reports it, is the IPv4 address.
///
/// ```
/// use palisade_key::ClientNet;
///
/// let client = ClientNet::of("2001:db8::c0ff:ee".parse().unwrap());
/// assert_eq!(client.to_string(), "2001:db8::/64");
/// assert_eq!(client, "2001:db8::bad:cafe".parse().unwrap());
///
/// let mapped = ClientNet::of("::ffff:192.0.2.1".parse().unwrap());
/// assert_eq!(mapped.to_string(), "192.0.2.1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientNet {
    /// An IPv4 address stands here in its mapped form. No IPv6 network looks like one: those of 96 bits
    /// and more are as long as what makes a mapped address, shorter ones have a zero in it.
    first: Ipv6Addr,
    bits: u8,
}

impl ClientNet {
    /// The client that has this address: itself if it is an IPv4 address, else its /64.
    #[inline]
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self::within(address, Ipv6Prefix::default())
    }

    #[inline]
    pub(crate) fn within(address: IpAddr, prefix: Ipv6Prefix) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self { first: v4.to_ipv6_mapped(), bits: 128 },
            IpAddr::V6(v6) => {
                Self { first: Ipv6Addr::from_bits(v6.to_bits() & prefix.mask()), bits: prefix.0 }
            }
        }
    }

    /// The first address: of an IPv4 client its only one.
    #[must_use]
    pub fn first(self) -> IpAddr {
        IpAddr::V6(self.first).to_canonical()
    }

    /// How many leading bits all addresses of the client share: 32 of an IPv4 client.
    #[must_use]
    pub fn prefix_len(self) -> u8 {
        if self.first().is_ipv4() { 32 } else { self.bits }
    }
}

impl Hash for ClientNet {
    /// Writes once, since hashers cost by the write. Networks that only differ in length collide, but an
    /// extractor makes them all of one length.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.first.to_bits());
    }
}

impl fmt::Display for ClientNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first() {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/{}", self.bits),
        }
    }
}

impl fmt::Debug for ClientNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientNet({self})")
    }
}

impl FromStr for ClientNet {
    type Err = InvalidClientNet;

    /// Reads `192.0.2.1`, `2001:db8::1` for the /64 around it, or `2001:db8::/56`.
    ///
    /// # Errors
    ///
    /// When the text is neither an address nor an IPv6 network.
    fn from_str(text: &str) -> Result<Self, InvalidClientNet> {
        let parse = || match text.split_once('/') {
            None => text.parse().ok().map(Self::of),
            Some((address, bits)) => {
                let prefix = Ipv6Prefix::try_new(bits.parse().ok()?).ok()?;
                let address: Ipv6Addr = address.parse().ok()?;
                address.to_ipv4_mapped().is_none().then(|| Self::within(address.into(), prefix))
            }
        };
        parse().ok_or_else(|| InvalidClientNet(text.into()))
    }
}

/// A text that is no client's address or network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidClientNet(Box<str>);

impl fmt::Display for InvalidClientNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no client: write 192.0.2.1, 2001:db8::1 or 2001:db8::/56", self.0)
    }
}

impl Error for InvalidClientNet {}

/// By how many leading bits IPv6 addresses are grouped: 1 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv6Prefix(u8);

impl Default for Ipv6Prefix {
    #[inline]
    fn default() -> Self {
        Self(64)
    }
}

impl Ipv6Prefix {
    pub(crate) const fn try_new(bits: u8) -> Result<Self, InvalidPrefix> {
        if matches!(bits, 1..=128) { Ok(Self(bits)) } else { Err(InvalidPrefix(bits)) }
    }

    /// # Panics
    ///
    /// When `bits` is not from 1 to 128.
    #[track_caller]
    pub(crate) fn new(bits: u8) -> Self {
        Self::try_new(bits).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    #[inline]
    const fn mask(self) -> u128 {
        u128::MAX << (128 - self.0)
    }
}

/// A number that is no length of an IPv6 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPrefix(u8);

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clients cannot be told apart by {} bits of IPv6: choose from 1 to 128", self.0)
    }
}

impl Error for InvalidPrefix {}

#[cfg(test)]
mod tests;
