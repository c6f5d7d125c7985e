//! What `janua init` has to know: told on the command line, asked for on a terminal, or usual.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum as _;

use super::{Args, Kind};

/// Bytes of an answer.
const LONGEST: u64 = 4096;

/// Everything that the files are made of; what a kind has no use for is empty.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) kind: Kind,
    pub(super) listen: String,
    pub(super) public_url: String,
    pub(super) jwks: String,
    /// Where a key pair is to be made.
    pub(super) keys: Option<PathBuf>,
    pub(super) files: String,
    pub(super) upstream: String,
    pub(super) cas: String,
    /// The file belongs to the system's service, which keeps its state below /var/lib.
    pub(super) is_of_system: bool,
}

/// One thing to know.
struct Question {
    flag: &'static str,
    asked: &'static str,
    usual: Option<&'static str>,
}

impl Answers {
    /// Errors: something is missing, and there is nobody to ask; or it is told, and the kind has no use for it.
    pub(super) fn gather(args: &Args) -> anyhow::Result<Self> {
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
        let mut ask = |question: &Question| if asks { asked(question) } else { Ok(None) };
        gathered(args, &mut ask)
    }
}

fn gathered(args: &Args, ask: &mut dyn FnMut(&Question) -> anyhow::Result<Option<String>>) -> anyhow::Result<Answers> {
    let kind = match args.kind {
        Some(kind) => kind,
        None => {
            let asked = "What is it for: lectures, octoka, opencast or moodle?";
            let question = Question {
                flag: "KIND",
                asked,
                usual: None,
            };
            let told = ask(&question)?;
            let Some(told) = told else {
                bail!("say what it is for: janua init lectures, octoka, opencast or moodle");
            };
            Kind::from_str(&told, true)
                .map_err(|_| anyhow::anyhow!("{told:?} is none of lectures, octoka, opencast and moodle"))?
        }
    };
    let (is_moodle, has_upstream) = (kind == Kind::Moodle, matches!(kind, Kind::Opencast | Kind::Moodle));
    let unused = [
        ("--jwks", is_moodle && args.jwks.is_some()),
        ("--keys", is_moodle && args.keys.is_some()),
        ("--files", is_moodle && args.files.is_some()),
        ("--upstream", !has_upstream && args.upstream.is_some()),
        ("--cas", !is_moodle && args.cas.is_some()),
    ];
    if let Some((flag, _)) = unused.iter().find(|(_, is_unused)| *is_unused) {
        bail!("{flag} means nothing here");
    }
    let mut know = |told: &Option<String>, question: Question| match told {
        Some(told) => Ok(told.clone()),
        None => match (ask(&question)?, question.usual) {
            (Some(answer), _) => Ok(answer),
            (None, Some(usual)) => Ok(usual.to_owned()),
            (None, None) => bail!("{} is missing: {}", question.flag, question.asked),
        },
    };
    let listen = know(
        &args.listen,
        Question {
            flag: "--listen",
            asked: "Where does the gateway listen?",
            usual: Some(if kind == Kind::Octoka {
                "127.0.0.1:4050"
            } else {
                "127.0.0.1:8080"
            }),
        },
    )?;
    let public_url = know(
        &args.public_url,
        Question {
            flag: "--public-url",
            asked: match is_moodle {
                true => "Which address has Moodle ($CFG->wwwroot)?",
                false => "How do players call the gateway, such as https://video.example.edu?",
            },
            usual: None,
        },
    )?;
    let mut answers = Answers {
        kind,
        listen,
        public_url,
        jwks: String::new(),
        keys: args.keys.clone(),
        files: String::new(),
        upstream: String::new(),
        cas: String::new(),
        is_of_system: std::path::absolute(&args.out)?.starts_with("/etc"),
    };
    if !is_moodle {
        answers.jwks = match &args.keys {
            Some(keys) => keys.join("jwks.json").display().to_string(),
            None => know(
                &args.jwks,
                Question {
                    flag: "--jwks (or --keys)",
                    asked: "Where is the key set of whoever issues the tokens, such as \
                        https://moodle.example.edu/.well-known/jwks.json?",
                    usual: None,
                },
            )?,
        };
        if !answers.jwks.contains("://") {
            answers.jwks = from_here(&answers.jwks)?;
        }
        answers.files = know(
            &args.files,
            Question {
                flag: "--files",
                asked: "In which folder are Opencast's downloads?",
                usual: Some("/srv/opencast/downloads"),
            },
        )?;
        answers.files = from_here(&answers.files)?;
    }
    if has_upstream {
        answers.upstream = know(
            &args.upstream,
            Question {
                flag: "--upstream",
                asked: match is_moodle {
                    true => "Where does Moodle's web server answer the gateway, such as http://10.0.0.21:8080?",
                    false => "Where does Opencast answer the gateway, such as http://10.0.0.20:8080?",
                },
                usual: None,
            },
        )?;
    }
    if is_moodle {
        answers.cas = know(
            &args.cas,
            Question {
                flag: "--cas",
                asked: "At which CAS server do people sign in, such as https://cas.example.edu/cas?",
                usual: None,
            },
        )?;
    }
    Ok(answers)
}

/// Asks on the terminal, again if nothing is answered and nothing is usual. `None`: the usual.
fn asked(question: &Question) -> anyhow::Result<Option<String>> {
    loop {
        let mut terminal = io::stderr().lock();
        match question.usual {
            Some(usual) => write!(terminal, "{} [{usual}] ", question.asked)?,
            None => write!(terminal, "{} ", question.asked)?,
        }
        terminal.flush()?;
        let mut answer = String::new();
        let read = io::Read::take(io::stdin().lock(), LONGEST).read_line(&mut answer)?;
        match answer.trim() {
            "" if read == 0 => bail!("no answer"),
            "" if question.usual.is_none() => {}
            "" => return Ok(None),
            answer => return Ok(Some(answer.to_owned())),
        }
    }
}

/// A path of the file is relative to its folder, one of the command line to where it is called.
fn from_here(path: &str) -> anyhow::Result<String> {
    Ok(std::path::absolute(path)?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            kind: None,
            out: "gateway.toml".into(),
            listen: None,
            public_url: None,
            jwks: None,
            keys: None,
            files: None,
            upstream: None,
            cas: None,
        }
    }

    #[test]
    fn what_is_not_told_is_asked_for() {
        let mut asked = Vec::new();
        let answers = gathered(&args(), &mut |question| {
            asked.push(question.flag);
            Ok(match question.flag {
                "KIND" => Some("Moodle".to_owned()),
                "--listen" => None,
                flag => Some(flag.to_owned()),
            })
        });
        let answers = answers.unwrap();
        assert_eq!(asked, ["KIND", "--listen", "--public-url", "--upstream", "--cas"]);
        assert_eq!(
            (answers.kind, answers.listen.as_str()),
            (Kind::Moodle, "127.0.0.1:8080")
        );
        assert_eq!((answers.cas.as_str(), answers.jwks.as_str()), ("--cas", ""));
    }

    #[test]
    fn where_nobody_can_be_asked_the_missing_flag_is_named() {
        let nobody = |args: Args| gathered(&args, &mut |_| Ok(None)).unwrap_err().to_string();
        assert!(nobody(args()).contains("janua init lectures"));
        let kind = Some(Kind::Octoka);
        assert!(nobody(Args { kind, ..args() }).starts_with("--public-url is missing"));
        let cas = Some("x".to_owned());
        assert_eq!(nobody(Args { kind, cas, ..args() }), "--cas means nothing here");
    }
}
