//! A CSV file of tokens: judged whole, line by line, before anything is done with it.
//!
//! No message quotes what stands in the file: where columns are mixed up, a token stands in any of them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use csv::{ByteRecord, ReaderBuilder, Trim};

use crate::moodle::token::Token;
use crate::moodle::tokens::fold;
use crate::moodle::tokens::vault::Provided;
use crate::time;

/// A university's people with all their tokens.
const LARGEST: u64 = 32 << 20;
/// Problems that are told one by one.
const TOLD: usize = 50;
/// Moodle's column for usernames.
const LONGEST_USERNAME: usize = 100;
/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
const COLUMNS: &str = "the header line names the columns: username,token and, if wanted, service and valid_until";

/// What is wrong with a file, by line.
#[derive(Debug)]
pub(super) struct Problems {
    file: String,
    /// Line and problem; line 0 is the file.
    all: Vec<(usize, String)>,
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, problem) in self.all.iter().take(TOLD) {
            match line {
                0 => writeln!(formatter, "{}: {problem}", self.file)?,
                line => writeln!(formatter, "{}:{line}: {problem}", self.file)?,
            }
        }
        if let Some(more) = self.all.len().checked_sub(TOLD).filter(|more| *more > 0) {
            writeln!(formatter, "… and {more} more")?;
        }
        writeln!(formatter, "nothing was imported")
    }
}

/// The entries of a file, or of stdin for `-`. The outer error: it cannot be read.
pub(super) fn read(file: &str, moodle: &str, service: &str) -> anyhow::Result<Result<Vec<Provided>, Problems>> {
    let (name, source): (_, Box<dyn Read>) = if file == "-" {
        ("stdin", Box::new(io::stdin().lock()))
    } else {
        let opened = File::open(file).with_context(|| file.to_owned())?;
        let mode = opened.metadata().with_context(|| file.to_owned())?.permissions().mode();
        if mode & 0o077 != 0 {
            eprintln!("note: others can read {file}: `chmod 600` it, and delete it when all is imported");
        }
        (file, Box::new(opened))
    };
    let mut bytes = Vec::new();
    source
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .with_context(|| name.to_owned())?;
    if bytes.len() as u64 > LARGEST {
        bail!("{file}: larger than {} MiB: split it", LARGEST >> 20);
    }
    Ok(judge(&bytes, moodle, service).map_err(|all| Problems {
        file: name.to_owned(),
        all,
    }))
}

/// Where the columns are.
struct Columns {
    count: usize,
    username: usize,
    token: usize,
    service: Option<usize>,
    valid_until: Option<usize>,
}

fn judge(bytes: &[u8], moodle: &str, service: &str) -> Result<Vec<Provided>, Vec<(usize, String)>> {
    // As spreadsheets write it before the first letter.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut builder = ReaderBuilder::new();
    let mut reader = builder
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut columns = None;
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    let (mut people, mut tokens) = (HashMap::new(), HashMap::new());
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            // Of a slice only what is no CSV at all; the library quotes nothing either.
            Err(_) => return Err(vec![(0, "this cannot be read as CSV".to_owned())]),
        }
        let line = record.position().map_or(0, |place| line_of(place, bytes));
        let Some(columns) = &columns else {
            columns = Some(header(&record).map_err(|problem| vec![(line, problem)])?);
            continue;
        };
        let entry = match entry(&record, columns, moodle, service) {
            Ok(entry) => entry,
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| (line, problem)));
                continue;
            }
        };
        if let Some(before) = people.insert(entry.key(), line) {
            let problem = format!("the same user and service as line {before}: keep one of the two");
            problems.push((line, problem));
        } else if let Some(before) = tokens.insert(entry.token.reveal().to_owned(), line) {
            let problem = format!("the same token as line {before}: a token belongs to one user and one service");
            problems.push((line, problem));
        }
        entries.push(entry);
    }
    if columns.is_none() {
        problems.push((0, format!("empty: {COLUMNS}")));
    } else if entries.is_empty() && problems.is_empty() {
        problems.push((0, "no line below the header".to_owned()));
    }
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(problems)
    }
}

fn header(record: &ByteRecord) -> Result<Columns, String> {
    let names: Vec<_> = record
        .iter()
        .map(|name| String::from_utf8_lossy(name).to_lowercase())
        .collect();
    if let [one] = names.as_slice()
        && one.contains([';', '\t'])
    {
        return Err("columns are separated by something else than commas: save the file with commas".to_owned());
    }
    let place = |name: &str| names.iter().position(|known| known == name);
    for (here, name) in names.iter().enumerate() {
        if !["username", "token", "service", "valid_until"].contains(&name.as_str()) {
            return Err(format!("column {} has another name: {COLUMNS}", here + 1));
        }
        if place(name) != Some(here) {
            return Err(format!("`{name}` stands there twice"));
        }
    }
    let needed = |name: &str| place(name).ok_or_else(|| format!("no column `{name}`: {COLUMNS}"));
    Ok(Columns {
        count: names.len(),
        username: needed("username")?,
        token: needed("token")?,
        service: place("service"),
        valid_until: place("valid_until"),
    })
}

/// Everything that is wrong with one line.
fn entry(record: &ByteRecord, columns: &Columns, moodle: &str, default: &str) -> Result<Provided, Vec<String>> {
    if record.len() != columns.count {
        let (here, header) = (record.len(), columns.count);
        return Err(vec![format!("{here} columns, but the header has {header}")]);
    }
    let cell = |place: usize| record.get(place).and_then(|cell| std::str::from_utf8(cell).ok());
    let optional = |place: Option<usize>| place.map_or(Some(""), cell);
    let username = username(cell(columns.username));
    let token = token(cell(columns.token));
    let service = service(optional(columns.service), default);
    let valid_until = until(optional(columns.valid_until));
    match (username, token, service, valid_until) {
        (Ok(username), Ok(token), Ok(service), Ok(valid_until)) => Ok(Provided {
            moodle: moodle.to_owned(),
            service,
            username,
            token,
            valid_until,
        }),
        (username, token, service, valid_until) => {
            let problems = [username.err(), token.err(), service.err(), valid_until.err()];
            Err(problems.into_iter().flatten().map(str::to_owned).collect())
        }
    }
}

fn username(cell: Option<&str>) -> Result<String, &'static str> {
    match cell {
        None => Err("username: no UTF-8: save the file as UTF-8"),
        Some("") => Err("username: empty"),
        Some(name) if name.chars().count() > LONGEST_USERNAME => Err("username: longer than Moodle's 100 letters"),
        Some(name) if name.contains(|letter: char| letter.is_whitespace() || letter.is_control()) => {
            Err("username: has a space or a control character: write it as Moodle has it, not the person's name")
        }
        Some(name) if is_token(name) => Err("username: this looks like a token: are the columns mixed up?"),
        Some(name) => {
            fold(name).map_err(|_| "username: a letter beyond ASCII is not lower case: write it as Moodle has it")
        }
    }
}

/// As Moodle makes them: an MD5 in hexadecimal.
fn token(cell: Option<&str>) -> Result<Token, &'static str> {
    const HELP: &str =
        "token: not 32 digits of 0-9 and a-f, as Moodle makes them: copy it again, whole and in lower case";
    let found = cell.filter(|text| is_token(text)).and_then(Token::parse);
    found.ok_or(match cell {
        Some("") => "token: empty",
        _ => HELP,
    })
}

fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn service(cell: Option<&str>, default: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match cell {
        Some("") => Ok(default.to_owned()),
        Some(name) if name.len() <= 255 && name.bytes().all(plain) && !is_token(name) => Ok(name.to_owned()),
        _ => Err("service: not a short name, as Site administration, Server, External services tells it"),
    }
}

fn until(cell: Option<&str>) -> Result<Option<u64>, &'static str> {
    const HELP: &str = "valid_until: write 2027-03-31, 2027-03-31T12:00:00Z, or Unix seconds";
    let text = cell.ok_or(HELP)?;
    if text.is_empty() {
        return Ok(None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: u64 = text
            .parse()
            .ok()
            .filter(|seconds| *seconds <= LAST_SECOND)
            .ok_or(HELP)?;
        return Ok((seconds > 0).then_some(seconds));
    }
    if text.starts_with(['+', '-']) {
        return Err(HELP);
    }
    let end = if text.len() == "2027-03-31".len() {
        "T23:59:59Z"
    } else {
        ""
    };
    let time = time::parse(&format!("{text}{end}"), SystemTime::UNIX_EPOCH).map_err(|_| HELP)?;
    Ok(Some(time::unix_seconds(time)))
}

/// The line of a record that is looked for from this place on: what is empty before it is skipped.
fn line_of(place: &csv::Position, bytes: &[u8]) -> usize {
    let [line, byte] = [place.line(), place.byte()].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let rest = bytes.get(byte..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    line + empty.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "45e8d5226f8d38cf5f15767e0d057350";
    const B: &str = "996b812db30ecedd90cedcbaffe95535";

    fn good(text: &str) -> Vec<(String, String, Option<u64>)> {
        let entries = judge(text.as_bytes(), "campus", "app").unwrap();
        let entries = entries.into_iter();
        entries
            .map(|entry| (entry.username, entry.service, entry.valid_until))
            .collect()
    }

    fn bad(text: &str) -> Vec<(usize, String)> {
        let problems = judge(text.as_bytes(), "campus", "app").unwrap_err();
        for (_, problem) in &problems {
            assert!(!problem.contains(A) && !problem.contains(B), "{problem}");
        }
        problems
    }

    #[test]
    fn columns_may_come_in_any_order_and_be_left_out() {
        let of = |name: &str, service: &str, until| (name.to_owned(), service.to_owned(), until);
        assert_eq!(
            good(&format!("username,token\nalice,{A}\n")),
            [of("alice", "app", None)]
        );
        let text = format!(
            "\u{feff}Token, valid_until ,USERNAME,service\r\n{A},2026-12-31,Alice.B@x.y,\r\n\r\n{B},0,\"bob\",other\r\n"
        );
        let end = 1_798_761_599;
        assert_eq!(
            good(&text),
            [of("alice.b@x.y", "app", Some(end)), of("bob", "other", None)]
        );
        let text = format!("username,token,valid_until\na,{A},2026-12-31T23:59:59Z\nb,{B},{end}\n");
        assert_eq!(good(&text), [of("a", "app", Some(end)), of("b", "app", Some(end))]);
    }

    #[test]
    fn every_bad_line_is_named_by_its_number_and_no_token_is_told() {
        let text = format!(
            "username,token,valid_until\n\nalice,{A},tomorrow\n,{B}x,\nbob\n{A},{B},\ncarl,{},\n\ndora,{B},+5d\n",
            A.to_uppercase()
        );
        let told: Vec<_> = bad(&text)
            .into_iter()
            .map(|(line, problem)| (line, problem.split([':', ' ']).next().unwrap_or_default().to_owned()))
            .collect();
        let expected = [
            (3, "valid_until"),
            (4, "username"),
            (4, "token"),
            (5, "1"),
            (6, "username"),
            (7, "token"),
            (9, "valid_until"),
        ];
        assert_eq!(told, expected.map(|(line, word)| (line, word.to_owned())));
    }

    /// Also behind a cell of several lines, and where lines end as on Windows.
    #[test]
    fn lines_are_counted_as_editors_do() {
        let lines = |text: &str| bad(text).iter().map(|(line, _)| *line).collect::<Vec<_>>();
        assert_eq!(
            lines("\u{feff}username,token\r\n\"a\nb\",x\r\n\r\n\r\nc,x\r\n"),
            [2, 2, 6]
        );
        assert_eq!(lines("\n\nusername,tokens\n"), [3]);
    }

    #[test]
    fn what_stands_twice_is_named() {
        let problems = bad(&format!("username,token\nalice,{A}\nAlice,{B}\n"));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].0 == 3 && problems[0].1.contains("line 2"), "{problems:?}");
        let problems = bad(&format!("username,token\nalice,{A}\nbob,{A}\n"));
        assert!(
            problems[0].0 == 3 && problems[0].1.contains("same token as line 2"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_header_that_is_none_says_what_to_write() {
        for (text, word) in [
            (String::new(), "empty"),
            ("username,token\n".to_owned(), "no line"),
            (format!("alice,{A}\n"), "column 1"),
            (format!("username;token\nalice;{A}\n"), "commas"),
            (format!("username,service\nalice,{A}\n"), "`token`"),
            (format!("username,token,token\nalice,{A},{B}\n"), "twice"),
        ] {
            let problems = bad(&text);
            assert!(
                problems.len() == 1 && problems[0].1.contains(word),
                "{text}: {problems:?}"
            );
        }
    }

    #[test]
    fn many_problems_are_counted() {
        let text = format!("username,token\n{}", "x,short\n".repeat(60));
        let problems = Problems {
            file: "tokens.csv".to_owned(),
            all: bad(&text),
        };
        let told = problems.to_string();
        assert!(
            told.contains("tokens.csv:2: token") && told.contains("… and 10 more"),
            "{told}"
        );
        assert!(told.ends_with("nothing was imported\n"));
    }
}
