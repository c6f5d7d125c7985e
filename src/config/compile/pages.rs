//! `[pages]`: texts that are shown, the logo's file, and whether the colours can be read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::file;
use crate::config::pages::{Colour, Colours, Language, Logo, LogoKind, Pages, Scheme};
use crate::config::read::At;

/// Characters of a name or title.
const LONGEST: usize = 100;

impl Checker<'_> {
    pub(super) fn pages(&mut self, pages: file::Pages) -> Option<Pages> {
        let name = pages.name.checked(|name| self.shown(name, "name"));
        let logo = pages.logo.checked(|logo| self.logo(&logo));
        let colours = self.colours(pages.colours);
        let languages = self.languages(&pages.languages);
        Some(Pages {
            name: name?,
            logo: logo?,
            colours: colours?,
            home: pages.home.checked(|home| Some(home.value.0))?,
            support: pages.support.checked(|support| Some(support.value.0))?,
            languages: languages?,
        })
    }

    /// A short text that people read.
    pub(super) fn shown(&mut self, text: At<String>, key: &str) -> Option<String> {
        let trimmed = text.value.trim();
        let is_good = !trimmed.is_empty()
            && trimmed.len() == text.value.len()
            && trimmed.chars().count() <= LONGEST
            && !trimmed.contains(char::is_control);
        if !is_good {
            let problem = Diagnostic::error(text.at, format!("`{key}`: this cannot be shown"));
            self.report(problem.help(format!(
                "it has 1 to {LONGEST} characters, no line breaks and no space at its ends"
            )));
        }
        is_good.then_some(text.value)
    }

    fn logo(&mut self, logo: &At<String>) -> Option<Logo> {
        let path = self.existing_file(logo, "logo")?;
        match kind(&path) {
            Ok(kind) => Some(Logo { path, kind }),
            Err(why) => {
                let problem = Diagnostic::error(logo.at, format!("`logo`: this file {why}"));
                self.report(problem.help("a PNG or SVG file of at most 64 KiB; it is shown 48 pixels high"));
                None
            }
        }
    }

    fn colours(&mut self, written: file::Colours) -> Option<Colours> {
        let light = Scheme {
            accent: written.accent.value,
            background: written.background.value,
        };
        let dark_at = written.dark_accent.given().map(|dark| dark.at);
        let dark = written.dark_accent.checked(|dark| Some(dark.value))?;
        let dark = Scheme {
            accent: dark.unwrap_or_else(|| light.accent.lightened(Scheme::DARK_CARD)),
            background: written.dark_background.value,
        };
        for (at, colour, card) in [
            (written.accent.written(), light.accent, Scheme::LIGHT_CARD),
            (dark_at, dark.accent, Scheme::DARK_CARD),
        ] {
            let ratio = colour.contrast(card);
            if let Some(at) = at.filter(|_| ratio < Colour::ENOUGH) {
                let message = format!("this colour is hard to read on {card}: its contrast is {ratio:.1}:1");
                let problem = Diagnostic::warning(at, message);
                let other = if card == Scheme::LIGHT_CARD {
                    "darker"
                } else {
                    "lighter"
                };
                self.report(problem.help(format!(
                    "WCAG 2.2 (1.4.3) asks for {}:1: take a {other} one",
                    Colour::ENOUGH
                )));
            }
        }
        Some(Colours { light, dark })
    }

    fn languages(&mut self, languages: &At<Vec<At<Language>>>) -> Option<Vec<Language>> {
        self.not_empty(
            languages,
            "languages",
            "name at least one of \"en\", \"de\", \"fr\", \"es\"",
        )?;
        self.unique("language", &languages.value);
        Some(languages.value.iter().map(|one| one.value).collect())
    }
}

/// Of which kind a picture is, by how it begins; or what is wrong with it.
fn kind(path: &Path) -> Result<LogoKind, String> {
    let unreadable = |why: io::Error| format!("cannot be read: {}", why.kind());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(Logo::LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > Logo::LARGEST {
        return Err("is larger than 64 KiB".to_owned());
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(LogoKind::Png);
    }
    let is_svg = std::str::from_utf8(&bytes).is_ok_and(|text| {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let is_markup = ["<svg", "<?xml", "<!--", "<!DOCTYPE"]
            .iter()
            .any(|begins| text.starts_with(begins));
        is_markup && text.contains("<svg")
    });
    match is_svg {
        true => Ok(LogoKind::Svg),
        false => Err("is neither PNG nor SVG".to_owned()),
    }
}
