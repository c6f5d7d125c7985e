//! An urlencoded body on its way to Moodle: no pair is sent on before its name was judged.
//!
//! A parameter that would override the token ends the transfer; the called function is found, and until it is found and
//! allowed nothing is sent at all. The token stands first and last: PHP's `max_input_vars` may drop the end of a long
//! form, and of two equal names the last one counts.

use bytes::{BufMut, Bytes, BytesMut};

use super::Refusal;
use super::functions::Permit;
use super::params::{self, MAX_FUNCTION, Meaning};

/// Longest name, as written. Names in Moodle's forms have a few dozen characters.
const MAX_NAME: usize = 4096;
/// Longest value of `wsfunction`, as written: an escape takes three bytes for one.
const MAX_VALUE: usize = MAX_FUNCTION * 3;
/// How far into the body `wsfunction` may stand.
pub const MAX_HELD: usize = 256 << 10;

/// What the scanner has to see to.
pub struct Wanted {
    /// `name=value` of the token, if it goes into the body.
    pub token: Option<String>,
    /// The function that the query has named already.
    pub function: Option<String>,
    /// Who may call what; `None` where no function is called.
    pub permit: Option<Permit>,
}

/// Takes a body piece by piece and gives what may be sent on.
pub struct Form {
    wanted: Wanted,
    /// What is let through only once the function is known.
    held: BytesMut,
    state: State,
    /// The name or the function's value, as far as it has come.
    word: Vec<u8>,
    started: bool,
    /// Functions that another one is told to call.
    wrapped: usize,
}

enum State {
    Name,
    Value,
    /// The value of `wsfunction`.
    Function,
    /// The value of `requests[…][function]`.
    Wrapped,
}

impl Form {
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            held: BytesMut::new(),
            state: State::Name,
            word: Vec::new(),
            started: false,
            wrapped: 0,
        }
    }

    /// The function that is called, once it is known.
    pub fn function(&self) -> Option<&str> {
        self.wanted.function.as_deref()
    }

    /// How many functions another one is told to call, until now.
    pub fn wrapped(&self) -> usize {
        self.wrapped
    }

    /// By how much the body gets longer; nothing unless a token goes into it.
    pub fn added(token: &str) -> u64 {
        (token.len() as u64 + 1) * 2
    }

    /// The next piece of the body in, what may be sent out.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<Bytes, Refusal> {
        let mut out = BytesMut::with_capacity(piece.len() + 64);
        while !piece.is_empty() {
            piece = match self.state {
                State::Value => self.pass_value(piece, &mut out)?,
                State::Name | State::Function | State::Wrapped => self.collect(piece, &mut out)?,
            };
        }
        Ok(out.freeze())
    }

    /// The end of the body: what was left, and the token once more.
    pub fn finish(&mut self) -> Result<Bytes, Refusal> {
        let mut out = BytesMut::new();
        match self.state {
            State::Name => self.end_name(None, &mut out)?,
            State::Function | State::Wrapped => self.end_function(None, &mut out)?,
            State::Value => {}
        }
        if self.wanted.permit.is_some() && self.wanted.function.is_none() {
            return Err(Refusal::Malformed("no wsfunction"));
        }
        self.send(b"", &mut out)?;
        if let Some(token) = &self.wanted.token {
            out.put_u8(b'&');
            out.put_slice(token.as_bytes());
        }
        Ok(out.freeze())
    }

    fn pass_value<'a>(&mut self, piece: &'a [u8], out: &mut BytesMut) -> Result<&'a [u8], Refusal> {
        let end = piece.iter().position(|byte| *byte == b'&');
        let (value, rest) = piece.split_at(end.map_or(piece.len(), |at| at + 1));
        if end.is_some() {
            self.state = State::Name;
        }
        self.send(value, out)?;
        Ok(rest)
    }

    /// A name up to `=` or `&`, or a function's value up to `&`.
    fn collect<'a>(&mut self, piece: &'a [u8], out: &mut BytesMut) -> Result<&'a [u8], Refusal> {
        let name = matches!(self.state, State::Name);
        let ends = |byte: &u8| *byte == b'&' || (name && *byte == b'=');
        let (max, what) = match name {
            true => (MAX_NAME, "a parameter's name is too long"),
            false => (
                MAX_VALUE,
                "wsfunction or requests[…][function] is no name of a function",
            ),
        };
        let end = piece.iter().position(ends);
        let (word, rest) = piece.split_at(end.unwrap_or(piece.len()));
        if self.word.len() + word.len() > max {
            return Err(Refusal::Malformed(what));
        }
        self.word.extend_from_slice(word);
        let Some((stop, rest)) = rest.split_first() else {
            return Ok(rest);
        };
        match name {
            true => self.end_name(Some(*stop), out)?,
            false => self.end_function(Some(*stop), out)?,
        }
        Ok(rest)
    }

    fn end_name(&mut self, stop: Option<u8>, out: &mut BytesMut) -> Result<(), Refusal> {
        let meaning = params::meaning(&self.word);
        if meaning == Meaning::Wrapped && self.wanted.permit.is_some() && stop != Some(b'=') {
            return Err(Refusal::Malformed("requests[…][function] has no value"));
        }
        let named = matches!(meaning, Meaning::Function | Meaning::Wrapped);
        if named && self.wanted.permit.is_some() && stop == Some(b'=') {
            if meaning == Meaning::Function && self.wanted.function.is_some() {
                return Err(Refusal::Malformed("wsfunction stands more than once"));
            }
            // The name stays with its value: both are sent on together, or neither.
            self.held.extend_from_slice(&self.word);
            self.held.put_u8(b'=');
            self.word.clear();
            self.state = match meaning {
                Meaning::Wrapped => State::Wrapped,
                _ => State::Function,
            };
            return Ok(());
        }
        if meaning != Meaning::Other {
            params::take(meaning, b"", &mut self.wanted.function)?;
        }
        self.state = if stop == Some(b'=') { State::Value } else { State::Name };
        let mut name = std::mem::take(&mut self.word);
        name.extend(stop);
        self.send(&name, out)?;
        name.clear();
        self.word = name;
        Ok(())
    }

    fn end_function(&mut self, stop: Option<u8>, out: &mut BytesMut) -> Result<(), Refusal> {
        let mut value = std::mem::take(&mut self.word);
        match (&self.state, &self.wanted.permit) {
            (State::Wrapped, Some(permit)) => {
                permit.check_wrapped(&params::function_name(&value)?)?;
                self.wrapped += 1;
            }
            _ => {
                params::take(Meaning::Function, &value, &mut self.wanted.function)?;
                if let (Some(permit), Some(function)) = (&self.wanted.permit, &self.wanted.function) {
                    permit.check(function)?;
                }
            }
        }
        self.state = State::Name;
        value.extend(stop);
        self.send(&value, out)?;
        value.clear();
        self.word = value;
        Ok(())
    }

    /// Lets bytes through, or holds them until the function is known.
    fn send(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        if self.wanted.permit.is_some() && self.wanted.function.is_none() {
            if self.held.len() + bytes.len() > MAX_HELD {
                return Err(Refusal::Malformed(
                    "wsfunction stands too far back: name it first, or in the query",
                ));
            }
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        if !self.started {
            self.started = true;
            if let Some(token) = &self.wanted.token {
                out.put_slice(token.as_bytes());
                out.put_u8(b'&');
            }
        }
        out.extend_from_slice(&self.held);
        self.held.clear();
        out.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moodle::request::functions::testing::permit;
    use proptest::prelude::*;

    fn wanted() -> Wanted {
        Wanted {
            token: Some("wstoken=T0K3N".to_owned()),
            function: None,
            permit: Some(permit(&["core_*"])),
        }
    }

    /// The body as it is sent on when it comes in pieces that end at the given places.
    fn sent(wanted: Wanted, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Refusal> {
        let mut form = Form::new(wanted);
        let mut out = Vec::new();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        for ends in places.windows(2) {
            out.extend(form.push(&body[ends[0]..ends[1]])?);
        }
        out.extend(form.finish()?);
        Ok(out)
    }

    #[test]
    fn the_token_stands_first_and_last_and_nothing_else_changes() {
        let body = b"a=1&wsfunction=core_x&b%5B0%5D=%2B+x";
        let expected = [b"wstoken=T0K3N&".as_slice(), body, b"&wstoken=T0K3N"].concat();
        assert_eq!(sent(wanted(), body, &[]), Ok(expected.clone()));
        assert_eq!(expected.len() as u64, body.len() as u64 + Form::added("wstoken=T0K3N"));
        let empty = Wanted {
            function: Some("core_x".to_owned()),
            ..wanted()
        };
        assert_eq!(sent(empty, b"", &[]), Ok(b"wstoken=T0K3N&&wstoken=T0K3N".to_vec()));
    }

    #[test]
    fn nothing_is_sent_before_the_function_is_allowed() {
        let mut form = Form::new(wanted());
        assert!(form.push(b"a=1&wsfunction=core_").unwrap().is_empty());
        assert!(!form.push(b"x&").unwrap().is_empty());
        let denied = sent(wanted(), b"a=1&wsfunction=mod_x&b=2", &[]);
        assert_eq!(denied, Err(Refusal::Function("mod_x".to_owned())));
        assert_eq!(sent(wanted(), b"a=1", &[]), Err(Refusal::Malformed("no wsfunction")));
        let far = [vec![b'x'; MAX_HELD + 10], b"=1&wsfunction=core_x".to_vec()].concat();
        assert!(sent(wanted(), &far, &[MAX_NAME]).is_err());
        let far = [b"a=".to_vec(), vec![b'x'; MAX_HELD], b"&wsfunction=core_x".to_vec()].concat();
        assert!(matches!(sent(wanted(), &far, &[]), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn each_wrapped_function_is_judged_before_it_is_sent() {
        let good = b"wsfunction=core_x&requests[0][function]=core_a&requests%5B1%5D%5Bfunction%5D=core_b";
        assert!(sent(wanted(), good, &[20, 40, 47]).is_ok());
        let first = b"requests[0][function]=core_a&wsfunction=core_x";
        assert!(sent(wanted(), first, &[5]).is_ok());
        let mut counted = Form::new(wanted());
        counted.push(good).unwrap();
        counted.finish().unwrap();
        assert_eq!(counted.wrapped(), 2);
        let refused: [&[u8]; 6] = [
            b"wsfunction=core_x&requests[0][function]=mod_a",
            b"requests[0][function]=mod_a&wsfunction=core_x",
            b"wsfunction=core_x&+requests%5B0][func%74ion]=mod_a&a=1",
            b"wsfunction=core_x&requests[0][function]=core_a&requests[0][function]=mod_a",
            b"wsfunction=core_x&requests[0][function]=tool_mobile_call_external_functions",
            b"wsfunction=core_x&requests[0][function]",
        ];
        for body in refused {
            let mut form = Form::new(wanted());
            let sent = body.chunks(7).try_fold(Vec::new(), |mut sent, piece| {
                sent.extend(form.push(piece)?);
                Ok::<_, Refusal>(sent)
            });
            let sent = sent.and_then(|mut sent| {
                sent.extend(form.finish()?);
                Ok(sent)
            });
            assert!(sent.is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_function_that_the_query_has_named_is_not_named_again() {
        let wanted = || Wanted {
            function: Some("core_x".to_owned()),
            ..wanted()
        };
        assert!(sent(wanted(), b"a=1&wsfunction=core_x", &[]).is_err());
        assert!(sent(wanted(), b"a=1&+ws%66unction", &[]).is_err());
        assert!(sent(wanted(), b"a=1", &[]).is_ok());
    }

    proptest! {
        #[test]
        fn wherever_the_pieces_end_nothing_overrides(
            front in "[a-z=&%0-9+]{0,40}",
            spelling in prop_oneof![Just("wstoken"), Just("%20token"), Just("ws%74oken%00"), Just("+wstoken[]"), Just("token")],
            tail in prop_oneof![Just("=x"), Just(""), Just("&b=1"), Just("=1&c")],
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            let body = format!("wsfunction=core_x&{front}&{spelling}{tail}");
            let mut form = Form::new(wanted());
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let mut out = Vec::new();
            let refused = places.windows(2).any(|ends| match form.push(&body.as_bytes()[ends[0]..ends[1]]) {
                Ok(piece) => { out.extend(piece); false }
                Err(_) => true,
            });
            prop_assert!(refused || form.finish().is_err());
            // Not even a part of the name has left.
            let start = body.len() - tail.len() - spelling.len();
            prop_assert!(out.len() <= b"wstoken=T0K3N&".len() + start);
        }

        #[test]
        fn pieces_make_no_difference(body in "(a|b|wsfunction|=|&|core_x|%20|\\+|\\[\\]){0,14}", cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
            let whole = sent(wanted(), body.as_bytes(), &[]);
            prop_assert_eq!(sent(wanted(), body.as_bytes(), &cuts), whole);
        }
    }
}
