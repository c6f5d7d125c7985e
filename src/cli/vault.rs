//! `janua vault`: the tokens for Moodle that the operator provides, and the turn-over to a new master key.
//!
//! What a file may say is decided in `csv_file`, who does what is asked in `target`.

mod csv_file;
mod list;
mod target;

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;

use self::target::Target;
use super::{ConfigArgs, load_quietly, put, told_once};
use crate::config::{Config, Loaded, Moodle};
use crate::control::vault::{Request, Response};
use crate::key_file::{self, Looking};
use crate::moodle::tokens::vault::Provided;
use crate::moodle::vault::Shown;
use crate::text::{self, safe};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Import(Import),
    List(List),
    Remove(Remove),
    Rotate(Rotate),
}

/// Put the tokens of a CSV file into the vault
///
/// The file has a header line: username,token and, if wanted, service and valid_until. A username is taken as Moodle
/// keeps it, in lower case. Without a service it is that of [moodle.<name>]. valid_until is a day (2027-03-31, its end
/// in UTC), a moment (2027-03-31T12:00:00Z) or Unix seconds as in Moodle's own table; empty or 0: Moodle says when.
///
/// The file is read and judged whole before anything is stored: with one bad line, nothing is. Then it goes to the
/// running gateway in portions of some hundred lines; each portion is on disk when it counts as done. If the command is
/// stopped between two, those done stay, and running it again puts the rest: what stands there already is replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT)]
pub struct Import {
    /// The file, or - for stdin
    #[arg(value_name = "FILE.csv")]
    file: String,
    /// Which [moodle.<name>] the tokens are for; needed if there are several
    #[arg(long, value_name = "NAME")]
    moodle: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Say whose tokens are in the vault; no token is ever shown
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those for this [moodle.<name>]
    #[arg(long, value_name = "NAME")]
    moodle: Option<String>,
    /// For scripts: an array of {"moodle", "username", "service", "valid_until", "expired"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Take a person's tokens out of the vault
///
/// The running gateway, and every replica on the same store, stops using them within a second. Moodle still knows them:
/// to make them worthless, delete them there too.
///
/// The exit code is 0 if something was removed and 1 if there was nothing.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The username in Moodle
    #[arg(value_name = "USER")]
    username: String,
    /// Only the token for this service; without it, all of the person's
    #[arg(long, value_name = "S")]
    service: Option<String>,
    /// Which [moodle.<name>]; needed if there are several
    #[arg(long, value_name = "NAME")]
    moodle: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Seal everything in the state store with the newest master key
///
/// Before: put the new key above the old ones in state.key_file, on every replica, and restart each. Then run this once:
/// sessions, tokens and the vault are sealed anew while the gateway runs. It may be stopped and run again at any time.
/// After it the store needs the older lines no more; cookies in browsers do, until their sessions end.
#[derive(Debug, clap::Args)]
#[command(after_help = ROTATE)]
pub struct Rotate {
    #[command(flatten)]
    config: ConfigArgs,
}

const IMPORT: &str = "\
Example of a file:
  username,token,valid_until
  alice,45e8d5226f8d38cf5f15767e0d057350,2027-03-31
  bob,996b812db30ecedd90cedcbaffe95535,

Examples:
  janua vault import tokens.csv && shred -u tokens.csv
  psql -Atc \"COPY (SELECT …) TO STDOUT CSV HEADER\" moodle | janua vault import -

The running gateway is asked over its control socket (server.control). Only if none runs, the store is opened here.
A token is used only after Moodle has said that it belongs to the person signed in.";

const ROTATE: &str = "\
Steps:
  1. (head -c 32 /dev/urandom | base64; cat master.key) > new && chmod 600 new && mv new master.key
  2. restart the gateway, on every replica, with the same file
  3. janua vault rotate
  4. when the longest session is over, remove the old lines and restart (earlier: people sign in again)";

/// Bytes of entries in one question: below what the control socket takes, with room for what stands around them.
const PORTION: usize = 48 << 10;

pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let config = match command {
        Command::Import(args) => &args.config,
        Command::List(args) => &args.config,
        Command::Remove(args) => &args.config,
        Command::Rotate(args) => &args.config,
    };
    let Some(Loaded { config, .. }) = load_quietly(&config.path()?) else {
        return Ok(ExitCode::FAILURE);
    };
    for open in key_file::open_files(&config, Looking::Command) {
        eprintln!("note: {}", safe(&open.to_string()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Import(args) => import(args, &config).await,
            Command::List(args) => list(args, &config).await,
            Command::Remove(args) => remove(args, &config).await,
            Command::Rotate(_) => rotate(&config).await,
        }
    })
}

async fn import(args: &Import, config: &Config) -> anyhow::Result<ExitCode> {
    let moodle = chosen(args.moodle.as_deref(), config)?;
    let entries = match csv_file::read(&args.file, &moodle.name, &moodle.service)? {
        Ok(entries) => entries,
        Err(problems) => {
            eprint!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    for note in notes(&entries, moodle, SystemTime::now()) {
        eprintln!("note: {note}");
    }
    let target = Target::open(config).await?;
    let mut done = 0;
    for portion in portions(&entries) {
        let told = target.ask(Request::Import(portion.to_vec())).await;
        if let Err(error) = told {
            bail!(
                "{}\n{done} of {} tokens are in the vault; run the command again for the rest",
                told_once(&error),
                entries.len()
            );
        }
        done += portion.len();
    }
    put(&format!(
        "{} imported for moodle.{}, {target}\n",
        text::count(done, "token"),
        moodle.name
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What may surprise somebody later.
fn notes(entries: &[Provided], moodle: &Moodle, now: SystemTime) -> Vec<String> {
    let count = |odd: &dyn Fn(&Provided) -> bool| entries.iter().filter(|entry| odd(entry)).count();
    let mut notes = Vec::new();
    if !moodle.has_vault() {
        notes.push(format!(
            "moodle.{}.tokens does not name \"vault\": none is used until it does",
            moodle.name
        ));
    }
    for (number, what) in [
        (
            count(&|entry| entry.left(now).is_none()),
            "valid_until has passed: they are not used",
        ),
        (
            count(&|entry| entry.service != moodle.service),
            "they are for another service than the gateway's, and not used while it is so",
        ),
        (
            count(&|entry| moodle.never.contains(&entry.username)),
            "they belong to names in `never`, and are not used",
        ),
    ] {
        if number > 0 {
            notes.push(format!("{}: {what}", text::count(number, "token")));
        }
    }
    notes
}

/// As many as a question holds, in their order.
fn portions(entries: &[Provided]) -> Vec<&[Provided]> {
    let mut portions = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |entry: &&Provided| {
            bytes += entry.encode().len() + 1;
            bytes <= PORTION
        };
        // One entry is some hundred bytes; at least one is taken, so that this ends.
        let taken = rest.iter().take_while(fits).count().max(1);
        let (portion, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
        portions.push(portion);
        rest = behind;
    }
    portions
}

async fn list(args: &List, config: &Config) -> anyhow::Result<ExitCode> {
    let mut entries = all(&Target::open(config).await?).await?;
    entries.retain(|entry| args.moodle.as_ref().is_none_or(|moodle| entry.moodle == *moodle));
    let told = if args.json { list::json } else { list::table };
    put(&told(&entries, SystemTime::now()))?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(args: &Remove, config: &Config) -> anyhow::Result<ExitCode> {
    let moodle = match (&args.moodle, config.moodles.as_slice()) {
        // Also one that gateway.toml names no more.
        (Some(named), _) => named.clone(),
        (None, _) => chosen(None, config)?.name.clone(),
    };
    let username = args.username.to_lowercase();
    let target = Target::open(config).await?;
    let services = match &args.service {
        Some(service) => vec![service.clone()],
        None => {
            let entries = all(&target).await?.into_iter();
            let theirs = entries.filter(|entry| entry.moodle == moodle && entry.username == username);
            theirs.map(|entry| entry.service).collect()
        }
    };
    let mut removed = 0;
    for service in services {
        let (moodle, username) = (moodle.clone(), username.clone());
        let asked = Request::Remove {
            moodle,
            service,
            username,
        };
        let Response::Removed(was_there) = target.ask(asked).await? else {
            bail!("an answer to another question");
        };
        removed += usize::from(was_there);
    }
    if removed == 0 {
        put(&format!(
            "nothing removed: the vault has no such token for moodle.{moodle} (`janua vault list` says which)\n"
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    put(&format!("{} removed, {target}\n", text::count(removed, "token")))?;
    Ok(ExitCode::SUCCESS)
}

async fn rotate(config: &Config) -> anyhow::Result<ExitCode> {
    let target = Target::open(config).await?;
    let (mut again, mut before, mut lost, mut after) = (0, 0, 0, None);
    loop {
        let told = target.ask(Request::Rotate { after }).await?;
        let Response::Rotated {
            resealed,
            newest,
            unreadable,
            next,
        } = told
        else {
            bail!("an answer to another question");
        };
        (again, before, lost) = (again + resealed, before + newest, lost + unreadable);
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    put(&format!(
        "{again} records re-sealed with the newest master key, {before} were so already, {target}\n"
    ))?;
    if lost > 0 {
        eprintln!(
            "janua: {lost} records open with none of the lines in the key file and count as absent: if a former line was \
             removed, put it back below the others, restart, and run this again"
        );
        return Ok(ExitCode::FAILURE);
    }
    put("the store needs the older lines of the key file no more; cookies do, until their sessions end\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Every entry, each once, in order.
async fn all(target: &Target<'_>) -> anyhow::Result<Vec<Shown>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Response::Listed { entries, next } = target.ask(Request::List { after }).await? else {
            bail!("an answer to another question");
        };
        all.extend(entries);
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The one that is named, or the only one.
fn chosen<'a>(named: Option<&str>, config: &'a Config) -> anyhow::Result<&'a Moodle> {
    let names: Vec<_> = config.moodles.iter().map(|moodle| moodle.name.as_str()).collect();
    match (named, config.moodles.as_slice()) {
        (_, []) => bail!("gateway.toml has no [moodle.<name>]: add one first"),
        (None, [only]) => Ok(only),
        (None, _) => bail!("there are several Moodles: add --moodle, one of {}", names.join(", ")),
        (Some(named), moodles) => {
            let found = moodles.iter().find(|moodle| moodle.name == named);
            found.ok_or_else(|| anyhow::anyhow!("gateway.toml has no [moodle.{named}], but {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::MAX_REQUEST;
    use crate::moodle::token::Token;

    #[test]
    fn a_portion_fits_into_a_question_and_none_is_left_out() {
        let entry = |number: usize| Provided {
            moodle: "campus".to_owned(),
            service: "moodle_mobile_app".to_owned(),
            username: format!("{number}-{}", "u".repeat(number % 90)),
            token: Token::parse("45e8d5226f8d38cf5f15767e0d057350").unwrap(),
            valid_until: Some(number as u64),
        };
        let entries: Vec<_> = (0..3000).map(entry).collect();
        let portions = portions(&entries);
        assert!(portions.len() > 5, "{}", portions.len());
        assert_eq!(portions.concat(), entries);
        for portion in portions {
            let question = serde_json::to_vec(&Request::Import(portion.to_vec())).unwrap();
            assert!((question.len() as u64) < MAX_REQUEST - 1024, "{}", question.len());
        }
    }
}
