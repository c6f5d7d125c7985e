//! The measure of the frame: a pingora program that does nothing but proxy. This very program, started anew.

use std::net::SocketAddr;
use std::process::Command;

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Opt, Result, Server, http_proxy_service};
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::configuration::ServerConf;

/// The argument by which this program knows that it is the bare proxy; its port and its upstream's follow.
const ARGUMENT: &str = "--bare-proxy";

/// How it is started.
pub(super) fn command(port: u16, upstream: u16) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([ARGUMENT, &port.to_string(), &upstream.to_string()]);
    Ok(command)
}

/// Never returns if this process is the bare proxy.
pub(super) fn run_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, port, upstream] = &arguments[..] else {
        return;
    };
    if what != ARGUMENT {
        return;
    }
    let conf = ServerConf {
        threads: 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();
    let upstream = SocketAddr::from(([127, 0, 0, 1], upstream.parse().expect("a port")));
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&format!("127.0.0.1:{port}"));
    server.add_service(service);
    server.run_forever();
}

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}
