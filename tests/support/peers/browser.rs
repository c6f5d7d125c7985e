//! A browser's cookies and forms for one server, by HTTP.

use std::net::SocketAddr;
use std::sync::Mutex;

use url::Url;

use super::super::cas::query;
use super::super::http::{Connection, Request, Response};
use super::super::secrets::{self, Kind};

pub struct Browser {
    address: SocketAddr,
    cookies: Mutex<Vec<Cookie>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    path: String,
    value: String,
}

/// A page, and the address that it is at.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub text: String,
}

/// A form of a page: where it goes, and what is filled in already.
#[derive(Debug)]
pub struct Form {
    pub action: Url,
    pub fields: Vec<(String, String)>,
}

/// Where a way over redirects ends: at a page of this server, or at an address elsewhere, which is not opened.
#[derive(Debug)]
pub enum End {
    Page(Page),
    Elsewhere(Url),
}

impl Browser {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookies: Mutex::default(),
        }
    }

    /// Opens an address of this server, and goes on as long as that leads to another of its own.
    pub fn open(&self, url: &Url) -> End {
        let answer = self.send(url, Request::get);
        self.follow(url.clone(), answer)
    }

    /// Sends a form with these fields instead of, or beside, those that it has.
    pub fn submit(&self, form: &Form, fields: &[(&str, &str)]) -> End {
        let kept = form
            .fields
            .iter()
            .filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        let mut all: Vec<(&str, &str)> = kept.map(|(name, value)| (&**name, &**value)).collect();
        all.extend(fields);
        let origin = format!("http://{}", self.address);
        let answer = self.send(&form.action, |target| {
            Request::new("POST", target)
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Origin", &origin)
                .body(query(&all))
        });
        self.follow(form.action.clone(), answer)
    }

    fn follow(&self, mut url: Url, mut answer: Response) -> End {
        // More would be a circle.
        for _ in 0..12 {
            if ![301, 302, 303, 307].contains(&answer.status) {
                return End::Page(Page {
                    url,
                    status: answer.status,
                    text: answer.text(),
                });
            }
            let location = answer.header("location").expect("a redirect leads somewhere");
            secrets::register_tickets(location);
            url = url.join(location).unwrap();
            if let Some((_, code)) = url.query_pairs().find(|(name, _)| name == "code") {
                secrets::register(Kind::Ticket, &code);
            }
            if !self.is_own(&url) {
                return End::Elsewhere(url);
            }
            answer = self.send(&url, Request::get);
        }
        panic!("a circle at {url}");
    }

    pub fn is_own(&self, url: &Url) -> bool {
        url.scheme() == "http" && url.socket_addrs(|| None).is_ok_and(|all| all.contains(&self.address))
    }

    fn send(&self, url: &Url, request: impl FnOnce(&str) -> Request) -> Response {
        assert!(self.is_own(url), "{url} is another server's");
        let mut cookies = self.cookies.lock().unwrap();
        let sent: Vec<String> = cookies
            .iter()
            .filter(|cookie| url.path().starts_with(cookie.path.trim_end_matches('/')))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let request = request(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .host(url.authority())
            .header("Accept", "text/html")
            // CAS forgets a request for authorization that comes without one.
            .header("User-Agent", "Mozilla/5.0 (tests)")
            .header("Connection", "close");
        let request = match sent.is_empty() {
            true => request,
            false => request.header("Cookie", &sent.join("; ")),
        };
        let answer = Connection::open(self.address).exchange(request);
        for set in answer.all("set-cookie") {
            let (cookie, is_over) = Cookie::of(set);
            cookies.retain(|known| (&known.name, &known.path) != (&cookie.name, &cookie.path));
            if !is_over {
                secrets::register(Kind::Session, &cookie.value);
                cookies.push(cookie);
            }
        }
        answer
    }
}

impl Page {
    /// The form with this id.
    pub fn form(&self, id: &str) -> Option<Form> {
        let mut forms = self.text.split("<form").skip(1);
        let form = forms.find(|form| attribute(tag(form), "id").as_deref() == Some(id))?;
        let form = form.split("</form>").next()?;
        let action = attribute(tag(form), "action").unwrap_or_default();
        let inputs = form.split("<input").skip(1).map(tag);
        let fields = inputs.filter_map(|input| {
            let value = attribute(input, "value").unwrap_or_default();
            Some((attribute(input, "name")?, value))
        });
        Some(Form {
            action: self.url.join(&action).unwrap(),
            fields: fields.collect(),
        })
    }
}

impl Cookie {
    /// And whether it is taken away (RFC 6265 section 5.2).
    fn of(set: &str) -> (Self, bool) {
        let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = |wanted: &str| {
            attributes.split(';').find_map(|part| {
                let (name, value) = part.trim().split_once('=')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
            })
        };
        let is_over = value.is_empty() || attribute("max-age").as_deref() == Some("0");
        let cookie = Self {
            name: name.trim().to_owned(),
            path: attribute("path").unwrap_or_else(|| "/".to_owned()),
            value: value.to_owned(),
        };
        (cookie, is_over)
    }
}

/// The rest of a tag.
fn tag(text: &str) -> &str {
    text.split('>').next().unwrap_or_default()
}

/// A value in a tag, with its escapes undone.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let before = format!("{name}=\"");
    let mut places = tag.match_indices(&before);
    let (at, _) = places.find(|(at, _)| tag[..*at].ends_with(char::is_whitespace))?;
    let value = tag[at + before.len()..].split('"').next()?;
    Some(
        value
            .replace("&#39;", "'")
            .replace("&quot;", "\"")
            .replace("&amp;", "&"),
    )
}
