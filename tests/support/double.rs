//! A server on a port of the system's choice that gives each connection to a function, on a thread of its own.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::http::Wire;
use super::wait::eventually;

/// Ends on drop, with all its connections: like a server that is switched off.
pub struct Double {
    pub address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Default)]
struct Connections {
    made: Vec<TcpStream>,
    ended: bool,
}

impl Double {
    pub fn start(serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        Self::serving(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    /// At an address where one has ended.
    pub fn start_again(address: SocketAddr, serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        // Its listener ends a moment after it.
        let listener = eventually("the address is free", || TcpListener::bind(address).ok());
        Self::serving(listener, serve)
    }

    fn serving(listener: TcpListener, serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        let double = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&double.connections);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut connections = connections.lock().unwrap();
                if connections.ended {
                    return;
                }
                connections.made.push(stream.try_clone().unwrap());
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || {
                    let wire = Wire::new(stream);
                    let stream = wire.stream.try_clone();
                    serve(wire);
                    // The clone kept above would hold it open.
                    stream.and_then(|stream| stream.shutdown(Shutdown::Both))
                });
            }
        });
        double
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().made.len()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let mut connections = self.connections.lock().unwrap();
        connections.ended = true;
        for stream in connections.made.drain(..) {
            // An error here means that it has ended already.
            drop(stream.shutdown(Shutdown::Both));
        }
        // Wakes the listener, which then sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}
