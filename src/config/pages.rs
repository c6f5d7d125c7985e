//! `[pages]`, checked: what the pages that people see have of the site, and in which languages they speak.

use std::path::PathBuf;

use url::Url;

use super::read::{FromText, Refusal};
use super::section::words;

/// What every page of the gateway's own shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Pages {
    /// Whose gateway it is.
    pub name: Option<String>,
    pub logo: Option<Logo>,
    pub colours: Colours,
    /// Where "To the start page" leads.
    pub home: Option<String>,
    /// Who helps: `mailto:…` or `https://…`.
    pub support: Option<String>,
    /// At least one; the first one is for whoever asks for none of them.
    pub languages: Vec<Language>,
}

/// Those of a gateway.toml that says nothing about them.
impl Default for Pages {
    fn default() -> Self {
        let accent = Colour([0x1f, 0x5f, 0xbf]);
        Self {
            name: None,
            logo: None,
            colours: Colours {
                light: Scheme {
                    accent,
                    background: Colour([0xf6, 0xf7, 0xf9]),
                },
                dark: Scheme {
                    accent: accent.lightened(Scheme::DARK_CARD),
                    background: Colour([0x14, 0x18, 0x1f]),
                },
            },
            home: None,
            support: None,
            languages: Language::ALL.to_vec(),
        }
    }
}

/// A picture of at most [`Logo::LARGEST`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    pub path: PathBuf,
    pub kind: LogoKind,
}

impl Logo {
    /// Bytes.
    pub const LARGEST: u64 = 64 << 10;
}

/// What its file begins with says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoKind {
    Png,
    Svg,
}

words! {
    /// Languages in which the pages speak.
    pub enum Language {
        English = "en",
        German = "de",
        French = "fr",
        Spanish = "es",
    }
}

/// A colour as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

/// Of the two schemes, each with what is behind the page and what stands out on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours {
    pub light: Scheme,
    pub dark: Scheme,
}

/// Text stands on a card of the gateway's own: [`Scheme::LIGHT_CARD`] or [`Scheme::DARK_CARD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// Of buttons, links and the focus.
    pub accent: Colour,
    /// Behind the card.
    pub background: Colour,
}

impl Scheme {
    pub const LIGHT_CARD: Colour = Colour([0xff, 0xff, 0xff]);
    pub const DARK_CARD: Colour = Colour([0x1c, 0x22, 0x2b]);
}

impl Colour {
    const BLACK: Self = Self([0, 0, 0]);
    const WHITE: Self = Self([0xff, 0xff, 0xff]);
    /// Contrast of text that most people with low vision read (WCAG 2.2, 1.4.3).
    pub const ENOUGH: f64 = 4.5;

    /// Contrast ratio (WCAG 2.2), from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Relative luminance (WCAG 2.2), from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            match value <= 0.040_45 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        let Self([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// Black or white, whichever is read better on it: of every colour one is [enough](Self::ENOUGH).
    pub fn text(self) -> Self {
        match self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) {
            true => Self::WHITE,
            false => Self::BLACK,
        }
    }

    /// The same, as much lighter as it takes to be read on `behind`, which is dark.
    pub fn lightened(self, behind: Self) -> Self {
        let mixed = |part: u16| {
            let mix = |value: u8| {
                let value = u16::from(value);
                u8::try_from(value + (255 - value) * part / 16).unwrap_or(u8::MAX)
            };
            Self(self.0.map(mix))
        };
        let enough = |colour: &Self| colour.contrast(behind) >= Self::ENOUGH;
        (0..=16).map(mixed).find(enough).unwrap_or(Self::WHITE)
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([red, green, blue]) = self;
        write!(out, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromText for Colour {
    const EXPECTED: &'static str = "a colour such as \"#1f5fbf\" or \"#fff\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let digits = text
            .strip_prefix('#')
            .ok_or_else(|| Refusal::new("it does not begin with #").help("names of colours and rgb() are not known"))?;
        let refused = || Refusal::new("there must be three or six hexadecimal digits behind the #");
        let digits: Vec<u8> = digits
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        match *digits.as_slice() {
            [red, green, blue] => Ok(Self([red, green, blue].map(|digit| digit * 17))),
            [r1, r2, g1, g2, b1, b2] => Ok(Self([(r1, r2), (g1, g2), (b1, b2)].map(|(high, low)| high * 16 + low))),
            _ => Err(refused()),
        }
    }
}

/// `pages.home`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home(pub(super) String);

/// `pages.support`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Support(pub(super) String);

/// Printable ASCII, which an address is.
fn plain(text: &str) -> Result<(), Refusal> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty() && text.len() <= 2048 {
        true => Ok(()),
        false => Err(Refusal::new("an address is printable ASCII without spaces").help("percent-encode the rest")),
    }
}

impl FromText for Home {
    const EXPECTED: &'static str = "a URL such as \"https://www.example.edu/\", or a path such as \"/\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        plain(text)?;
        let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
        let is_web = || Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        match is_path || is_web() {
            true => Ok(Self(text.to_owned())),
            false => Err(Refusal::new("this is neither a URL nor a path from the root")),
        }
    }
}

impl FromText for Support {
    const EXPECTED: &'static str = "\"mailto:help@example.edu\", or a page: \"https://help.example.edu/\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        plain(text)?;
        let url = Url::parse(text).ok();
        let scheme = url.as_ref().map(Url::scheme);
        let is_good = match scheme {
            Some("mailto") => url
                .as_ref()
                .is_some_and(|url| url.path().contains('@') && !text.contains(['?', '#'])),
            Some("https") => true,
            _ => false,
        };
        match (is_good, scheme) {
            (true, _) => Ok(Self(text.to_owned())),
            (false, None) if text.contains('@') => {
                Err(Refusal::new("the scheme is missing").help(format!("write \"mailto:{text}\"")))
            }
            (false, Some("mailto")) => Err(Refusal::new("this is no mail address, or more than one")
                .help("write the address alone: the code of the page becomes the subject")),
            (false, _) => Err(Refusal::new("this is neither mailto: nor https://")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        Colour::from_text(text).unwrap_or_else(|refusal| panic!("{text}: {}", refusal.why))
    }

    #[test]
    fn colours_are_hexadecimal_and_nothing_else() {
        assert_eq!(colour("#1f5fbf").to_string(), "#1f5fbf");
        assert_eq!(colour("#FA0").to_string(), "#ffaa00");
        for wrong in [
            "", "#", "1f5fbf", "red", "#12", "#1234", "#12345", "#1234567", "#ggg", "#fff;x", "#é12", " #fff", "#+12",
        ] {
            assert!(Colour::from_text(wrong).is_err(), "{wrong}");
        }
    }

    /// Ratios as WCAG's own examples and other tools tell them.
    #[test]
    fn contrast_is_what_wcag_says() {
        for (one, two, ratio) in [
            ("#000", "#fff", 21.0),
            ("#fff", "#fff", 1.0),
            ("#777", "#fff", 4.48),
            ("#767676", "#fff", 4.54),
            ("#00f", "#fff", 8.59),
        ] {
            let told = colour(one).contrast(colour(two));
            assert!((told - ratio).abs() < 0.01, "{one} on {two}: {told}");
            assert!((told - colour(two).contrast(colour(one))).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn text_is_read_on_every_colour_and_what_is_lightened_on_the_dark_card() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let colour = Colour([red, green, blue]);
                    assert!(colour.contrast(colour.text()) >= Colour::ENOUGH, "{colour}");
                    let light = colour.lightened(Scheme::DARK_CARD);
                    assert!(light.contrast(Scheme::DARK_CARD) >= Colour::ENOUGH, "{colour} {light}");
                }
            }
        }
    }

    #[test]
    fn links_lead_to_the_web_or_to_a_mail() {
        for good in [
            "/",
            "/start?x=1",
            "https://www.example.edu",
            "http://intern.example.edu/x",
        ] {
            assert!(Home::from_text(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "start",
            "//evil.test",
            "/\\evil.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://",
            "/a b",
            "/\u{e9}",
        ] {
            assert!(Home::from_text(bad).is_err(), "{bad}");
        }
        for good in ["mailto:help@example.edu", "https://help.example.edu/desk"] {
            assert!(Support::from_text(good).is_ok(), "{good}");
        }
        for bad in [
            "help@example.edu",
            "mailto:help",
            "mailto:a@b?cc=c@d",
            "http://help.example.edu",
            "javascript:x@y",
            "tel:1",
        ] {
            assert!(Support::from_text(bad).is_err(), "{bad}");
        }
    }
}
