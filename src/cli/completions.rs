//! `janua completions` and `janua man`: what shells and man(1) want to know, made from the command line itself.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

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

/// Prints one manual page with every command in it. There are no others: none is referred to.
pub fn man() -> anyhow::Result<ExitCode> {
    super::put(&page()?)?;
    Ok(ExitCode::SUCCESS)
}

fn page() -> io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone());
    let mut page = rendered(|out| man.render_title(out))?;
    page += &rendered(|out| man.render_name_section(out))?;
    page += &sections(&command)?;
    for command in command.get_subcommands() {
        describe(command, &mut page)?;
    }
    page += &rendered(|out| man.render_version_section(out))?;
    Ok(page)
}

/// A section for a command, or for each of its own commands, with subsections.
fn describe(command: &Command, page: &mut String) -> io::Result<()> {
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    if command.has_subcommands() {
        let mut inner = command.get_subcommands();
        return inner.try_for_each(|inner| describe(inner, page));
    }
    let title = command.get_bin_name().unwrap_or_else(|| command.get_name());
    *page += &format!(".SH \"{}\"\n", title.to_uppercase());
    *page += &sections(command)?
        .replace("\n.SH ", "\n.SS ")
        .replacen(".SH ", ".SS ", 1);
    Ok(())
}

/// What there is to say of a command: nothing without words.
fn sections(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let described = command.get_about().is_some() || command.get_long_about().is_some();
    let noted = command.get_after_help().is_some() || command.get_after_long_help().is_some();
    let mut text = rendered(|out| man.render_synopsis_section(out))?;
    if described {
        text += &rendered(|out| man.render_description_section(out))?;
    }
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        text += &rendered(|out| man.render_options_section(out))?;
    }
    if noted {
        text += &rendered(|out| man.render_extra_section(out))?.replace(".SH EXTRA", ".SH NOTES");
    }
    Ok(text)
}

/// Without the lines that troff reads before each section; the title has them.
fn rendered(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::new();
    render(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_no_other_page_and_has_no_empty_section() {
        let page = page().unwrap();
        assert!(!page.contains("(1)"), "a page that does not exist: {page}");
        assert!(
            page.contains(".SH \"JANUA CHECK\"") && page.contains(".SH \"JANUA VAULT LIST\""),
            "{page}"
        );
        let lines: Vec<&str> = page
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(".ie") && !line.starts_with(".el"))
            .collect();
        for pair in lines.windows(2) {
            let both_head = pair[0].starts_with(".SS ") && (pair[1].starts_with(".SS ") || pair[1].starts_with(".SH "));
            assert!(!both_head && !pair[1].contains("EXTRA"), "nothing below {pair:?}");
        }
    }
}
