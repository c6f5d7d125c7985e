//! The pages that people see: in their language, with the site's name and colours, for everybody who has to read them.

mod read;
mod told;

use crate::support::cas::CasServer;
use crate::support::{Config, Gateway, Request, Reserved, Signer, Site};
use serde_json::json;

/// A picture that would run a script if it were opened as a document.
const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"48\" height=\"48\" viewBox=\"0 0 48 48\">\
                    <script>document.title = \"run\"</script>\
                    <rect width=\"48\" height=\"48\" rx=\"10\" fill=\"#7a1f3d\"/>\
                    <path d=\"M12 34V20l12-8 12 8v14z\" fill=\"#fff\"/></svg>";

const PAGES: &str = r##"
[pages]
name    = "Example College of Arts & Sciences"
logo    = "logo.svg"
home    = "https://www.example.edu/?a&b"
support = "mailto:help@example.edu"
colours = { accent = "#7a1f3d", background = "#f4ece4" }
"##;

/// A route for each way in which a person is refused.
const ROUTES: &str = r#"
[sign_in.guests]
title = "Guests & friends"
[sign_in.guests.cas]
server = "{cas}"

[sign_in.away.oidc]
issuer    = "http://127.0.0.1:1"
client_id = "janua"

[upstreams.dead]
servers = ["http://127.0.0.1:1"]

[[routes]]
name    = "app"
path    = "/app/{*rest}"
respond = { status = 204 }
accept  = ["session"]
sign_in = "campus"
allow   = [{ signed_in = true }]

[[routes]]
name    = "staff"
path    = "/staff/{*rest}"
respond = { status = 204 }
accept  = ["session"]
sign_in = "campus"
allow   = [{ role = "ROLE_STAFF" }]

[[routes]]
name    = "either"
path    = "/either/{*rest}"
respond = { status = 204 }
accept  = ["session"]
sign_in = ["campus", "guests"]
allow   = [{ signed_in = true }]

[[routes]]
name    = "unable"
path    = "/unable/{*rest}"
respond = { status = 204 }
accept  = ["session"]
sign_in = "away"
allow   = [{ signed_in = true }]

[[routes]]
name     = "dead"
path     = "/dead/{*rest}"
upstream = "dead"
allow    = [{ anyone = true }]

[[routes]]
name    = "busy"
path    = "/busy"
respond = { status = 204 }
limits  = { rate = "1/h" }
allow   = [{ anyone = true }]
"#;

const COURSE: &str = r#"
[[routes]]
name    = "course"
host    = "localhost"
path    = "/course"
respond = { file = "course.html" }
allow   = [{ anyone = true }]
"#;

/// A gateway with all that, whose people sign in at a CAS server.
struct Town {
    signer: Signer,
    gateway: Gateway,
    _cas: Option<CasServer>,
    _port: Reserved,
}

impl Town {
    /// `pages` is the section. `cas`: nobody signs in where there is none.
    fn new(pages: &str, cas: Option<CasServer>) -> Self {
        let (site, signer) = (Site::with_lecture(), Signer::new());
        site.write("logo.svg", LOGO);
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let server = cas.as_ref().map_or("http://127.0.0.1:1/cas".to_owned(), CasServer::url);
        // Another site, one of whose pages shows one of the gateway's in a frame.
        site.write(
            "course.html",
            format!(
                "<!doctype html><html lang=en><title>Course</title><main><h1>Course</h1><iframe title=Video width=340 \
                 height=500 src=\"http://{address}/app/x\"></iframe></main>"
            ),
        );
        let course = format!("http://localhost:{}", address.port());
        let (urls, routes) = match &cas {
            Some(_) => (vec![format!("http://{address}"), course], COURSE),
            None => (vec![format!("http://{address}")], ""),
        };
        let config = Config::media(&site, &signer)
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("{urls:?}"))
            .section(routes)
            .section(pages)
            .section(&format!("[sign_in.campus.cas]\nserver = \"{server}\"\n"))
            .section(&ROUTES.replace("{cas}", &server));
        Self {
            gateway: site.start(&config),
            signer,
            _cas: cas,
            _port: port,
        }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.gateway.http())
    }

    /// The page of another site.
    fn course(&self) -> String {
        format!("http://localhost:{}/course", self.gateway.http().port())
    }

    /// As a browser asks that wants these languages.
    fn page(&self, target: &str, languages: &str) -> Request {
        let request = Request::get(target)
            .host(&self.gateway.http().to_string())
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "document")
            .header("Accept", "text/html");
        match languages {
            "" => request,
            languages => request.header("Accept-Language", languages),
        }
    }

    /// The lecture, by a link that was good until ten minutes ago.
    fn old_link(&self) -> String {
        let old = json!({ "exp": crate::support::now() - 600, "oc": { "e:lecture-1": ["read"] } });
        format!("/static/org/player/lecture-1/video.mp4?jwt={}", self.signer.token(&old))
    }
}
