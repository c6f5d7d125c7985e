//! `janua config`: what may stand in gateway.toml, what usually does, and what is in force.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

use super::{ConfigArgs, load};
use crate::config;

/// The reference file, as it stands in the repository: commented, and it runs there, with a sample lecture.
const REFERENCE: &str = include_str!("../../gateway.toml");
/// What there is only where the sample is, and what stands in its place for whoever has the binary alone.
const WITHOUT_SAMPLE: [(&str, &str); 7] = [
    (
        "This file runs as it is: `make run` makes the sample lecture and its key, then starts\n# the gateway with it. To \
         protect your own, change what is marked with <--.",
        "Change what is marked with <--.",
    ),
    (
        "\"sample/keys/jwks.json\"         # made by `make run`    <-- \"https://moodle.example.edu/.well-known/jwks.json\"",
        "\"https://moodle.example.edu/.well-known/jwks.json\"                               # <--",
    ),
    ("name = \"sample\"", "name = \"moodle\""),
    (
        "\"sample/downloads\"             # made by `make run`    <-- \"/srv/opencast/downloads\"",
        "\"/srv\"                         # <-- \"/srv/opencast/downloads\"",
    ),
    (
        "\"sample/downloads\"                                 # <-- \"/srv/opencast/downloads\"",
        "\"/srv\"                                             # <-- \"/srv/opencast/downloads\"",
    ),
    ("\"sample/downloads\"", "\"/srv\""),
    ("\"sample/keys/jwks.json\"", "\"keys/jwks.json\""),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the JSON Schema of gateway.toml, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Print a commented gateway.toml to start from
    Example {
        /// What the gateway stands in front of: everything that there is, commented, or a whole Opencast
        #[arg(value_enum, default_value_t = Example::All)]
        of: Example,
    },
    /// Print the configuration in force: what gateway.toml says and, marked, the defaults of what it does not say
    #[command(after_help = SHOW_HELP)]
    Show(ConfigArgs),
}

/// The files to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Example {
    All,
    Opencast,
}

/// Where the reference file begins to speak of a whole Opencast; it ends with it.
const OPENCAST: &str = "#[upstreams.opencast]";
/// What stands in front of that in a file of its own.
const BEFORE_OPENCAST: &str = "\
# A whole Opencast behind Janua, with the rules that it has itself, and closed where those say nothing. Change what is marked
# with <--; `janua check` says what is missing.
#
# Opencast in turn believes this gateway alone: set its jwksUrl to https://<this gateway>/.well-known/jwks.json, and let
# nobody past the gateway. Its own log-in page and sessions (JSESSIONID) then count nowhere. What a rule asks for has to come
# from somewhere: name the roles in `allow_roles` of an issuer. `janua config example` has all other keys.

[server]
listen     = [\"127.0.0.1:8080\"]
public_url = \"https://media.example.edu\"                       # <-- where clients reach it

[state]
store = \"embedded\"
path  = \"state/janua.redb\"

# Who signs tokens: Moodle, ILIAS, Tobira …; one table each.
[[jwt.issuers]]
name        = \"moodle\"
jwks        = \"https://moodle.example.edu/.well-known/jwks.json\"  # <--
# No others count. Leave ROLE_ADMIN out where the issuer gives it to others than administrators: ILIAS writes it into the tokens of
# whoever watches a lecture.
allow_roles = [\"*_Learner\", \"*_Instructor\", \"ROLE_USER\", \"ROLE_STUDIO\", \"ROLE_API*\", \"ROLE_ADMIN*\"]   # <--

";

const SCHEMA_HELP: &str = "\
Editors with a TOML language server (Taplo, Tombi, Even Better TOML) then complete keys, show what they mean and
underline what is misspelt:
  janua config schema > gateway.schema.json
and as the first line of gateway.toml:
  #:schema ./gateway.schema.json

It knows keys and types; `janua check` knows the rest.";

const SHOW_HELP: &str = "\
A ${NAME} stays a name, whatever the variable holds, and passwords in URLs are hidden. The output can be read again.";

/// Runs the command. Exit code 1 if gateway.toml is wrong; what is wrong goes to stderr.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let text = match command {
        Command::Schema => format!("{:#}\n", config::schema()),
        Command::Example { of: Example::All } => example(),
        Command::Example { of: Example::Opencast } => opencast(),
        Command::Show(args) => {
            let path = args.path()?;
            let Some(loaded) = load(&path) else {
                return Ok(ExitCode::FAILURE);
            };
            let source = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            config::show(&source, &loaded.config)?
        }
    };
    super::put(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn example() -> String {
    let replaced = WITHOUT_SAMPLE.iter();
    replaced.fold(REFERENCE.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The last section of the reference file, in force.
fn opencast() -> String {
    let text = example();
    let section = text
        .find(OPENCAST)
        .and_then(|begin| text.get(begin..))
        .unwrap_or_default();
    let in_force = |line| match str::strip_prefix(line, "#") {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    };
    let mut file = BEFORE_OPENCAST.to_owned();
    for line in section.lines() {
        file.push_str(in_force(line));
        file.push('\n');
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_needs_nothing_but_the_binary() {
        let text = example();
        for made in ["sample", "make run"] {
            assert!(!text.contains(made), "{made}");
        }
        assert_eq!(
            text.lines().count() + 1,
            REFERENCE.lines().count(),
            "nothing else changes"
        );
    }

    #[test]
    fn a_whole_opencast_stands_alone() {
        let text = opencast();
        assert!(text.contains("\n[upstreams.opencast]\n") && text.contains("\n[opencast.main]\n"));
        assert!(text.contains("opencast_security = ") && !text.contains("sample") && !text.contains("\n#["));
    }
}
