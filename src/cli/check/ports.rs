//! The ports that the gateway would listen on: are they free, and if not, who has them?

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustix::process::geteuid;

use super::Report;
use crate::config::Config;
use crate::control::{self, About};
use crate::server;

/// Takes each port for a moment. One that is taken by the gateway that runs with this very file is as it should be.
pub(super) async fn check(config: &Config, file: &Path, report: &Report) {
    let server = &config.server;
    let tls = server.tls.iter().map(|listener| ("server.tls.listen", listener.listen));
    let plain = server.listen.iter().map(|address| ("server.listen", *address));
    let wanted = plain.chain(tls).chain([("server.admin", server.admin)]);
    let mut running = None;
    for (key, address) in wanted {
        let Err(error) = server::bind(key, address) else {
            continue;
        };
        let what = format!("{key} {address}");
        match error.io_kind() {
            Some(io::ErrorKind::AddrInUse) => {}
            // The gateway may be started with a right that this process does not have.
            Some(io::ErrorKind::PermissionDenied) => {
                report.note(&what, &error.remedy());
                continue;
            }
            _ => {
                report.bad(&what, &error.remedy());
                continue;
            }
        }
        if running.is_none() {
            running = Some(control::about(&server.control).await);
        }
        let about = running.as_ref().and_then(|about| about.as_ref().ok());
        let is_denied = matches!(&running, Some(Err(error)) if error.is_denied());
        match about.filter(|about| about.listens.iter().any(|taken| is_same(*taken, address))) {
            Some(about) if is_same_file(&about.config, file) => {
                report.good(
                    &what,
                    &format!(
                        "taken by the gateway that runs with this file (process {})",
                        about.process
                    ),
                );
            }
            Some(about) => report.bad(&what, &taken_by_gateway(about)),
            None => match holder(address) {
                // Of another user's process nothing can be seen.
                None if is_denied => report.note(
                    &what,
                    &format!("taken, maybe by the gateway itself; {}", may_be_asked_by_others(config)),
                ),
                who => {
                    let who = who.unwrap_or_else(|| "another process (`ss -ltnp` names it)".to_owned());
                    report.bad(&what, &format!("taken by {who}: end that one, or choose another port"));
                }
            },
        }
    }
}

/// Why it is not known which gateway runs there.
pub(super) fn may_be_asked_by_others(config: &Config) -> String {
    let (control, user) = (config.server.control.display(), geteuid().as_raw());
    format!(
        "its control socket {control} cannot be asked by this user (uid {user}): run the check as the gateway's user"
    )
}

fn taken_by_gateway(about: &About) -> String {
    let (process, config) = (about.process, about.config.display());
    format!("taken by the gateway that runs with {config} (process {process}): end that one, or choose another port")
}

/// Would one of them be in the other's way? An unspecified address takes the port everywhere.
fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// `nginx (process 812)`; `None` where this user may not see whose it is.
fn holder(address: SocketAddr) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| listening(line, address))
                .collect::<Vec<_>>()
        })
        .collect();
    process_with(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
}

/// `nginx (process 812)`, if one has this open that this user may look at: a file's path, or the kernel's name of a socket.
pub(super) fn process_with(is_it: impl Fn(&Path) -> bool) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(open) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut links = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        if links.any(|link| is_it(&link)) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", command.trim()));
        }
    }
    None
}

/// `socket:[4711]`, if this line of `/proc/net/tcp` is a listening socket that is in the way of `address` (proc_pid_net(5)).
fn listening(line: &str, address: SocketAddr) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of 32 bits in the byte order of the machine.
    let word = |place: usize| {
        let digits = ip.get(place * 8..place * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).to_canonical()
        }
        _ => return None,
    };
    (*state == LISTEN && is_same(SocketAddr::new(ip, port), address)).then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let line = |local: &str, state: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   0   0 4711 1 0 100 0 0 10 0"
            )
        };
        let at = |text: &str| text.parse().unwrap();
        let found = Some("socket:[4711]".to_owned());
        assert_eq!(listening(&line("0100007F:1F90", "0A"), at("127.0.0.1:8080")), found);
        assert_eq!(listening(&line("00000000:1F90", "0A"), at("127.0.0.1:8080")), found);
        assert_eq!(listening(&line("0100007F:1F90", "0A"), at("0.0.0.0:8080")), found);
        let v6 = "00000000000000000000000001000000:1F90";
        assert_eq!(listening(&line(v6, "0A"), at("[::1]:8080")), found);
        assert_eq!(listening(&line("0100007F:1F90", "01"), at("127.0.0.1:8080")), None);
        assert_eq!(listening(&line("0200007F:1F90", "0A"), at("127.0.0.1:8080")), None);
        assert_eq!(listening(&line("0100007F:1F91", "0A"), at("127.0.0.1:8080")), None);
        assert_eq!(
            listening("  sl  local_address rem_address   st", at("127.0.0.1:8080")),
            None
        );
    }

    #[test]
    fn whose_port_it_is_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let told = holder(socket.local_addr().unwrap()).unwrap();
        assert!(told.ends_with(&format!("(process {})", std::process::id())), "{told}");
    }
}
