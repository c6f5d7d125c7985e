//! A multipart body on its way to Moodle: no byte of a part is sent on before its header was inspected.
//!
//! Only the plain form that browsers and libraries write is taken, because PHP reads others in ways of its own: it finds
//! parts after the closing delimiter and delimiters without CR, folds header lines, takes the last of two names, and breaks
//! lines of 5120 bytes in two. So the boundary's text may stand nowhere but in a delimiter, and a part's header must
//! be of one strict shape. The body itself is not changed.

use bytes::{Bytes, BytesMut};

use super::Refusal;
use super::functions::Permit;
use super::params::{self, MAX_FUNCTION, Meaning};
use super::urlencoded::MAX_HELD;

/// PHP breaks header lines that are longer than its buffer of 5120 bytes.
const MAX_HEADER: usize = 4096;
/// RFC 2046 section 5.1.1.
const MAX_BOUNDARY: usize = 70;

/// Takes a body piece by piece and gives what may be sent on.
pub struct Multipart {
    /// `--` and the boundary.
    dashed: Vec<u8>,
    state: State,
    /// What is not judged yet. Never longer than a header or a delimiter, and what came last.
    pending: BytesMut,
    /// What this part's content names.
    part: Meaning,
    /// Who may call what; `None` where no function is called.
    permit: Option<Permit>,
    function: Option<String>,
    /// Functions that another one is told to call.
    wrapped: usize,
    /// What is let through only once the function is known, and this part's content judged.
    held: BytesMut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first delimiter: nothing may stand before it.
    Start,
    /// Right behind a delimiter's boundary.
    Delimiter,
    Header,
    Content,
    /// Behind the last delimiter, where one line end may stand.
    End,
}

/// The next step of the scanner.
enum Step {
    /// So many bytes of what is pending may go.
    Release(usize, State),
    /// The same of a part's header, which says what its content is.
    Part(usize, Meaning),
    /// More must come first; so many bytes may go already.
    More(usize),
}

impl Multipart {
    /// `content_type` is the request's one `Content-Type`: `multipart/form-data; boundary=…` and nothing else.
    pub fn new(content_type: &str) -> Result<Self, Refusal> {
        let boundary = boundary(content_type)?;
        Ok(Self {
            dashed: [b"--", boundary.as_bytes()].concat(),
            state: State::Start,
            pending: BytesMut::new(),
            part: Meaning::Other,
            permit: None,
            function: None,
            wrapped: 0,
            held: BytesMut::new(),
        })
    }

    /// The body calls a function, unless the query has named one: `function`.
    pub fn calling(self, function: Option<String>, permit: Permit) -> Self {
        Self {
            permit: Some(permit),
            function,
            ..self
        }
    }

    /// The function that is called, once it is known.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// How many functions another one is told to call, until now.
    pub fn wrapped(&self) -> usize {
        self.wrapped
    }

    /// The next piece of the body in, what may be sent out.
    pub fn push(&mut self, piece: &[u8]) -> Result<Bytes, Refusal> {
        self.pending.extend_from_slice(piece);
        let mut out = BytesMut::new();
        loop {
            match self.step()? {
                Step::Release(bytes, next) => {
                    if self.state == State::Content {
                        self.end_content(bytes)?;
                    }
                    self.state = next;
                    self.release(bytes, &mut out)?;
                }
                Step::Part(bytes, meaning) => {
                    self.state = State::Content;
                    self.part = match self.permit {
                        Some(_) => meaning,
                        None => Meaning::Other,
                    };
                    self.release(bytes, &mut out)?;
                }
                Step::More(bytes) => {
                    self.release(bytes, &mut out)?;
                    return Ok(out.freeze());
                }
            }
        }
    }

    /// The end of the body, which must be a whole one.
    pub fn finish(&mut self) -> Result<Bytes, Refusal> {
        match (self.state, &*self.pending) {
            (State::End, _) if self.withholds() => Err(Refusal::Malformed("no wsfunction")),
            (State::End, b"" | b"\r\n") => Ok(self.pending.split().freeze()),
            _ => Err(Refusal::Malformed("the multipart body has no end")),
        }
    }

    /// Is anything to be judged yet before more may be sent?
    fn withholds(&self) -> bool {
        self.part != Meaning::Other || (self.permit.is_some() && self.function.is_none())
    }

    fn release(&mut self, bytes: usize, out: &mut BytesMut) -> Result<(), Refusal> {
        let released = self.pending.split_to(bytes);
        if !self.withholds() {
            join(out, self.held.split());
            join(out, released);
            return Ok(());
        }
        if self.held.len() + released.len() > MAX_HELD {
            return Err(Refusal::Malformed(
                "wsfunction stands too far back: name it first, or in the query",
            ));
        }
        self.held.extend_from_slice(&released);
        Ok(())
    }

    /// Judges the content of a part that names a function. `bytes` of what is pending are the content, the line end behind
    /// it and a delimiter.
    fn end_content(&mut self, bytes: usize) -> Result<(), Refusal> {
        let meaning = std::mem::replace(&mut self.part, Meaning::Other);
        let Some(permit) = self.permit.as_ref().filter(|_| meaning != Meaning::Other) else {
            return Ok(());
        };
        let end = bytes.saturating_sub(self.dashed.len() + 2);
        let name = params::plain_function_name(self.pending.get(..end).unwrap_or_default())?;
        match meaning {
            Meaning::Wrapped => {
                self.wrapped += 1;
                permit.check_wrapped(&name)
            }
            _ if self.function.is_some() => Err(Refusal::Malformed("wsfunction stands more than once")),
            _ => {
                permit.check(&name)?;
                self.function = Some(name);
                Ok(())
            }
        }
    }

    fn step(&self) -> Result<Step, Refusal> {
        let pending = &*self.pending;
        match self.state {
            State::Start => match starts(pending, &self.dashed) {
                Some(true) => Ok(Step::Release(self.dashed.len(), State::Delimiter)),
                Some(false) => Err(Refusal::Malformed("something stands before the first part")),
                None => Ok(Step::More(0)),
            },
            State::Delimiter => match (starts(pending, b"\r\n"), starts(pending, b"--")) {
                (Some(true), _) => Ok(Step::Release(2, State::Header)),
                (_, Some(true)) => Ok(Step::Release(2, State::End)),
                (Some(false), Some(false)) => Err(Refusal::Malformed("the boundary stands in a part's content")),
                _ => Ok(Step::More(0)),
            },
            State::Header => header(pending),
            State::Content => self.content(pending),
            State::End => match (starts(pending, b"\r\n"), pending.len()) {
                (Some(false), 1..) | (Some(true), 3..) => {
                    Err(Refusal::Malformed("something stands after the last part"))
                }
                _ => Ok(Step::More(0)),
            },
        }
    }

    /// Content up to the next delimiter; a delimiter's beginning at the end of what has come is kept.
    fn content(&self, pending: &[u8]) -> Result<Step, Refusal> {
        match find(pending, &self.dashed) {
            Some(at) if pending.get(..at).is_some_and(|content| content.ends_with(b"\r\n")) => {
                Ok(Step::Release(at + self.dashed.len(), State::Delimiter))
            }
            Some(_) => Err(Refusal::Malformed("the boundary stands in a part's content")),
            None if self.part != Meaning::Other => match pending.len() > MAX_FUNCTION + self.dashed.len() + 2 {
                true => Err(Refusal::Malformed("a part is no name of a function")),
                false => Ok(Step::More(0)),
            },
            None => {
                // The line end before a delimiter must still be seen with it.
                let kept = self.dashed.len() - 1 + 2;
                Ok(Step::More(pending.len().saturating_sub(kept)))
            }
        }
    }
}

/// One part's header, once its empty line has come.
fn header(pending: &[u8]) -> Result<Step, Refusal> {
    let too_long = Err(Refusal::Malformed("a part's header is too long"));
    let Some(end) = find(pending, b"\r\n\r\n") else {
        return if pending.len() > MAX_HEADER {
            too_long
        } else {
            Ok(Step::More(0))
        };
    };
    if end > MAX_HEADER {
        return too_long;
    }
    let lines = pending.get(..end).unwrap_or_default();
    let lines = std::str::from_utf8(lines).map_err(|_| Refusal::Malformed("a part's header is not UTF-8"))?;
    let mut seen: Vec<&str> = Vec::new();
    let mut named = None;
    for line in lines.split("\r\n") {
        let (name, value) = line
            .split_once(':')
            .ok_or(Refusal::Malformed("a part's header has a line without a name"))?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(token) || value.chars().any(char::is_control) {
            return Err(Refusal::Malformed("a part's header is malformed"));
        }
        if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Refusal::Malformed("a part's header has a line twice"));
        }
        seen.push(name);
        if name.eq_ignore_ascii_case("content-disposition") {
            named = Some(disposition(value)?);
        }
    }
    match named {
        Some(meaning) => Ok(Step::Part(end + 4, meaning)),
        None => Err(Refusal::Malformed("a part has no Content-Disposition")),
    }
}

/// `form-data; name="…"`, perhaps with `; filename="…"` and `; filename*=…`, each once. Plain texts need no quotes, and are
/// written without by .NET; in a quoted file name stands `\"`, which curl writes. PHP reads these in the same way
/// (`php_ap_getword`, main/rfc1867.c); it takes no notice of `filename*`, and `'` for a quote.
fn disposition(value: &str) -> Result<Meaning, Refusal> {
    let malformed = Refusal::Malformed("a part's Content-Disposition is not form-data; name=\"…\"; filename=\"…\"");
    let parts = disposition_parts(value).ok_or(malformed.clone())?;
    let once = |key: &str| {
        let mut texts = parts.iter().filter(|(known, _)| *known == key);
        texts.next().map(|(_, text)| (*text, texts.next().is_none()))
    };
    let (filename, extended) = (once("filename"), once("filename*"));
    let doubled = [filename, extended].into_iter().flatten().any(|(_, alone)| !alone);
    let (name, true) = once("name").filter(|_| !doubled).ok_or(malformed.clone())? else {
        return Err(malformed);
    };
    match params::meaning_of_text(name.as_bytes()) {
        Meaning::Token => Err(Refusal::Override),
        Meaning::FunctionArray => Err(Refusal::Malformed("wsfunction is a list")),
        // PHP makes no parameter of a file, but nothing sound is called so.
        Meaning::Function | Meaning::Wrapped if filename.is_some() => {
            Err(Refusal::Malformed("a file is no name of a function"))
        }
        meaning => Ok(meaning),
    }
}

/// The parameters behind `form-data`, without their quotes. `None`: of no shape that is known.
fn disposition_parts(value: &str) -> Option<Vec<(&str, &str)>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&+-.@[]^_`{|}~".contains(&byte);
    let mut rest = value.trim_start_matches(' ').strip_prefix("form-data")?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (key, value) = rest.strip_prefix(';')?.trim_start_matches(' ').split_once('=')?;
        let (text, after, fits) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = quoted.split_at_checked(closing_quote(quoted)?)?;
                let fits = match key {
                    "name" => !text.contains('\\'),
                    // With two, PHP and RFC 9110 would find the end at different quotes.
                    _ => key == "filename" && !text.contains("\\\\"),
                };
                (text, after.get(1..)?, fits)
            }
            None => {
                let (text, after) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
                let quotes = text.bytes().filter(|byte| *byte == b'\'').count();
                let fits = match key {
                    // RFC 8187: charset'language'value.
                    "filename*" => quotes == 2 && text.bytes().all(|byte| byte == b'\'' || plain(byte)),
                    _ => matches!(key, "name" | "filename") && !text.is_empty() && text.bytes().all(plain),
                };
                (text, after, fits)
            }
        };
        parts.push((key, text));
        rest = after;
        if !fits {
            return None;
        }
    }
    Some(parts)
}

/// Where the quote stands that no `\` escapes.
fn closing_quote(quoted: &str) -> Option<usize> {
    let mut quotes = quoted.match_indices('"');
    let end = quotes.find(|(at, _)| quoted.get(..*at).is_none_or(|before| !before.ends_with('\\')));
    end.map(|(at, _)| at)
}

/// PHP takes the first `boundary` that it finds anywhere in the header, in lower case if there is one, so no other parameter
/// may hold that word. A charset says nothing here; Spring and Apache HttpClient write one.
fn boundary(content_type: &str) -> Result<&str, Refusal> {
    const NAME: &str = "boundary";
    let malformed = Refusal::Malformed("the Content-Type is not multipart/form-data; boundary=…");
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default();
    let mut found = None;
    for parameter in parts {
        let (name, value) = parameter
            .trim_start_matches(' ')
            .split_once('=')
            .ok_or(malformed.clone())?;
        let value = value
            .strip_prefix('"')
            .map_or(Some(value), |quoted| quoted.strip_suffix('"'))
            .ok_or(malformed.clone())?;
        // RFC 2046's `bchars` without the space and without what PHP would end a boundary at.
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_-./:=?".contains(&byte);
        if !(1..=MAX_BOUNDARY).contains(&value.len()) || !value.bytes().all(sound) {
            return Err(malformed);
        }
        let is_boundary = name.eq_ignore_ascii_case(NAME) && found.is_none();
        let is_charset = name.eq_ignore_ascii_case("charset") && !value.to_ascii_lowercase().contains(NAME);
        match (is_boundary, is_charset) {
            (true, _) if name == NAME || !value.contains(NAME) => found = Some(value),
            (false, true) => {}
            _ => return Err(malformed),
        }
    }
    let is_form = media_type.eq_ignore_ascii_case("multipart/form-data");
    found.filter(|_| is_form).ok_or(malformed)
}

/// Does `text` begin so? `None`: too little of it has come.
fn starts(text: &[u8], with: &[u8]) -> Option<bool> {
    match text.len() < with.len() {
        true if with.starts_with(text) => None,
        true => Some(false),
        false => Some(text.starts_with(with)),
    }
}

/// Where `needle` begins. Its first byte is rare in most content, and looking for one byte is fast.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(rest) = text.get(from..) {
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if text.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Appends without a copy where nothing stands in front.
fn join(out: &mut BytesMut, piece: BytesMut) {
    match out.is_empty() {
        true => *out = piece,
        false => out.unsplit(piece),
    }
}

#[cfg(test)]
#[path = "multipart/tests.rs"]
mod tests;
