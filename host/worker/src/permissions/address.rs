//! Finds out which addresses are internal: on this machine, or in the networks around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Is this address not on the public Internet: loopback, link-local (clouds keep credentials there), private, or
/// reserved? A request to a name with such an address is refused, unless its rule has `+private`.
#[must_use]
pub fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inside_v4(v4),
        IpAddr::V6(v6) => is_inside_v6(v6),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    match a {
        // 0/8 is this machine on Linux. From 224 on, addresses are multicast, reserved or broadcast.
        0 | 10 | 127 | 224.. => true,
        // Addresses that the customers of a provider share.
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && c == 0),
        // For benchmarks of network devices.
        198 => b == 18 || b == 19,
        _ => false,
    }
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| is_inside_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        // An IPv4 address inside an IPv6 address: mapped (::ffff:0:0/96), compatible (::/96, which includes :: and
        // ::1), NAT64 (64:ff9b::/96, and the local 64:ff9b:1::/48), and 6to4 (2002::/16).
        (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || f == 0) => v4(g, h),
        (0x64, 0xff9b) => c != 0 || v4(g, h),
        (0x2002, _) => v4(b, c),
        // Unique local, link-local, the former site-local, and multicast.
        _ => a & 0xfe00 == 0xfc00 || a & 0xff80 == 0xfe80 || a & 0xff00 == 0xff00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_inside() {
        for inside in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:a00:1::",
        ] {
            assert!(is_inside(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "192.0.1.1",
            "169.253.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
            "2a00::1",
        ] {
            assert!(!is_inside(outside.parse().unwrap()), "{outside}");
        }
    }
}
