//! An address that stands in a gateway.toml before the gateway listens there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of loopback that the system gives to nobody who lets it choose, while this lives: it is bound, yet does not
/// listen. A server that names the port and sets `SO_REUSEADDR` (nearly all do) can listen on it all the same; until one
/// does, connections are refused.
pub struct Reserved {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl Reserved {
    /// This port of 127.0.0.1; as [`Self::at`].
    pub fn new(port: u16) -> io::Result<Self> {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// This port, or with 0 one that the system chooses. An error if somebody listens on it, or may not be shared with.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = match address.ip() {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            _bound: socket,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn one_server_may_listen_and_nobody_gets_it_by_chance() {
        let reserved = Reserved::new(0).unwrap();
        let address = reserved.address();
        assert_eq!(
            TcpStream::connect(address).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        let others: Vec<_> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let others: BTreeSet<_> = others.iter().map(|other| other.local_addr().unwrap()).collect();
        assert!(!others.contains(&address));

        let server = TcpListener::bind(address).unwrap();
        TcpStream::connect(address).unwrap();
        assert_eq!(
            Reserved::new(address.port()).err().unwrap().kind(),
            ErrorKind::AddrInUse
        );
        drop(server);
    }
}
