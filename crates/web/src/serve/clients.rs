//! How many connections each client has open: one address cannot take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Open connections by client.
pub(super) struct Clients {
    most: usize,
    /// Addresses that speak for many clients.
    uncounted: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; it is free again when this is dropped.
pub(super) struct Seat {
    clients: Arc<Clients>,
    client: Option<IpAddr>,
}

impl Clients {
    pub(super) fn new(most: usize, uncounted: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, uncounted, open: Mutex::default() })
    }

    /// A place for one more connection from this address; `None` when it has all that one may have.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = address.to_canonical();
        if self.uncounted.iter().any(|net| net.contains(&address)) {
            return Some(Seat { clients: Arc::clone(self), client: None });
        }
        let client = client(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Seat { clients: Arc::clone(self), client: Some(client) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut open = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&client);
            }
        }
    }
}

/// Who an address stands for: whoever has one IPv6 address has the other 2^64 of its network too.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn seats_are_counted_per_client_and_given_back() {
        let clients = Clients::new(2, vec!["10.0.0.0/8".parse().expect("a network")]);
        let first = clients.seat(ip("192.0.2.1")).expect("is free");
        let second = clients.seat(ip("::ffff:192.0.2.1")).expect("is free");
        assert!(clients.seat(ip("192.0.2.1")).is_none(), "both ways of writing it are one address");
        assert!(clients.seat(ip("192.0.2.2")).is_some(), "another client has its own");
        drop(second);
        let third = clients.seat(ip("192.0.2.1")).expect("is free again");
        drop((first, third));
        assert!(clients.open.lock().expect("is not poisoned").is_empty(), "nothing is kept of who is gone");

        let taken: Vec<_> =
            ["2001:db8::1", "2001:db8::2"].map(ip).into_iter().map(|address| clients.seat(address).expect("is free")).collect();
        assert!(clients.seat(ip("2001:db8::3")).is_none(), "one network of IPv6 is one client");
        assert!(clients.seat(ip("2001:db8:0:1::1")).is_some());
        drop(taken);
        let many: Vec<_> = (0..9).map(|_| clients.seat(ip("10.0.0.1"))).collect();
        assert!(many.iter().all(Option::is_some), "a proxy is not counted");
    }
}
