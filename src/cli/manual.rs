//! `janua man`: manual pages, made from the command line itself and from the declarations of gateway.toml.
//!
//! Without a folder one page with every command; with one a page for each command, and gateway.toml(5).

mod file;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command, and gateway.toml(5), into this folder; made if missing
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the one page, or writes all of them.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.folder {
        None => super::put(&page()?)?,
        Some(folder) => write(folder).with_context(|| folder.display().to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// There is no other page: none is referred to.
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

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in pages()? {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// File names and texts.
fn pages() -> io::Result<Vec<(String, String)>> {
    // There is no page for the generated `help`.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("gateway.toml.5".to_owned(), file::page())];
    add(&command, "janua", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, name: &str, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    let inner = || command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let man = Man::new(command.clone()).title(name).section("1");
    let mut page = rendered(|out| man.render_title(out))?;
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page += &format!(".SH NAME\n{} \\- {}\n", name.replace('-', "\\-"), escaped(&about));
    page += &sections(command)?;
    if inner().next().is_some() {
        page += ".SH COMMANDS\n";
    }
    for inner in inner() {
        let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
        page += &format!(
            ".TP\n{}(1)\n{}\n",
            full(name, inner).replace('-', "\\-"),
            escaped(&about)
        );
    }
    page += ".SH \"SEE ALSO\"\n";
    page += match name.rsplit_once('-') {
        Some((above, _)) => format!("{}(1), gateway.toml(5)\n", above.replace('-', "\\-")),
        None => "gateway.toml(5)\n".to_owned(),
    }
    .as_str();
    pages.push((format!("{name}.1"), page));
    inner().try_for_each(|inner| add(inner, &full(name, inner), pages))
}

fn full(name: &str, inner: &Command) -> String {
    format!("{name}-{}", inner.get_name())
}

/// Text in which nothing is a command of troff's.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        })
        .collect();
    lines.join("\n")
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

    fn every_section_has_a_text(page: &str) {
        let lines: Vec<&str> = page
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(".ie") && !line.starts_with(".el"))
            .collect();
        for pair in lines.windows(2) {
            let heads = |line: &str| line.starts_with(".SS ") || line.starts_with(".SH ");
            let is_above = pair[0].starts_with(".SH ") && pair[1].starts_with(".SS ");
            let both_head = heads(pair[0]) && heads(pair[1]) && !is_above;
            assert!(!both_head && !pair[1].contains("EXTRA"), "nothing below {pair:?}");
        }
    }

    #[test]
    fn the_one_page_names_no_other_and_has_no_empty_section() {
        let page = page().unwrap();
        assert!(!page.contains("(1)"), "a page that does not exist: {page}");
        assert!(
            page.contains(".SH \"JANUA CHECK\"") && page.contains(".SH \"JANUA VAULT LIST\""),
            "{page}"
        );
        every_section_has_a_text(&page);
    }

    #[test]
    fn pages_name_those_that_there_are() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "gateway.toml.5",
            "janua.1",
            "janua-check.1",
            "janua-vault.1",
            "janua-vault-list.1",
            "janua-init.1",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        for (name, page) in &pages {
            assert!(
                page.contains(".TH ") && page.contains(".SH NAME") && page.contains(" \\- "),
                "{name}: {page}"
            );
            every_section_has_a_text(page);
            let words = page.split(|letter: char| letter.is_whitespace() || letter == ',');
            for named in words.filter_map(|word| word.strip_suffix("(1)")) {
                let file = format!("{}.1", named.replace("\\-", "-"));
                assert!(names.contains(&file.as_str()), "{name} names {named}(1)");
            }
        }
        let file = &pages[0].1;
        for part in [
            ".SH \"[server]\"",
            ".SH \"[[routes]]\"",
            ".SH \"[upstreams.<name>]\"",
            "\\fBtrusted_proxies\\fR",
        ] {
            assert!(file.contains(part), "{part}: {file}");
        }
    }
}
