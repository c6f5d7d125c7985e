//! Ending well, and saying why a start fails.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::config::bytes;
use crate::support::{Config, Connection, Gateway, Request, Site, Upstream, eventually, tools};

fn lets_a_download_finish(signal: &str) {
    let zoo = Upstream::start();
    let config = Config::new()
        .server("shutdown_grace", r#""60s""#)
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("");
    let mut gateway = Site::new().start(&config);
    let mut download = Connection::open(gateway.http());
    download.write(Request::get("/zoo/gate").bytes()).unwrap();
    download.response_head().unwrap();
    assert_eq!(download.read(5).unwrap(), b"first");

    gateway.signal(signal);
    let address = gateway.http();
    eventually("new connections are refused", || {
        let late = Connection::try_open(address).and_then(|mut late| late.exchange_raw(Request::get("/late").bytes()));
        late.is_err().then_some(())
    });
    zoo.release();
    assert_eq!(download.read(6).unwrap(), b"second");
    drop(download);
    assert!(gateway.ended().success(), "{}", gateway.said());
}

#[test]
fn sigterm_lets_a_download_finish() {
    lets_a_download_finish("TERM");
}

#[test]
fn sigint_lets_a_download_finish() {
    lets_a_download_finish("INT");
}

#[test]
fn sigterm_lets_two_hundred_downloads_finish() {
    const LENGTH: usize = 4 << 20;
    let (site, zoo) = (Site::new(), Upstream::start());
    site.write("files/lecture.mp4", bytes(LENGTH));
    let files = "[[routes]]\nname = \"files\"\npath = \"/files/{*file}\"\nfiles = \"files\"\nstrip = \"/files\"\n\
                 allow = [{ anyone = true }]\n";
    let config = Config::new()
        .server("shutdown_grace", r#""60s""#)
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("")
        .section(files);
    let mut gateway = site.start(&config);
    let begin = |path: &str| {
        let mut download = Connection::open(gateway.http());
        download.write(Request::get(path).bytes()).unwrap();
        download.response_head().unwrap().expect(200);
        download
    };
    let (mut passed, mut read): (Vec<_>, Vec<_>) = (0..100)
        .map(|_| (begin("/zoo/gate"), begin("/files/lecture.mp4")))
        .unzip();
    gateway.signal("TERM");
    let address = gateway.http();
    eventually("new connections are refused", || Connection::try_open(address).err());
    zoo.release();
    for download in &mut passed {
        assert_eq!(download.read(11).unwrap(), b"firstsecond");
    }
    for download in &mut read {
        assert!(download.read(LENGTH).unwrap() == bytes(LENGTH));
    }
    drop((passed, read));
    assert!(gateway.ended().success(), "{}", gateway.said());
}

#[test]
fn grace_has_an_end() {
    let zoo = Upstream::start();
    let config = Config::new()
        .server("shutdown_grace", r#""1s""#)
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("");
    let mut gateway = Site::new().start(&config);
    let mut stuck = Connection::open(gateway.http());
    stuck.write(Request::get("/zoo/gate").bytes()).unwrap();
    stuck.response_head().unwrap();
    let _idle = Connection::open(gateway.http());
    gateway.signal("TERM");
    gateway.ended();
}

#[test]
fn an_idle_connection_does_not_hold_it_up() {
    let zoo = Upstream::start();
    let config = Config::new()
        .server("shutdown_grace", r#""10m""#)
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("");
    let mut gateway = Site::new().start(&config);
    let mut idle = Connection::open(gateway.http());
    idle.exchange(Request::get("/a")).expect(200);
    gateway.signal("TERM");
    assert!(gateway.ended().success(), "{}", gateway.said());
}

#[test]
fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["listen", "admin"] {
        let value = if key == "listen" {
            format!("[{address:?}]")
        } else {
            format!("{address:?}")
        };
        let (status, said) = Gateway::fails(
            &Site::new(),
            &Config::new().open_route().server(key, &value).text(),
            None,
        );
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains("in use"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn an_address_of_another_machine_is_told() {
    let config = Config::new().open_route().server("listen", r#"["192.0.2.1:8080"]"#);
    let (status, said) = Gateway::fails(&Site::new(), &config.text(), None);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("192.0.2.1:8080") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    let site = Site::new();
    let denied = site.write("denied.toml", Config::new().open_route().text());
    std::fs::set_permissions(&denied, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything, unless it gives that away.
    let binary = env!("CARGO_BIN_EXE_janua");
    let command = ["run", "--config", denied.to_str().unwrap()];
    let ran = if std::fs::read(&denied).is_ok() {
        let wrapper = [
            "--bounding-set=-dac_override,-dac_read_search",
            "--inh-caps=-dac_override,-dac_read_search",
            binary,
        ];
        tools::run("setpriv", wrapper.iter().chain(&command))
    } else {
        tools::janua(command)
    };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("denied.toml") && ran.stderr.to_lowercase().contains("permission"),
        "{}",
        ran.stderr
    );
}
