//! Transfers of any size in constant memory, both ways.

use std::io::Read as _;
use std::time::Instant;

use crate::support::http::{Connection, Wire};
use crate::support::{Config, Gateway, Request, Site, Upstream};

const MEBIBYTE: u64 = 1 << 20;

/// What a transfer may add to the memory that the gateway has in use.
const ALLOWANCE: u64 = 48 * MEBIBYTE;

struct Figures {
    memory_before: u64,
    memory_peak: u64,
    seconds: f64,
}

/// A gateway in front of the zoo, and beside it a file of so many bytes (a hole, so that it costs no disk).
fn gateway(zoo: &Upstream, size: u64) -> Gateway {
    let site = Site::new();
    let file = site.write("files/large.mp4", "");
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(size)
        .unwrap();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("")
        .section(
            "[[routes]]\nname = \"files\"\npath = \"/files/{*file}\"\nfiles = \"files\"\nstrip = \"/files\"\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    // Both ways were walked once before anything is measured.
    gateway.get("/zoo/source/100000").expect(200);
    gateway
        .send(Request::get("/files/large.mp4").header("Range", "bytes=0-99999"))
        .expect(206);
    gateway
        .send(Request::new("POST", "/zoo/sink").body(vec![0; 100_000]))
        .expect(200);
    gateway
}

fn measure(gateway: &Gateway, transfer: impl FnOnce()) -> Figures {
    let memory_before = gateway.memory("VmRSS");
    let start = Instant::now();
    transfer();
    Figures {
        memory_before,
        memory_peak: gateway.memory("VmHWM"),
        seconds: start.elapsed().as_secs_f64(),
    }
}

fn download(gateway: &Gateway, path: &str, size: u64) -> Figures {
    measure(gateway, || {
        let mut wire = Wire::new(std::net::TcpStream::connect(gateway.http()).unwrap());
        std::io::Write::write_all(&mut wire.stream, &Request::get(path).bytes()).unwrap();
        let (line, headers) = wire.head().unwrap();
        assert!(line.contains(" 200 "), "{line}");
        let mut count = 0;
        wire.body_into(&headers, true, |piece| count += piece.len() as u64)
            .unwrap();
        assert_eq!(count, size);
    })
}

fn upload(gateway: &Gateway, size: u64) -> Figures {
    measure(gateway, || {
        let mut connection = Connection::open(gateway.http());
        let head = format!("POST /zoo/sink HTTP/1.1\r\nHost: video.test\r\nContent-Length: {size}\r\n\r\n");
        connection.write(head).unwrap();
        let mut source = std::io::repeat(b'j').take(size);
        let mut piece = vec![0; 256 * 1024];
        loop {
            match source.read(&mut piece).unwrap() {
                0 => break,
                count => connection.write(&piece[..count]).unwrap(),
            }
        }
        assert_eq!(connection.response(false).unwrap().expect(200).json()["received"], size);
    })
}

fn both_ways(size: u64) {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, size);
    let transfers = [
        (
            "download through the upstream",
            download(&gateway, &format!("/zoo/source/{size}"), size),
        ),
        ("download from disk", download(&gateway, "/files/large.mp4", size)),
        ("upload", upload(&gateway, size)),
    ];
    for (what, figures) in transfers {
        let Figures {
            memory_before,
            memory_peak,
            seconds,
        } = figures;
        println!(
            "{what}: {} MiB in {seconds:.1} s ({:.0} MiB/s), memory {} MiB before, {} MiB at most",
            size / MEBIBYTE,
            (size / MEBIBYTE) as f64 / seconds,
            memory_before / MEBIBYTE,
            memory_peak / MEBIBYTE,
        );
        assert!(
            memory_peak < memory_before + ALLOWANCE,
            "{what} took {} MiB",
            memory_peak / MEBIBYTE
        );
    }
}

#[test]
fn two_hundred_mebibytes_in_constant_memory() {
    both_ways(200 * MEBIBYTE);
}

#[test]
fn long_two_gibibytes_in_constant_memory() {
    if std::env::var_os("JANUA_LONG").is_none() {
        eprintln!("left to `make test-long`");
        return;
    }
    both_ways(2048 * MEBIBYTE);
}

#[test]
fn a_slow_reader_is_not_buffered_for() {
    let size = 200 * MEBIBYTE;
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, size);
    let before = gateway.memory("VmRSS");
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(gateway.http());
            connection
                .write(Request::get(&format!("/zoo/source/{size}")).bytes())
                .unwrap();
            connection.response_head().unwrap();
            connection.read(1000).unwrap();
            connection
        })
        .collect();
    // Others are served meanwhile, and nothing piles up for those who do not read.
    for _ in 0..50 {
        gateway.get("/a").expect(200);
    }
    assert!(gateway.memory("VmHWM") < before + ALLOWANCE);
    drop(readers);
}
