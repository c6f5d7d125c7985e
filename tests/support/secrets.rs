//! Every secret that whatever stands around a gateway has handed out, in all tests of this process, and the search for
//! them in what gateways write.
//!
//! A double registers a secret before it gives it away. When a gateway ends, its whole stderr, its log file and its last
//! metrics are searched for all that was registered, whoever's test that was, for anything that looks like a ticket, and for
//! the private keys in its own folder. What commands print is searched too.
//!
//! Clients see some secrets by protocol: a ticket in `Location`, their own cookies, a MoodleSession of ordinary pages. So
//! of what a gateway answers only Moodle's tokens and keys, and access tokens and client secrets of OpenID Connect are
//! searched for: no client ever sees those. Moodle's own `login/token.php` is left out, where somebody who types a password
//! asks for a token.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{LazyLock, Mutex, RwLock};

use super::http::Response;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A web service token, a private token or a private access key of Moodle's.
    Moodle,
    /// A MoodleSession, PHPSESSID, JSESSIONID, a session at the CAS server or at the gateway, a watch pass.
    Session,
    /// Of CAS, or a code of an OpenID provider.
    Ticket,
    /// An access token of an OpenID provider, or a client's secret.
    Token,
    /// Of a signed token.
    Signature,
    /// A line of a key file.
    PrivateKey,
}

/// A shorter text may stand anywhere by chance.
const SHORTEST: usize = 12;
/// A ticket's random part, behind its prefix.
const TICKET: usize = 20;
const TICKETS: [&str; 4] = ["ST-", "PT-", "PGT-", "PGTIOU-"];
/// Of an answer's body so much is looked at.
const LOOKED_AT: usize = 4 << 20;

static SECRETS: LazyLock<RwLock<Secrets>> = LazyLock::new(RwLock::default);
/// Where gateways listen: whether they have a Moodle or an OpenID provider.
static GATEWAYS: LazyLock<Mutex<HashMap<SocketAddr, bool>>> = LazyLock::new(Mutex::default);

/// By how they begin, so that a text is searched for all of them at once.
#[derive(Default)]
pub struct Secrets {
    by_start: HashMap<[u8; SHORTEST], Vec<(Kind, String)>>,
    /// A bit for each mark of a beginning: most of a text is passed over by a look at it.
    marks: Marks,
    known: HashSet<String>,
}

impl Secrets {
    pub fn add(&mut self, kind: Kind, secret: &str) {
        let Some(start) = secret.as_bytes().first_chunk() else {
            return;
        };
        if self.known.insert(secret.to_owned()) {
            let (word, bit) = mark(start);
            self.marks.0[word] |= bit;
            self.by_start.entry(*start).or_default().push((kind, secret.to_owned()));
        }
    }

    /// The first secret of a kind that counts, and the line around it with its secret parts hidden.
    pub fn find(&self, text: &str, counts: impl Fn(Kind) -> bool) -> Option<(Kind, String)> {
        let bytes = text.as_bytes();
        let windows = bytes.windows(SHORTEST).enumerate();
        for (at, window) in windows {
            let Some(start) = window.first_chunk() else { continue };
            let (word, bit) = mark(start);
            if self.marks.0[word] & bit == 0 {
                continue;
            }
            let here = self.by_start.get(start).into_iter().flatten();
            let mut here = here.filter(|(kind, secret)| counts(*kind) && bytes[at..].starts_with(secret.as_bytes()));
            if let Some((kind, secret)) = here.next() {
                return Some((*kind, around(text, at, secret)));
            }
        }
        None
    }
}

struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; 1 << 14])
    }
}

/// Word and bit for a beginning.
fn mark(start: &[u8; SHORTEST]) -> (usize, u64) {
    let mut eight = [0; 8];
    eight.copy_from_slice(&start[..8]);
    let hash = u64::from_le_bytes(eight).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// The line with a secret in it, of which only the beginning is told.
fn around(text: &str, at: usize, secret: &str) -> String {
    let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[from..].lines().next().unwrap_or_default();
    line.replace(secret, &format!("<<{}…>>", &secret[..4]))
}

pub fn register(kind: Kind, secret: &str) {
    SECRETS.write().unwrap().add(kind, secret);
}

/// All tickets in an answer of a CAS server's, or in a request to one.
pub fn register_tickets(text: &str) {
    for ticket in tickets(text) {
        register(Kind::Ticket, ticket);
    }
}

/// The signature of a token.
pub fn register_signature(token: &str) {
    if let Some((_, signature)) = token.rsplit_once('.') {
        register(Kind::Signature, signature);
    }
}

/// What looks like a ticket.
fn tickets(text: &str) -> impl Iterator<Item = &str> {
    let found = TICKETS.iter().flat_map(|prefix| text.match_indices(prefix));
    found.filter_map(|(at, prefix)| {
        let before = text[..at].chars().next_back();
        let random = &text[at + prefix.len()..];
        let end = random
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
            .unwrap_or(random.len());
        let is_one = end >= TICKET && !before.is_some_and(|letter| letter.is_ascii_alphanumeric());
        is_one.then(|| &text[at..at + prefix.len() + end])
    })
}

/// A gateway that listens here from now on.
pub fn listens_at(address: SocketAddr, gets_tokens: bool) {
    GATEWAYS.lock().unwrap().insert(address, gets_tokens);
}

/// The ports may soon be somebody else's.
pub fn leaves(addresses: impl Iterator<Item = SocketAddr>) {
    let mut gateways = GATEWAYS.lock().unwrap();
    for address in addresses {
        gateways.remove(&address);
    }
}

/// Learns the signatures of all tokens in what a client is about to send.
pub fn sending(head: &str) {
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    for word in head.split(|letter| !is_token(letter)) {
        if word.starts_with("eyJ") && word.matches('.').count() == 2 {
            register_signature(word);
        }
    }
}

/// Looks at an answer of whoever listens at `address`, and learns the secrets that a gateway gives its clients.
#[track_caller]
pub fn answered(address: SocketAddr, method: &str, target: &str, response: &Response) {
    let Some(gets_tokens) = GATEWAYS.lock().unwrap().get(&address).copied() else {
        return;
    };
    for set in response.all("set-cookie") {
        let pair = set.split(';').next().unwrap_or_default();
        if let Some((_, value)) = pair.split_once('=').filter(|(name, _)| name.contains("janua")) {
            register(Kind::Session, value);
        }
    }
    // These give a person's own token to whoever asks for it, and so to Moodle's own app.
    let gives_tokens = ["/login/token.php", "/admin/tool/mobile/launch.php"];
    if !gets_tokens || gives_tokens.iter().any(|script| target.starts_with(script)) {
        return;
    }
    let body = &response.body[..response.body.len().min(LOOKED_AT)];
    let told = format!("{:?}\n{}", response.headers, String::from_utf8_lossy(body));
    let found = SECRETS
        .read()
        .unwrap()
        .find(&told, |kind| matches!(kind, Kind::Moodle | Kind::Token));
    if let Some((kind, line)) = found {
        panic!("a secret ({kind:?}) in the answer to {method} {target}: {line}");
    }
}

/// Holds what was written to against everything that was registered. `place` says who wrote it.
#[track_caller]
pub fn hold(place: &str, text: &str) {
    let found = SECRETS.read().unwrap().find(text, |_| true);
    if let Some((kind, line)) = found {
        panic!("a secret ({kind:?}) in {place}: {line}");
    }
    if let Some(ticket) = tickets(text).next() {
        panic!("a ticket in {place}: {}…", &ticket[..6]);
    }
}

/// The lines of private keys in a gateway's folder: its master key, and what stands in PEM.
pub fn register_keys(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with(".key") && !name.ends_with(".pem") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_private = name == "master.key" || text.contains("PRIVATE KEY");
            let lines = text.lines().filter(|line| is_private && !line.starts_with(['-', '#']));
            for line in lines {
                register(Kind::PrivateKey, line.trim().trim_end_matches('='));
            }
        }
    }
}
