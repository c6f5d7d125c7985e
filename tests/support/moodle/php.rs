//! How PHP reads a request: names, duplicates, the two kinds of body, and `array_merge($_GET, $_POST)`.

use std::collections::HashMap;

use super::Settings;
use crate::support::http::{Fields, values};

pub struct Request {
    pub path: String,
    pub query: String,
    pub headers: Fields,
    pub body: Vec<u8>,
    get: HashMap<String, Value>,
    post: HashMap<String, Value>,
    pub files: Vec<File>,
    /// The body was larger than `post_max_size`: PHP dropped `$_POST`.
    pub dropped: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Array,
}

#[derive(Debug, Clone)]
pub struct File {
    pub name: String,
    pub content: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str, headers: Fields, body: Vec<u8>, settings: &Settings) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            path: path.replace("//", "/"),
            query: query.to_owned(),
            headers,
            body,
            get: urlencoded(query.as_bytes()),
            post: HashMap::new(),
            files: Vec::new(),
            dropped: false,
        };
        let content_type = request.header("content-type").unwrap_or_default().to_owned();
        let essence = content_type
            .split([';', ',', ' '])
            .next()
            .unwrap_or_default()
            .to_lowercase();
        request.dropped = request.body.len() > settings.post_max_size;
        if method == "POST" && !request.dropped {
            match essence.as_str() {
                "application/x-www-form-urlencoded" => request.post = urlencoded(&request.body),
                "multipart/form-data" => request.multipart(&content_type),
                _ => {}
            }
        }
        request
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).first().copied()
    }

    /// A cookie's value. Of several `Cookie` fields PHP behind nginx 1.22 sees the last one alone.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let fields = values(&self.headers, "cookie");
        let pairs = fields.last().copied().unwrap_or_default().split("; ");
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The script and its PATH_INFO.
    pub fn script(&self) -> (&str, &str) {
        match self.path.find(".php") {
            Some(at) => self.path.split_at(at + 4),
            None => (&self.path, ""),
        }
    }

    /// A parameter; the body beats the query.
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.post.get(name).or_else(|| self.get.get(name))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.param(name)? {
            Value::Text(text) => Some(text),
            Value::Array => None,
        }
    }

    /// The query without one parameter, in its order: what phpCAS makes its service URL of.
    pub fn target_without(&self, name: &str) -> String {
        let kept = self
            .query
            .split('&')
            .filter(|pair| !pair.starts_with(&format!("{name}=")) && !pair.is_empty());
        let query = kept.collect::<Vec<_>>().join("&");
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{query}", self.path),
        }
    }

    fn multipart(&mut self, content_type: &str) {
        let boundary = content_type
            .split_once("boundary=")
            .map_or("", |(_, boundary)| boundary.trim_matches('"'));
        let delimiter = format!("\r\n--{boundary}");
        let body = [b"\r\n", self.body.as_slice()].concat();
        let mut places: Vec<usize> = Vec::new();
        let mut from = 0;
        while let Some(at) = find(&body[from..], delimiter.as_bytes()) {
            places.push(from + at);
            from += at + delimiter.len();
        }
        for ends in places.windows(2) {
            let part = &body[ends[0] + delimiter.len() + 2..ends[1]];
            let Some(end) = find(part, b"\r\n\r\n") else { continue };
            let header = String::from_utf8_lossy(&part[..end]).into_owned();
            let content = part[end + 4..].to_vec();
            let quoted = |key: &str| {
                let (_, rest) = header.split_once(&format!("; {key}=\""))?;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            };
            match (quoted("name"), quoted("filename")) {
                (_, Some(name)) => self.files.push(File { name, content }),
                (Some(name), None) => register(&mut self.post, name.as_bytes(), &content),
                (None, None) => {}
            }
        }
    }
}

pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn urlencoded(text: &[u8]) -> HashMap<String, Value> {
    let mut params = HashMap::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || decode(halves.next().unwrap_or_default());
        let name = half();
        register(&mut params, &name, &half());
    }
    params
}

fn decode(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced).collect()
}

/// `php_register_variable`: the last of several counts.
fn register(params: &mut HashMap<String, Value>, name: &[u8], value: &[u8]) {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let name = name.trim_start_matches(' ');
    let (stem, value) = match name.split_once('[') {
        Some((stem, _)) => (stem, Value::Array),
        None => (name, Value::Text(String::from_utf8_lossy(value).into_owned())),
    };
    if !stem.is_empty() {
        params.insert(stem.replace([' ', '.'], "_"), value);
    }
}
