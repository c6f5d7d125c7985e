//! `janua token`: makes tokens as an issuer would, to try rules and to write examples.
//!
//! What is minted is written as asked, sensible or not: a gateway's refusals want to be tried too.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use serde_json::{Map, Value, json};

use crate::key_file::p256;
use crate::time::{number_and_unit, unix_seconds};

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one value in a process")]
pub enum Command {
    /// Make a token and print it
    Mint(Mint),
    /// Say what a token claims, when it counts, and what is wrong with it
    #[command(after_help = super::token_show::EXAMPLES)]
    Show(super::token_show::Args),
}

#[derive(Debug, Args)]
pub struct Mint {
    /// The issuer's private key: a P-256 key in PEM (PKCS#8, as `janua keys new` makes it, or SEC 1)
    #[arg(long, value_name = "PEM")]
    pub key: PathBuf,
    /// The username
    #[arg(long, value_name = "NAME")]
    pub sub: Option<String>,
    /// The name for people
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// A role, as it is; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// The role COURSE_Learner; may be repeated
    #[arg(long = "learner", value_name = "COURSE")]
    pub learner: Vec<String>,
    /// The role COURSE_Instructor; may be repeated
    #[arg(long = "instructor", value_name = "COURSE")]
    pub instructor: Vec<String>,
    /// Actions granted on an event, say 2f4b=read,write; may be repeated
    #[arg(long = "event", value_name = "ID=ACTION[,ACTION]", value_parser = grant)]
    pub events: Vec<Grant>,
    /// The same for a series itself
    #[arg(long = "series", value_name = "ID=ACTION[,ACTION]", value_parser = grant)]
    pub series: Vec<Grant>,
    /// The same for a playlist itself
    #[arg(long = "playlist", value_name = "ID=ACTION[,ACTION]", value_parser = grant)]
    pub playlists: Vec<Grant>,
    /// Any claim, its value in JSON; stands in place of what other options would write; may be repeated
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = claim)]
    pub claims: Vec<(String, Value)>,
    /// How long the token is valid: 15s, 10m, 4h, 2d
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub expires: Duration,
    /// The name of the key, for the header
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
}

/// An item and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    id: String,
    actions: Vec<String>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("the key {path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds no P-256 private key in PEM (PKCS#8, or SEC 1)")]
    NoKey { path: PathBuf },
    #[error("the token cannot be signed: {0}")]
    Sign(jsonwebtoken::errors::Error),
}

/// Runs the command: the token, and nothing else, goes to stdout.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let arguments = match command {
        Command::Mint(arguments) => arguments,
        Command::Show(args) => return super::token_show::run(args),
    };
    let token = mint(arguments, SystemTime::now())?;
    super::put(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes an ES256 token that is valid from `now` on.
pub fn mint(arguments: &Mint, now: SystemTime) -> Result<String, MintError> {
    let no_key = || MintError::NoKey {
        path: arguments.key.clone(),
    };
    let pem = std::fs::read_to_string(&arguments.key).map_err(|source| MintError::Read {
        path: arguments.key.clone(),
        source,
    })?;
    let secret = p256(&pem).ok_or_else(no_key)?;
    // Written anew: whatever variant of PKCS#8 was read, the signer gets one that it knows.
    let der = secret.to_pkcs8_der().map_err(|_| no_key())?;
    let mut header = Header::new(Algorithm::ES256);
    header.kid.clone_from(&arguments.kid);
    let key = EncodingKey::from_ec_der(der.as_bytes());
    jsonwebtoken::encode(&header, &claims(arguments, now), &key).map_err(MintError::Sign)
}

fn claims(arguments: &Mint, now: SystemTime) -> Map<String, Value> {
    let expires = now.checked_add(arguments.expires).unwrap_or(now);
    let mut claims = Map::new();
    claims.insert("exp".to_owned(), unix_seconds(expires).into());
    for (name, value) in [
        ("sub", &arguments.sub),
        ("name", &arguments.name),
        ("email", &arguments.email),
    ] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), json!(value));
        }
    }
    let learner = arguments.learner.iter().map(|course| format!("{course}_Learner"));
    let instructor = arguments.instructor.iter().map(|course| format!("{course}_Instructor"));
    let mut roles = arguments.roles.clone();
    roles.extend(learner.chain(instructor));
    if !roles.is_empty() {
        claims.insert("roles".to_owned(), json!(roles));
    }
    let mut items = Map::new();
    for (kind, grants) in [
        ("e", &arguments.events),
        ("s", &arguments.series),
        ("p", &arguments.playlists),
    ] {
        for Grant { id, actions } in grants {
            items.insert(format!("{kind}:{id}"), json!(actions));
        }
    }
    if !items.is_empty() {
        claims.insert("oc".to_owned(), Value::Object(items));
    }
    claims.extend(arguments.claims.iter().cloned());
    claims
}

/// `ID=action[,action]`; the id may hold `=`, an action cannot.
fn grant(text: &str) -> Result<Grant, &'static str> {
    let (id, actions) = text
        .rsplit_once('=')
        .ok_or("write ID=action, say lecture-1=read,write")?;
    let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
    if id.is_empty() || actions.iter().any(String::is_empty) {
        return Err("an id and at least one action are needed, say lecture-1=read,write");
    }
    Ok(Grant {
        id: id.to_owned(),
        actions,
    })
}

/// `name=json`.
fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=JSON, say nbf=1800000000")?;
    let value =
        serde_json::from_str(value).map_err(|error| format!("no JSON after the '=' ({error}); strings need quotes"))?;
    Ok((name.to_owned(), value))
}

/// A whole number and one unit.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const HELP: &str = "write a number and a unit: 15s, 10m, 4h, 2d";
    let (number, unit) = number_and_unit(text).ok_or(HELP)?;
    let seconds = number.checked_mul(unit.as_secs()).ok_or("too long")?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use clap::Parser;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;
    use crate::cli::keys::{KeyAlgorithm, New, write_pair};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mint: Mint,
    }

    fn parsed(arguments: &[&str]) -> Result<Mint, clap::Error> {
        let line = ["mint", "--key", "unused"].iter().chain(arguments);
        Line::try_parse_from(line).map(|line| line.mint)
    }

    fn claims_of(arguments: &[&str]) -> Value {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        Value::Object(claims(&parsed(arguments).unwrap(), now))
    }

    #[test]
    fn options_become_claims() {
        assert_eq!(claims_of(&[]), json!({"exp": 1015}));
        let arguments = [
            "--sub=anna",
            "--name=Anna A",
            "--email=a@example.edu",
            "--role=ROLE_STUDIO",
            "--learner=4",
            "--instructor=5",
            "--event=a=b=read,write",
            "--series=s=read",
            "--playlist=p=read",
            "--expires=4h",
        ];
        let expected = json!({
            "exp": 15_400, "sub": "anna", "name": "Anna A", "email": "a@example.edu",
            "roles": ["ROLE_STUDIO", "4_Learner", "5_Instructor"],
            "oc": {"e:a=b": ["read", "write"], "s:s": ["read"], "p:p": ["read"]},
        });
        assert_eq!(claims_of(&arguments), expected);
        assert_eq!(
            claims_of(&["--claim", "exp=1.5", "--claim", r#"x=["y"]"#]),
            json!({"exp": 1.5, "x": ["y"]})
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [
            "--event=a",
            "--event=a=",
            "--event==read",
            "--event=a=read,",
            "--claim=a",
            "--claim=a=b",
            "--expires=15",
            "--expires=s",
            "--expires=-1s",
            "--expires=1h1m",
            "--expires=99999999999999999999s",
        ] {
            assert!(parsed(&[arguments]).is_err(), "{arguments}");
        }
    }

    #[test]
    fn a_token_verifies_with_its_pair() {
        let folder = tempfile::tempdir().unwrap();
        let new = New {
            out: folder.path().to_owned(),
            alg: KeyAlgorithm::Es256,
            kid: None,
        };
        let files = write_pair(&new).unwrap();
        let mut arguments = parsed(&["--kid=k", "--sub=anna"]).unwrap();
        arguments.key = files.private;
        let token = mint(&arguments, SystemTime::now()).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&header).unwrap(),
            json!({"typ":"JWT","alg":"ES256","kid":"k"})
        );
        let jwk: Value = serde_json::from_slice(&std::fs::read(&files.public).unwrap()).unwrap();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        let key = DecodingKey::from_ec_components(x, y).unwrap();
        let decoded = decode::<Value>(&token, &key, &Validation::new(Algorithm::ES256)).unwrap();
        assert_eq!(decoded.claims["sub"], "anna");

        arguments.key = files.public;
        assert!(matches!(
            mint(&arguments, SystemTime::now()),
            Err(MintError::NoKey { .. })
        ));
    }
}
