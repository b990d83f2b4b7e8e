use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net};

/// Networks as ranges of addresses, in their order and apart from each other.
#[derive(Debug)]
pub(super) struct Trusted {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
}

/// From one to the other, both included.
type Range<A> = (A, A);

impl Trusted {
    /// Whether one of the networks has this address, which is not an IPv4 address in IPv6 form.
    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => is_in(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => is_in(&self.v6, v6.to_bits()),
        }
    }
}

#[inline]
fn is_in<A: Copy + Ord>(ranges: &[Range<A>], address: A) -> bool {
    let before = ranges.partition_point(|&(first, _)| first <= address);
    before.checked_sub(1).is_some_and(|at| address <= ranges[at].1)
}

impl FromIterator<IpNet> for Trusted {
    fn from_iter<T: IntoIterator<Item = IpNet>>(networks: T) -> Self {
        let networks: Vec<_> = networks.into_iter().map(canonical).collect();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for apart in IpNet::aggregate(&networks) {
            match apart {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        // `aggregate` does not say in which order it returns them.
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4: v4.into(), v6: v6.into() }
    }
}

/// The network as its addresses are after `to_canonical`.
fn canonical(network: IpNet) -> IpNet {
    /// How long the prefix of all IPv4 addresses in IPv6 form is.
    const MAPPED: u8 = 96;
    let as_v4 = |network: Ipv6Addr, bits: u8| {
        Ipv4Net::new(network.to_ipv4_mapped()?, bits.checked_sub(MAPPED)?).ok()
    };
    match network {
        IpNet::V6(v6) => as_v4(v6.network(), v6.prefix_len()).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

pub(super) fn parse(text: &str) -> Result<IpNet, InvalidCidr> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| single()).map_err(|_| InvalidCidr(text.into()))
}

/// A text that is no network of trusted proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCidr(Box<str>);

impl fmt::Display for InvalidCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no network: write 10.0.0.0/8, 2001:db8::/32 or a single address", self.0)
    }
}

impl Error for InvalidCidr {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusted(networks: &[&str]) -> Trusted {
        networks.iter().map(|network| parse(network).unwrap()).collect()
    }

    fn trusts(networks: &[&str], address: &str) -> bool {
        trusted(networks).contains(address.parse::<IpAddr>().unwrap().to_canonical())
    }

    #[test]
    fn mapped_addresses_and_networks_are_ipv4_ones() {
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
            assert!(trusts(&[network], "10.1.2.3"), "{network}");
            assert!(trusts(&[network], "::ffff:10.1.2.3"), "{network}");
            assert!(!trusts(&[network], "11.0.0.0"), "{network}");
        }
        assert!(trusts(&["::ffff:192.0.2.1"], "192.0.2.1"));
        assert!(trusts(&["::ffff:0:0/96"], "192.0.2.1"));
    }

    #[test]
    fn an_ipv6_network_trusts_no_ipv4_address() {
        for network in ["::/0", "::/64", "::/80", "::fffe:0:0/95"] {
            assert!(!trusts(&[network], "192.0.2.1"), "{network}");
            assert!(!trusts(&[network], "::ffff:192.0.2.1"), "{network}");
        }
        assert!(!trusts(&["0.0.0.0/0"], "::"));
    }

    #[test]
    fn nobody_is_trusted_without_networks() {
        assert!(!trusts(&[], "127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "2001:db8::/129", " 10.0.0.1"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{wrong:?}")) && error.contains("10.0.0.0/8"),
                "{error}"
            );
        }
    }

    prop_compose! {
        /// Networks and addresses from a small space, so that they meet.
        fn address()(v4: bool, high in 0..4_u32, low in 0..8_u32) -> IpAddr {
            let v4 = v4.then(|| IpAddr::from((high << 30 | low).to_be_bytes()));
            let v6 = u128::from(high) << 126 | 0xffff << 32 | u128::from(low);
            v4.unwrap_or(Ipv6Addr::from_bits(v6).into())
        }
    }

    proptest! {
        #[test]
        fn trusts_what_one_of_the_networks_has(
            networks in proptest::collection::vec((address(), 0..=128_u8), 0..8),
            asked in proptest::collection::vec(address(), 1..20),
        ) {
            let networks: Vec<_> = networks
                .into_iter()
                .map(|(address, bits)| {
                    let most = if address.is_ipv4() { 32 } else { 128 };
                    canonical(IpNet::new(address, bits.min(most)).unwrap())
                })
                .collect();
            let trusted: Trusted = networks.iter().copied().collect();
            for address in asked.into_iter().map(|address| address.to_canonical()) {
                let expected = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(trusted.contains(address), expected, "{} {:?}", address, networks);
            }
        }
    }
}
