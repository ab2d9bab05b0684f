//! Where the server can be reached: never 0.0.0.0.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sysinfo::Networks;

/// Every address that reaches a server listening on `listen`, best first.
pub(crate) fn reachable(listen: SocketAddr) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let networks = Networks::new_with_refreshed_list().ok();
    let all = networks
        .iter()
        .flat_map(|networks| networks.iter())
        .flat_map(|(_, network)| network.ip_networks().iter().map(|network| network.addr));
    let mut found: Vec<IpAddr> = all.filter(|ip| usable(*ip) && (listen.is_ipv6() || ip.is_ipv4())).collect();
    found.sort_by_key(|ip| (ip.is_ipv6(), *ip));
    found.dedup();
    found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    found.into_iter().map(|ip| SocketAddr::new(ip, listen.port())).collect()
}

/// Link-local IPv6 needs a zone, which no browser takes in an address.
fn usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_never_shown() {
        for listen in ["0.0.0.0:80", "[::]:80"] {
            let found = reachable(listen.parse().expect("is an address"));
            assert!(found.iter().all(|address| !address.ip().is_unspecified() && address.port() == 80));
            assert!(found.contains(&"127.0.0.1:80".parse().expect("is an address")));
        }
        assert_eq!(reachable("127.0.0.1:9".parse().expect("is an address")).len(), 1);
    }
}
