//! Answers with the headers that Moodle's scripts give.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub const WS_CACHE: &str = "private, must-revalidate, pre-check=0, post-check=0, max-age=0";
const NO_STORE: &str = "no-store, no-cache, must-revalidate";

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let answer = Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        answer.with("Content-Type", content_type)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// PHP's spelling: slashes are escaped.
    pub fn json(value: &Value) -> Vec<u8> {
        value.to_string().replace('/', "\\/").into_bytes()
    }

    pub fn html(status: u16, text: &str) -> Self {
        Self::new(
            status,
            "text/html; charset=utf-8",
            format!("<!DOCTYPE html><p class=\"errormessage\">{text}</p>"),
        )
    }

    /// nginx's own page, in front of PHP.
    pub fn of_nginx(status: u16, phrase: &str) -> Self {
        let head = format!("<head><title>{status} {phrase}</title></head>");
        let body = format!(
            "<body>\r\n<center><h1>{status} {phrase}</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>"
        );
        Self::new(
            status,
            "text/html",
            format!("<html>\r\n{head}\r\n{body}\r\n</html>\r\n"),
        )
    }

    /// A page of an error, in the site's language: what it is stands in the link for more about it. The theme has addresses
    /// of its own that look like that.
    pub fn error_page(module: &str, code: &str, text: &str) -> Self {
        let theme = "<link rel=\"stylesheet\" href=\"/theme/campus/error/style.css\"><a href=\"/local/help/error/page/start\">?</a>";
        let link = format!("<a href=\"http://docs.moodle.org/404/en/error/{module}/{code}\">?</a>");
        Self::html(404, &format!("{theme}{text}</p><p class=\"errorcode\">{link}"))
    }

    /// The page within its body, which says whether somebody is signed in.
    pub fn in_body(mut self, is_somebody: bool) -> Self {
        let class = if is_somebody { "" } else { " notloggedin" };
        let body = format!("<body  id=\"page-site-index\" class=\"format-site path-site{class} theme uses-drawers\">");
        self.body.splice(0..0, body.into_bytes());
        self
    }

    /// An answer of the REST script, as JSON or as XML, which is the default.
    pub fn rest(format: Option<&str>, body: String) -> Self {
        let answer = match format {
            Some("json") => Self::new(200, "application/json", body),
            _ => Self::new(200, "application/xml; charset=utf-8", body)
                .with("Content-Disposition", "inline; filename=\"response.xml\""),
        };
        answer
            .with("Cache-Control", WS_CACHE)
            .with("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
            .with("Pragma", "no-cache")
            .with("Access-Control-Allow-Origin", "*")
    }

    pub fn exception(format: Option<&str>, class: &str, code: &str, message: &str) -> Self {
        let body = match format {
            Some("json") => format!("{{\"exception\":\"{class}\",\"errorcode\":\"{code}\",\"message\":\"{message}\"}}"),
            _ => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<EXCEPTION class=\"{class}\">\n<ERRORCODE>{code}</ERRORCODE>\n\
                 <MESSAGE>{message}</MESSAGE>\n</EXCEPTION>\n"
            ),
        };
        Self::rest(format, body)
    }

    /// The same with `$CFG->debugdisplay`.
    pub fn with_debug_info(mut self, text: &str) -> Self {
        let body = String::from_utf8(self.body).unwrap();
        let body = match body.strip_suffix('}') {
            Some(json) => format!("{json},\"debuginfo\":\"{text}\"}}"),
            None => body.replace("</EXCEPTION>", &format!("<DEBUGINFO>{text}</DEBUGINFO>\n</EXCEPTION>")),
        };
        self.body = body.into_bytes();
        self
    }

    /// An error of the scripts that answer like AJAX.
    pub fn error(status: u16, content_type: &str, code: &str, message: &str) -> Self {
        let body = format!(
            "{{\"error\":{},\"errorcode\":\"{code}\",\"stacktrace\":null,\"debuginfo\":null,\"reproductionlink\":null}}",
            String::from_utf8(Self::json(&json!(message))).unwrap()
        );
        Self::new(status, content_type, body)
            .with("Access-Control-Allow-Origin", "*")
            .with("Cache-Control", &format!("{NO_STORE}, post-check=0, pre-check=0"))
            .with("Pragma", "no-cache")
            .with("Expires", "Mon, 20 Aug 1969 09:23:00 GMT")
    }

    /// A redirect of a page with a session.
    pub fn redirect(status: u16, location: &str) -> Self {
        let answer = Self::new(status, "text/html; charset=utf-8", "")
            .with("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
            .with("Cache-Control", NO_STORE)
            .with("Pragma", "no-cache")
            .with("Location", location);
        match status {
            303 => answer.with("X-Redirect-By", "Moodle").with("Content-Language", "en"),
            _ => answer,
        }
    }

    pub fn moodle_session(self, id: &str) -> Self {
        self.with("Set-Cookie", &format!("MoodleSession={id}; path=/; secure; HttpOnly"))
    }

    pub fn bytes(&self, to_head: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let named = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let chunked = self.status != 304 && !named("content-length");
        if chunked {
            head += "Transfer-Encoding: chunked\r\n";
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if to_head || self.status == 304 {
            return bytes;
        }
        if chunked && !self.body.is_empty() {
            bytes.extend(format!("{:x}\r\n", self.body.len()).bytes());
        }
        bytes.extend(&self.body);
        if chunked {
            bytes.extend(if self.body.is_empty() {
                &b"0\r\n\r\n"[..]
            } else {
                &b"\r\n0\r\n\r\n"[..]
            });
        }
        bytes
    }
}
