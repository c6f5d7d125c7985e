//! An object store that checks what is signed as AWS says ("Authenticating Requests: Using Query Parameters"), written from that
//! text and not from the gateway's code, and that answers with what stores say of themselves.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};

use super::double::Double;
use super::http::{Fields, Wire, values};
use super::tokens::now;

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const BUCKET: &str = "lectures";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Fields,
}

/// What the store has and has seen.
#[derive(Default)]
struct State {
    objects: HashMap<String, Vec<u8>>,
    seen: Vec<Seen>,
    /// Answered instead of what is asked for: a status and headers.
    instead: Option<(u16, String)>,
    token: Option<String>,
}

pub struct ObjectStore {
    double: Double,
    state: Arc<Mutex<State>>,
}

impl ObjectStore {
    pub fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        Self {
            double: Double::start(move |mut wire| while let Ok(true) = serve(&mut wire, &served) {}),
            state,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.double.address)
    }

    pub fn put(&self, key: &str, object: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().objects.insert(key.to_owned(), object.into());
    }

    /// From now on every good request is answered so; `None`: as before.
    pub fn answers(&self, instead: Option<(u16, &str)>) {
        self.state.lock().unwrap().instead = instead.map(|(status, headers)| (status, headers.to_owned()));
    }

    /// A session token that requests must bring.
    pub fn wants_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }
}

fn serve(wire: &mut Wire, state: &Mutex<State>) -> io::Result<bool> {
    let (line, headers) = wire.head()?;
    wire.body(&headers, false)?;
    let mut words = line.split(' ');
    let seen = Seen {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        headers,
    };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let text = percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned();
    let object = text
        .strip_prefix(&format!("/{BUCKET}/"))
        .and_then(|key| state.objects.get(key))
        .cloned();
    let refusal = match is_signed(&seen, path, query, state.token.as_deref()) {
        Err(code) => Some((403, String::new(), code)),
        Ok(()) => match (&state.instead, &object) {
            (Some((status, headers)), _) => Some((*status, headers.clone(), "Instead")),
            (None, None) => Some((404, String::new(), "NoSuchKey")),
            (None, Some(_)) => None,
        },
    };
    drop(state);
    let to_head = seen.method == "HEAD";
    let common =
        "x-amz-request-id: 4442587FB7D0A2F9\r\nx-amz-id-2: abc\r\nx-amz-meta-owner: staff\r\nServer: AmazonS3\r\n";
    if let Some((status, more, code)) = refusal {
        let body = format!(
            "<Error><Code>{code}</Code><BucketName>{BUCKET}</BucketName><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>"
        );
        let head = format!(
            "HTTP/1.1 {status} No\r\n{common}{more}Content-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        wire.stream.write_all(head.as_bytes())?;
        wire.stream.write_all(if to_head { &[][..] } else { body.as_bytes() })?;
        return Ok(true);
    }
    let object = object.unwrap_or_default();
    let (status, range, piece) = match values(&seen.headers, "range")
        .first()
        .and_then(|range| part(range, object.len()))
    {
        Some((first, last)) => (
            "206 Partial Content",
            format!("Content-Range: bytes {first}-{last}/{}\r\n", object.len()),
            &object[first..=last],
        ),
        None => ("200 OK", String::new(), &object[..]),
    };
    if values(&seen.headers, "if-none-match") == ["\"tag\""] {
        write!(
            wire.stream,
            "HTTP/1.1 304 Not Modified\r\n{common}ETag: \"tag\"\r\n\r\n"
        )?;
        return Ok(true);
    }
    write!(
        wire.stream,
        "HTTP/1.1 {status}\r\n{common}{range}ETag: \"tag\"\r\nAccept-Ranges: bytes\r\nContent-Type: binary/octet-stream\r\n\
         Last-Modified: Wed, 12 Oct 2009 17:50:00 GMT\r\nSet-Cookie: a=b\r\nContent-Length: {}\r\n\r\n",
        piece.len()
    )?;
    if !to_head {
        wire.stream.write_all(piece)?;
    }
    Ok(true)
}

/// `bytes=first-last`, both there.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first < length).then(|| (first, last.min(length - 1)))
}

/// The code of S3's error where it is not.
fn is_signed(seen: &Seen, path: &str, query: &str, token: Option<&str>) -> Result<(), &'static str> {
    if values(&seen.headers, "authorization").len() + values(&seen.headers, "x-amz-date").len() > 0 {
        return Err("InvalidArgument");
    }
    let mut pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let value = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let decoded = |name: &str| {
        let value = value(name).ok_or("AccessDenied")?;
        Ok::<_, &str>(
            percent_encoding::percent_decode_str(value)
                .decode_utf8_lossy()
                .into_owned(),
        )
    };
    let (algorithm, credential) = (decoded("X-Amz-Algorithm")?, decoded("X-Amz-Credential")?);
    let (date, expires) = (decoded("X-Amz-Date")?, decoded("X-Amz-Expires")?);
    let (signed_headers, signature) = (decoded("X-Amz-SignedHeaders")?, decoded("X-Amz-Signature")?);
    if value("X-Amz-Security-Token").is_some() != token.is_some() {
        return Err("InvalidToken");
    }
    if let Some(token) = token
        && decoded("X-Amz-Security-Token")? != token
    {
        return Err("InvalidToken");
    }
    let [key, day, region, service, end]: [&str; 5] = credential
        .split('/')
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "AccessDenied")?;
    if algorithm != "AWS4-HMAC-SHA256"
        || signed_headers != "host"
        || (region, service, end) != ("eu-test-1", "s3", "aws4_request")
    {
        return Err("AuthorizationQueryParametersError");
    }
    if key != KEY {
        return Err("InvalidAccessKeyId");
    }
    let asked = seconds(&date).ok_or("AccessDenied")?;
    let expires: u64 = expires.parse().map_err(|_| "AccessDenied")?;
    if !date.starts_with(day) || asked > now() + 900 || now() > asked + expires {
        return Err("RequestTimeTooSkewed");
    }
    pairs.retain(|(name, _)| *name != "X-Amz-Signature");
    pairs.sort_unstable();
    let canonical: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = values(&seen.headers, "host").concat();
    let request = format!(
        "{}\n{path}\n{}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        seen.method,
        canonical.join("&")
    );
    let scope = format!("{day}/{region}/s3/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref())
    );
    let keyed = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
            .as_ref()
            .to_vec()
    };
    let mut signing = format!("AWS4{SECRET}").into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        signing = keyed(&signing, part);
    }
    match hex(&keyed(&signing, &text)) == signature {
        true => Ok(()),
        false => Err("SignatureDoesNotMatch"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seconds since 1970 of `20130524T000000Z`.
fn seconds(date: &str) -> Option<u64> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let years = |year: u64| year * 365 + year / 4 - year / 100 + year / 400;
    let leap = u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)));
    let before =
        [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334].get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let days = years(year - 1) - years(1969) + before + u64::from(month > 2) * leap + day - 1;
    Some(days * 86_400 + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?)
}
