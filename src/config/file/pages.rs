//! `[pages]`, as it is written.

use crate::config::pages::{Colour, Home, Language, Support};
use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `[pages]`: the pages that people see, when they sign in and out, and when something is refused.
    struct Pages {
        /// Whose gateway it is, above each page: "University of Example". Default: nobody is named.
        name: String,
        /// A picture above each page: a PNG or SVG file of at most 64 KiB. Default: none.
        logo: String,
        /// Colours of the pages.
        colours: Colours = {},
        /// Where "To the start page" leads: a URL, or a path here. Without it, pages after signing out lead to "/".
        home: Home,
        /// Who helps: `"mailto:help@example.edu"` or a page `"https://…"`. Default: nobody is named.
        support: Support,
        /// Languages of the pages, of en, de, fr and es; the browser chooses (`Accept-Language`). The first one is for those
        /// that want none of them.
        languages: At<Vec<At<Language>>> = ["en", "de", "fr", "es"],
    }
}

section! {
    /// `pages.colours`: as "#rrggbb" or "#rgb". Text on them is black or white, as is read better.
    struct Colours {
        /// Of buttons and links, on white.
        accent: At<Colour> = "#1f5fbf",
        /// Behind the page.
        background: At<Colour> = "#f6f7f9",
        /// The accent for those who have chosen a dark display, on #1c222b. Without it, `accent` is made as much lighter as it takes.
        dark_accent: Colour,
        /// What is behind the page then.
        dark_background: At<Colour> = "#14181f",
    }
}
