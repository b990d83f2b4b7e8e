use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn client(address: &str) -> ClientNet {
    ClientNet::of(address.parse().unwrap())
}

fn hash_of(client: ClientNet) -> u128 {
    /// Keeps what is written, and allows one write.
    #[derive(Default)]
    struct Once(Option<u128>);
    impl Hasher for Once {
        fn finish(&self) -> u64 {
            unreachable!("nobody asks")
        }
        fn write(&mut self, _: &[u8]) {
            panic!("not a number of 128 bits")
        }
        fn write_u128(&mut self, written: u128) {
            assert_eq!(self.0.replace(written), None, "a second write");
        }
    }
    let mut once = Once::default();
    client.hash(&mut once);
    once.0.expect("a write")
}

#[test]
fn ipv4_clients_on_an_ipv6_listener_are_told_apart() {
    let (one, other) = (client("::ffff:192.0.2.1"), client("::ffff:192.0.2.2"));
    assert_ne!(one, other);
    assert_ne!(hash_of(one), hash_of(other));
    assert_eq!(one, client("192.0.2.1"));
    assert_eq!(one.to_string(), "192.0.2.1");
    // As short as a prefix may be, it is one of IPv6 addresses.
    let prefix = Ipv6Prefix::new(1);
    assert_eq!(ClientNet::within("::ffff:192.0.2.1".parse().unwrap(), prefix), one);
}

#[test]
fn ipv6_addresses_are_grouped_by_64_bits_unless_told_otherwise() {
    assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2:ffff::"));
    assert_ne!(client("2001:db8:1:2::"), client("2001:db8:1:3::"));
    assert_eq!(client("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    let address = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
    for (bits, expected) in [
        (1, "::/1"),
        (48, "2001:db8:1234::/48"),
        (56, "2001:db8:1234:5600::/56"),
        (128, "2001:db8:1234:5678:9abc:def0:1234:5678/128"),
    ] {
        let client = ClientNet::within(address, Ipv6Prefix::new(bits));
        assert_eq!((client.to_string().as_str(), client.prefix_len()), (expected, bits));
    }
}

#[test]
fn clients_are_read_from_text() {
    for (text, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::1/128", "2001:db8::1/128"),
        ("2001:db8:0:ff::/56", "2001:db8::/56"),
    ] {
        assert_eq!(text.parse::<ClientNet>().unwrap().to_string(), expected);
    }
    for wrong in
        ["", "localhost", "192.0.2.0/24", "2001:db8::/0", "2001:db8::/129", "::ffff:1.2.3.4/128"]
    {
        let error = wrong.parse::<ClientNet>().unwrap_err().to_string();
        assert!(
            error.contains(&format!("{wrong:?}")) && error.contains("2001:db8::/56"),
            "{error}"
        );
    }
}

#[test]
fn a_prefix_has_1_to_128_bits() {
    for bits in [0, 129, 255] {
        let error = Ipv6Prefix::try_new(bits).unwrap_err().to_string();
        assert!(error.contains(&bits.to_string()) && error.contains("1 to 128"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_ipv6_network_is_taken_for_an_ipv4_client(v4: u32, v6: u128, near in 0..=64_u32, bits in 1..=128_u8) {
        let v4 = Ipv4Addr::from_bits(v4);
        // Around the mapped addresses, and anywhere.
        let near = v4.to_ipv6_mapped().to_bits() ^ (1 << (near + 32));
        for v6 in [near, v6] {
            let v6 = Ipv6Addr::from_bits(v6);
            prop_assume!(v6.to_ipv4_mapped().is_none());
            let prefix = Ipv6Prefix::new(bits);
            let (v4, v6) = (ClientNet::within(v4.into(), prefix), ClientNet::within(v6.into(), prefix));
            prop_assert!(v4 != v6 && hash_of(v4) != hash_of(v6));
            prop_assert!(v6.first().is_ipv6() && v4.first().is_ipv4());
        }
    }

    #[test]
    fn clients_are_read_back_as_shown(address: u128, bits in 1..=128_u8) {
        let address = Ipv6Addr::from_bits(address).into();
        let client = ClientNet::within(address, Ipv6Prefix::new(bits));
        prop_assert_eq!(client.to_string().parse(), Ok(client));
    }
}
