//! `janua completions` and `janua man`: what shells and man(1) want to know, made from the command line itself.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that the completions are for
    shell: Shell,
}

/// Prints the completions for a shell.
pub fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "janua", &mut script);
    super::put(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints one manual page with every command in it.
pub fn man() -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(command, &mut page)?;
    }
    super::put(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}

/// A section for a command, or for each of its own commands.
fn describe(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    if command.has_subcommands() {
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        return inner.into_iter().try_for_each(|inner| describe(inner, page));
    }
    if command.get_name() == "help" {
        return Ok(());
    }
    let title = command.get_bin_name().unwrap_or_else(|| command.get_name());
    writeln!(page, ".SH \"{}\"", title.to_uppercase())?;
    let man = clap_mangen::Man::new(command.clone());
    man.render_description_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_options_section(page)?;
    man.render_extra_section(page)
}
