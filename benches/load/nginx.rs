//! nginx as a peer and as an upstream: one worker, no access log, an open-file cache.

use std::fs;
use std::path::Path;
use std::process::Child;

use super::peers::{CALL, pinned, site_info};
use super::{Result, SERVER_CORE, on_path};

/// Serves the files, or passes everything on to `proxy`.
pub(super) fn nginx(folder: &Path, name: &str, port: u16, proxy: Option<u16>, core: &str) -> Result<Child> {
    start_nginx(folder, name, (port, ""), proxy, core)
}

/// Serves the files over TLS, HTTP/2 too.
pub(super) fn nginx_tls(folder: &Path, port: u16) -> Result<Child> {
    start_nginx(folder, "server", (port, "ssl http2"), None, SERVER_CORE)
}

fn start_nginx(folder: &Path, name: &str, (port, how): (u16, &str), proxy: Option<u16>, core: &str) -> Result<Child> {
    let prefix = folder.join(name);
    fs::create_dir_all(&prefix)?;
    let downloads = folder.join("downloads");
    let root = downloads.display();
    let serve = match proxy {
        None => format!(
            "location /static/ {{ alias {root}/; }} location / {{ root {root}; }}\n\
             location = {CALL} {{ default_type application/json; return 200 '{}'; }}",
            site_info()
        ),
        Some(upstream) => format!("upstream back {{ server 127.0.0.1:{upstream}; keepalive 64; }} "),
    };
    let (before, inside) = match proxy {
        None => (String::new(), serve),
        Some(_) => (
            serve,
            "location /proxied/ { proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection ''; }"
                .into(),
        ),
    };
    let tls = match how.contains("ssl") {
        true => {
            let folder = folder.display();
            format!("ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;")
        }
        false => String::new(),
    };
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;\n\
         events {{ worker_connections 10000; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         {before} server {{ listen 127.0.0.1:{port} {how}; {tls} {inside} }} }}\n"
    );
    let file = prefix.join("nginx.conf");
    fs::write(&file, config)?;
    let program = on_path("nginx").ok_or("nginx is not on PATH")?;
    Ok(pinned(core, &program)
        .arg("-p")
        .arg(&prefix)
        .arg("-c")
        .arg(file)
        .spawn()?)
}
