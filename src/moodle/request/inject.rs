//! Where the token goes, and what else changes on a request's way to Moodle.
//!
//! A GET of the REST script goes on as POST with its query kept and the token in the body, which keeps it out of Moodle's
//! access log; an urlencoded body gets it first and last; everywhere else it stands in the query. A
//! [`Plan`] is made once from the head and serves every attempt, with whatever token.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::Refusal;
use super::endpoint::Endpoint;
use super::functions::{self, Permit};
use super::multipart::Multipart;
use super::params::{self, Called};
use super::urlencoded::{Form, Wanted};
use crate::headers::content_length;
use crate::moodle::token::Token;
use crate::present;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// A request as it goes to Moodle, without its body.
pub struct Head<'a> {
    /// Canonical and decoded, as Moodle gets it.
    pub path: &'a str,
    pub method: &'a Method,
    /// Without `?`, and without what the gateway itself has read there.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

/// How this request is to be changed.
pub struct Plan {
    endpoint: Endpoint,
    method: Method,
    query: Option<String>,
    content: Content,
    content_length: Option<u64>,
    /// From the query.
    function: Option<String>,
    /// Functions that the query tells another one to call.
    wrapped: usize,
    permit: Permit,
}

/// What the client's body is.
enum Content {
    /// None, and none may come.
    Nothing,
    Form,
    /// With its `Content-Type`.
    Multipart(String),
    /// PHP reads no parameters from it.
    Opaque,
}

/// What the upstream gets instead of the client's head.
pub struct Changes {
    pub method: Method,
    /// With the token in it, unless that is in the body.
    pub query: Option<String>,
    pub head: present::Changes,
}

/// A body on its way: pieces in, pieces out.
pub enum Body {
    /// The token instead of no body; sent at the end.
    Made(Option<Bytes>),
    Nothing,
    Form(Box<Form>),
    Multipart(Box<Multipart>),
    Opaque,
    /// None may come: which functions it would call cannot be judged.
    Unreadable,
}

/// Judges a head. `permit` is what this person may call here; a function named in the query is checked at once.
pub fn plan(head: &Head<'_>, permit: Permit) -> Result<Plan, Refusal> {
    let endpoint = Endpoint::of(head.path)?;
    if !endpoint.methods().contains(head.method) {
        return Err(Refusal::Method(endpoint.methods()));
    }
    let Called { function, wrapped } = params::scan_query(head.query.unwrap_or_default())?;
    let content = content(head)?;
    let content_length = content_length(head.headers);
    if content_length.is_none() && head.headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Refusal::Malformed("the Content-Length is malformed"));
    }
    if matches!(content, Content::Nothing) && has_body(head.headers, content_length) {
        return Err(Refusal::Malformed("only a POST may have a body here"));
    }
    if endpoint == Endpoint::Rest {
        match (&function, &content) {
            (Some(function), _) => permit.check(function)?,
            (None, Content::Form | Content::Multipart(_)) => {}
            (None, _) => return Err(Refusal::Malformed("no wsfunction in the query")),
        }
        wrapped.iter().try_for_each(|function| permit.check_wrapped(function))?;
    }
    if endpoint == Endpoint::Upload {
        permit.check_upload()?;
    }
    Ok(Plan {
        endpoint,
        method: head.method.clone(),
        query: head.query.map(str::to_owned),
        content,
        content_length,
        function,
        wrapped: wrapped.len(),
        permit,
    })
}

impl Plan {
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Does the token stand in the body, where PHP's `post_max_size` may lose it?
    pub fn token_in_body(&self) -> bool {
        let rest = self.endpoint == Endpoint::Rest;
        rest && (matches!(self.content, Content::Form) || self.method == Method::GET)
    }

    /// The function that the query names.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// How many calls this is, as far as the body has come: a batch counts as many as are in it.
    pub fn calls(&self, body: &Body) -> usize {
        match body.function().or(self.function()) {
            Some(functions::WRAPPER) => (self.wrapped + body.wrapped()).max(1),
            _ => 1,
        }
    }

    /// What the upstream gets instead of the client's head.
    pub fn changes(&self, token: &Token) -> Changes {
        let mut changes = Changes {
            method: self.method.clone(),
            query: self.query.clone(),
            // Moodle's web services look at neither, and the answer must be readable.
            head: present::Changes {
                remove: vec![header::AUTHORIZATION, header::COOKIE, header::ACCEPT_ENCODING],
                set: vec![(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))],
                ..present::Changes::default()
            },
        };
        let head = &mut changes.head;
        let pair = self.pair(token);
        if !self.token_in_body() {
            changes.query = Some(match &self.query {
                Some(query) => format!("{pair}&{query}"),
                None => pair,
            });
        } else if self.method == Method::GET {
            changes.method = Method::POST;
            head.remove.push(header::TRANSFER_ENCODING);
            head.set.push((header::CONTENT_TYPE, HeaderValue::from_static(FORM)));
            head.set.push((header::CONTENT_LENGTH, HeaderValue::from(pair.len())));
        } else if let Some(length) = self.content_length {
            let longer = length.saturating_add(Form::added(&pair));
            head.set.push((header::CONTENT_LENGTH, HeaderValue::from(longer)));
        }
        changes
    }

    /// A transformer for the client's body, one for each attempt.
    pub fn body(&self, token: &Token) -> Result<Body, Refusal> {
        let pair = self.token_in_body().then(|| self.pair(token));
        Ok(match (&self.content, pair) {
            (Content::Nothing, Some(pair)) => Body::Made(Some(pair.into())),
            (Content::Nothing, None) => Body::Nothing,
            (Content::Form, pair) => Body::Form(Box::new(Form::new(Wanted {
                token: pair,
                function: self.function.clone(),
                permit: (self.endpoint == Endpoint::Rest).then(|| self.permit.clone()),
            }))),
            (Content::Multipart(content_type), _) => {
                let multipart = Multipart::new(content_type)?;
                Body::Multipart(Box::new(match self.endpoint {
                    Endpoint::Rest => multipart.calling(self.function.clone(), self.permit.clone()),
                    Endpoint::Upload | Endpoint::File => multipart,
                }))
            }
            (Content::Opaque, _) if self.function.as_deref() == Some(functions::WRAPPER) => Body::Unreadable,
            (Content::Opaque, _) => Body::Opaque,
        })
    }

    fn pair(&self, token: &Token) -> String {
        format!("{}={}", self.endpoint.token_parameter(), token.reveal())
    }
}

impl Body {
    /// The next piece of the client's body in, what may be sent out; maybe nothing yet.
    pub fn push(&mut self, piece: Bytes) -> Result<Bytes, Refusal> {
        match self {
            Self::Made(_) | Self::Nothing if piece.is_empty() => Ok(Bytes::new()),
            Self::Made(_) | Self::Nothing => Err(Refusal::Malformed("only a POST may have a body here")),
            Self::Form(form) => form.push(&piece),
            Self::Multipart(multipart) => multipart.push(&piece),
            Self::Opaque => Ok(piece),
            Self::Unreadable if piece.is_empty() => Ok(piece),
            Self::Unreadable => Err(Refusal::Malformed(
                "a body that names functions is application/x-www-form-urlencoded or multipart/form-data",
            )),
        }
    }

    /// The function that it has named until now.
    pub fn function(&self) -> Option<&str> {
        match self {
            Self::Form(form) => form.function(),
            Self::Multipart(multipart) => multipart.function(),
            Self::Made(_) | Self::Nothing | Self::Opaque | Self::Unreadable => None,
        }
    }

    fn wrapped(&self) -> usize {
        match self {
            Self::Form(form) => form.wrapped(),
            Self::Multipart(multipart) => multipart.wrapped(),
            Self::Made(_) | Self::Nothing | Self::Opaque | Self::Unreadable => 0,
        }
    }

    /// The client's body has ended: the last that is sent. Called once.
    pub fn finish(&mut self) -> Result<Bytes, Refusal> {
        match self {
            Self::Made(body) => Ok(body.take().unwrap_or_default()),
            Self::Nothing | Self::Opaque | Self::Unreadable => Ok(Bytes::new()),
            Self::Form(form) => form.finish(),
            Self::Multipart(multipart) => multipart.finish(),
        }
    }
}

/// What PHP would make of the body: it looks at `Content-Type` up to the first `;`, `,` or space.
fn content(head: &Head<'_>) -> Result<Content, Refusal> {
    if *head.method != Method::POST {
        return Ok(Content::Nothing);
    }
    // A server in front of PHP may unpack it, and then something else arrives than what was judged.
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::Malformed("a body with a Content-Encoding cannot be judged"));
    }
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let Some(content_type) = types.next() else {
        return Ok(Content::Opaque);
    };
    let content_type = content_type
        .to_str()
        .map_err(|_| Refusal::Malformed("the Content-Type is malformed"))?;
    if types.next().is_some() {
        return Err(Refusal::Malformed("two Content-Types"));
    }
    let essence = content_type.split([';', ',', ' ']).next().unwrap_or_default();
    let lower = content_type.to_ascii_lowercase();
    if essence.eq_ignore_ascii_case(FORM) {
        Ok(Content::Form)
    } else if essence.eq_ignore_ascii_case(MULTIPART) {
        Multipart::new(content_type).map(|_| Content::Multipart(content_type.to_owned()))
    } else if lower.contains("form-data") || lower.contains("x-www-form-urlencoded") {
        Err(Refusal::Malformed("the Content-Type is ambiguous"))
    } else {
        Ok(Content::Opaque)
    }
}

fn has_body(headers: &HeaderMap, content_length: Option<u64>) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) || content_length.is_some_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::moodle::request::functions::testing::permit;

    const TOKEN: &str = "45e8d5226f8d38cf5f15767e0d057350";

    fn planned(method: Method, target: &str, headers: &[(HeaderName, &'static str)]) -> Result<Plan, Refusal> {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        let head = Head {
            path,
            method: &method,
            query,
            headers: &headers,
        };
        plan(&head, permit(&["core_*"]))
    }

    /// Method, query and body as Moodle gets them.
    fn sent(plan: &Plan, body: &'static str) -> (Method, Option<String>, String, Changes) {
        let token = Token::parse(TOKEN).unwrap();
        let changes = plan.changes(&token);
        let mut transformer = plan.body(&token).unwrap();
        let mut out = transformer.push(Bytes::from(body)).unwrap().to_vec();
        out.extend(transformer.finish().unwrap());
        (
            changes.method.clone(),
            changes.query.clone(),
            String::from_utf8(out).unwrap(),
            changes,
        )
    }

    fn length(changes: &Changes) -> Option<String> {
        let mut lengths = changes
            .head
            .set
            .iter()
            .filter(|(name, _)| *name == header::CONTENT_LENGTH);
        lengths.next().map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_get_goes_on_as_post_and_keeps_its_query() {
        let plan = planned(Method::GET, "/webservice/rest/server.php?wsfunction=core_a&x=1", &[]).unwrap();
        let (method, query, body, changes) = sent(&plan, "");
        assert_eq!(method, Method::POST);
        assert_eq!(query.as_deref(), Some("wsfunction=core_a&x=1"));
        assert_eq!(body, format!("wstoken={TOKEN}"));
        assert_eq!(length(&changes), Some(body.len().to_string()));
        assert!(
            changes
                .head
                .set
                .contains(&(header::CONTENT_TYPE, HeaderValue::from_static(FORM)))
        );
    }

    #[test]
    fn a_form_gets_the_token_in_its_body_and_the_right_length() {
        let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8");
        let fields = [form.clone(), (header::CONTENT_LENGTH, "17")];
        let plan = planned(Method::POST, "/webservice/rest/server.php", &fields).unwrap();
        let (_, query, body, changes) = sent(&plan, "wsfunction=core_a");
        assert_eq!(query, None);
        assert_eq!(body, format!("wstoken={TOKEN}&wsfunction=core_a&wstoken={TOKEN}"));
        assert_eq!(length(&changes), Some(body.len().to_string()));
        let chunked = planned(Method::POST, "/webservice/rest/server.php", &[form]).unwrap();
        assert_eq!(length(&chunked.changes(&Token::parse(TOKEN).unwrap())), None);
    }

    #[test]
    fn everywhere_else_it_stands_in_the_query_and_the_body_stays() {
        let multipart = (header::CONTENT_TYPE, "multipart/form-data; boundary=B");
        let content = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nhello\r\n--B--\r\n";
        let fields = [multipart, (header::CONTENT_LENGTH, "77")];
        let upload = planned(Method::POST, "/webservice/upload.php", &fields).unwrap();
        let (method, query, body, changes) = sent(&upload, content);
        assert_eq!((method, query), (Method::POST, Some(format!("token={TOKEN}"))));
        assert_eq!((body.as_str(), length(&changes)), (content, None));
        let rest = planned(Method::POST, "/webservice/rest/server.php?wsfunction=core_a", &fields).unwrap();
        assert_eq!(
            sent(&rest, content).1,
            Some(format!("wstoken={TOKEN}&wsfunction=core_a"))
        );
        let file = planned(Method::GET, "/webservice/pluginfile.php/1/a?forcedownload=1", &[]).unwrap();
        let (method, query, body, _) = sent(&file, "");
        assert_eq!(
            (method, query),
            (Method::GET, Some(format!("token={TOKEN}&forcedownload=1")))
        );
        assert_eq!(body, "");
        let head = planned(Method::HEAD, "/webservice/pluginfile.php/1/a", &[]).unwrap();
        assert_eq!(sent(&head, "").0, Method::HEAD);
    }

    const WRAPPED_QUERY: &str = "/webservice/rest/server.php?wsfunction=core_a&requests[0][function]=mod_a";

    type Case<'a> = (Method, &'a str, &'a [(HeaderName, &'static str)]);

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let rest = "/webservice/rest/server.php?wsfunction=core_a";
        let cases: [Case<'_>; 21] = [
            (Method::HEAD, rest, &[]),
            (Method::HEAD, "/webservice/rest/server.php/x?wsfunction=core_a", &[]),
            (Method::HEAD, "/webservice/upload.php", &[]),
            (Method::GET, WRAPPED_QUERY, &[]),
            (Method::POST, WRAPPED_QUERY, &[(header::CONTENT_TYPE, FORM)]),
            (
                Method::POST,
                WRAPPED_QUERY,
                &[(header::CONTENT_TYPE, "application/json")],
            ),
            (
                Method::GET,
                "/webservice/rest/server.php?wsfunction=core_a&+requests%5B0%5D%5Bfunction%5D=mod_a",
                &[],
            ),
            (
                Method::GET,
                "/webservice/rest/server.php?wsfunction=core_a&requests[0][function]=Core_a",
                &[],
            ),
            (
                Method::GET,
                "/webservice/rest/server.php?wsfunction=core_a&requests[0][function]=core_b&requests[1][function]=mod_a",
                &[],
            ),
            (Method::GET, rest, &[(header::CONTENT_LENGTH, "1")]),
            (Method::GET, rest, &[(header::TRANSFER_ENCODING, "chunked")]),
            (Method::PUT, rest, &[]),
            (Method::OPTIONS, rest, &[]),
            (Method::GET, "/webservice/upload.php", &[]),
            (Method::GET, "/webservice/rest/server.php", &[]),
            (
                Method::POST,
                "/webservice/rest/server.php",
                &[(header::CONTENT_TYPE, "application/json")],
            ),
            (Method::GET, "/webservice/rest/server.php?wsfunction=mod_a", &[]),
            (
                Method::POST,
                rest,
                &[(header::CONTENT_TYPE, FORM), (header::CONTENT_ENCODING, "gzip")],
            ),
            (
                Method::POST,
                rest,
                &[(header::CONTENT_TYPE, "multipart/form-data\t; boundary=a")],
            ),
            (
                Method::POST,
                rest,
                &[(header::CONTENT_TYPE, "multipart/form-data; boundary=a; boundary=b")],
            ),
            (Method::GET, "/webservice/pluginfile.php/1?to%6ben=1", &[]),
        ];
        for (method, target, fields) in cases {
            assert!(
                planned(method.clone(), target, fields).is_err(),
                "{method} {target} {fields:?}"
            );
        }
        let mut two = HeaderMap::new();
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        two.append(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        let head = Head {
            path: "/webservice/upload.php",
            method: &Method::POST,
            query: None,
            headers: &two,
        };
        assert!(plan(&head, permit(&[])).is_err());
    }
}
