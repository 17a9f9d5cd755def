use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Which addresses webhooks may be sent to: the public Internet, and the networks that the operator allows.
///
/// Pure classification. It is applied at the door to literal addresses, and by the engine's connector to the
/// address that is connected to, after DNS, at every connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
}

/// Special-purpose IPv4 blocks (IANA registry, RFC 6890), the few that are globally reachable among them, and multicast:
/// no receiver of a customer lives there.
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Blocks inside `2000::/3` (all that is global unicast) that are special: Teredo, ORCHID and other protocol
/// assignments, documentation, 6to4.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// `64:ff9b::/96`, the well-known prefix by which NAT64 embeds IPv4 addresses (RFC 6052).
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
/// `2000::/3`: everything outside it is not global unicast.
const GLOBAL_UNICAST: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

impl AddressPolicy {
    /// The public Internet only.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// The public Internet, and `allowed` networks besides.
    pub fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether webhooks may be sent to `address`.
    pub fn permits(&self, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is judged as what it reaches.
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&address)) || is_public(address)
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4
            .iter()
            .any(|(net, len)| Ipv4Net::new_assert(*net, *len).contains(&v4)),
        IpAddr::V6(v6) => {
            if Ipv6Net::new_assert(NAT64, 96).contains(&v6) {
                let [.., a, b, c, d] = v6.octets();
                return is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
            }
            Ipv6Net::new_assert(GLOBAL_UNICAST, 3).contains(&v6)
                && !SPECIAL_V6
                    .iter()
                    .any(|(net, len)| Ipv6Net::new_assert(*net, *len).contains(&v6))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &AddressPolicy, text: &str) -> bool {
        policy.permits(text.parse().unwrap())
    }

    #[test]
    fn the_public_internet_is_permitted() {
        let policy = AddressPolicy::public_only();
        for good in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(permits(&policy, good), "{good}");
        }
    }

    #[test]
    fn reserved_addresses_are_not_in_any_clothes() {
        let policy = AddressPolicy::public_only();
        for bad in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!permits(&policy, bad), "{bad}");
        }
    }

    /// Written out rather than computed: each block's first and last address, and who lives beside it.
    #[test]
    fn blocks_are_closed_from_their_first_address_to_their_last_and_no_further() {
        const V4: [(&str, &str, &str, &str); 16] = [
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"),
            ("192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"),
            ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
        ];
        const V6: [(&str, &str, &str, &str); 6] = [
            ("", "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
            (
                "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001::",
                "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:200::",
            ),
            (
                "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::",
            ),
            (
                "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2002::",
                "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2003::",
            ),
            (
                "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff::",
                "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff:1000::",
            ),
            (
                "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "4000::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "",
            ),
        ];
        let policy = AddressPolicy::public_only();
        for (before, first, last, after) in V4.into_iter().chain(V6) {
            for inside in [first, last] {
                assert!(!permits(&policy, inside), "{inside}");
            }
            for outside in [before, after].into_iter().filter(|text| !text.is_empty()) {
                assert!(permits(&policy, outside), "{outside}");
            }
        }
        for (_, first, last, _) in V4 {
            for inside in [first, last] {
                assert!(!permits(&policy, &format!("::ffff:{inside}")), "{inside} as IPv6");
                assert!(
                    !permits(&policy, &format!("64:ff9b::{inside}")),
                    "{inside} by NAT64"
                );
            }
        }
    }

    #[test]
    fn the_operator_may_allow_networks() {
        let policy =
            AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        assert!(
            permits(&policy, "127.0.0.1")
                && permits(&policy, "::ffff:127.0.0.1")
                && permits(&policy, "fd00::1")
        );
        assert!(!permits(&policy, "10.0.0.1") && !permits(&policy, "::1"));
    }
}
