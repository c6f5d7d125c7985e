//! Condition `from`: does the client's address lie in one of the networks?

use std::net::IpAddr;

use ipnet::IpNet;

/// An IPv4 client on an IPv6 socket (`::ffff:192.0.2.1`) is an IPv4 client.
pub(super) fn within(client: IpAddr, nets: &[IpNet]) -> bool {
    let client = client.to_canonical();
    nets.iter().any(|net| net.contains(&client))
}
