//! `janua why`: why was this request refused?

use std::io;
use std::process::ExitCode;

use super::{ConfigArgs, in_colour, load_quietly, put};
use crate::control;
use crate::explain::render;
use crate::explain::why::{Answer, Which};
use crate::text::safe;

/// Exit code where no such request is kept,
const NOT_FOUND: u8 = 1;
/// and where no gateway answers.
const NO_GATEWAY: u8 = 2;

/// Say why a request that the gateway has answered was refused
///
/// Asks the running gateway, over its control socket, for what it keeps of a recent request: which route it had, which
/// credentials were looked at, which condition of which rule held, how it ended, and what to do about it. The id stands
/// in the answer (X-Request-Id), on the page that the person sees, and in the log. Refusals of every kind are kept, and
/// requests that failed; others only with `server.recent.allowed`. No token, cookie or value of a query is kept.
///
/// The exit code is 0 if the request is known, 1 if it is not, and 2 if no gateway answers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("which").required(true))]
pub struct Args {
    /// The id of the request, or six letters or more that only one begins with
    #[arg(value_name = "REQUEST-ID", group = "which")]
    id: Option<String>,
    /// The last request that was refused
    #[arg(long, group = "which")]
    last: bool,
    /// With --last: the last one of this route
    #[arg(long, value_name = "NAME", requires = "last", conflicts_with = "id")]
    route: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// For scripts: one JSON object, in the shape of `janua explain --json`
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  janua why 6f1c20a9                    the beginning of the number that the page shows
  janua why --last --route media        the last refusal of this route
  janua why 6f1c20a9 --json | jq -r .reason";

/// Exit code 0 if the request is known, 1 if not, 2 if no gateway answers.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(loaded) = load_quietly(&args.config.path()?) else {
        return Ok(ExitCode::from(NO_GATEWAY));
    };
    let which = match &args.id {
        Some(id) => Which::Id(id.clone()),
        None => Which::Last {
            route: args.route.clone(),
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = match runtime.block_on(control::why(&loaded.config.server.control, which)) {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("janua: {}", safe(&error.to_string()));
            return Ok(ExitCode::from(NO_GATEWAY));
        }
    };
    match answer {
        Answer::Found(report) => {
            put(&match args.json {
                true => format!("{}\n", serde_json::to_string_pretty(&report)?),
                false => render::render(&report, in_colour(&io::stdout())),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        Answer::Several(ids) => {
            eprintln!("janua: several requests begin so; name more of the one that is meant:");
            ids.iter().for_each(|id| eprintln!("  {}", safe(id)));
        }
        Answer::Nothing(told) => eprintln!("janua: {}", safe(&told)),
    }
    Ok(ExitCode::from(NOT_FOUND))
}
