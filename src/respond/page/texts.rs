//! Every text of the pages, once in each language: a file a language, which does not compile where one is missing.
//!
//! They are for people who know nothing of tokens: what has happened, and what to do. `{name}` is a place that
//! [`filled`] fills in.

mod de;
mod en;
mod es;
mod fr;

use super::Escaped;
use crate::config::Language;

/// Declares [`Texts`].
macro_rules! texts {
    ($( $(#[doc = $doc:literal])* $key:ident )*) => {
        /// The texts of one language.
        #[derive(Debug)]
        pub struct Texts {
            pub language: Language,
            $( $(#[doc = $doc])* pub $key: &'static str, )*
        }

        impl Texts {
            /// With their keys.
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$( (stringify!($key), self.$key), )*]
            }
        }
    };
}

texts! {
    // buttons and links
    sign_in
    sign_in_again
    sign_out
    open_moodle
    try_again
    to_start
    /// Whom to ask.
    to_support
    /// Before what a person tells the support desk.
    code

    // who am I
    signed_in_title
    /// With {user}, {sign_in}, {hours} and {minutes}.
    signed_in
    not_signed_in_title
    not_signed_in

    // signing in
    please_sign_in_title
    please_sign_in
    /// Beside a button in a frame.
    in_a_tab
    which_sign_in
    arrived_title
    open_the_file

    // signing out
    sign_out_title
    /// With {user}.
    you_are
    /// With {source}.
    you_are_by_a_link
    /// With {server}.
    only_here
    moodle_ends_too
    sign_out_everywhere
    sign_out_here
    signed_out_title
    signed_out_here
    moodle_has_ended
    /// With {server}.
    still_at_server
    no_way_at_server
    not_yet_at_server
    sign_out_there

    // at Moodle
    at_moodle_title
    at_moodle_again
    at_moodle_button
    other_at_moodle
    other_at_server
    server_asks

    // refusals: what has happened, and what to do
    from_course_title
    from_course
    link_over
    not_yet_title
    not_yet
    bad_link_title
    bad_link
    no_access_title
    no_access
    withdrawn
    nothing_here_title
    nothing_here
    moodle_first_title
    moodle_unknown
    moodle_policy
    moodle_profile
    moodle_password
    moodle_visit
    moodle_closed_title
    moodle_mark
    moodle_factor
    maintenance_title
    maintenance
    no_moodle_title
    no_moodle
    stale_title
    stale
    refused_title
    refused
    cross_site_title
    cross_site
    too_many_title
    too_many
    busy_title
    busy
    sign_in_away_title
    sign_in_away
    away_title
    away
    wrong_title
    wrong
    slow_title
    slow
    too_large_title
    too_large
    headers_title
    headers
    bad_request_title
    bad_request

    // launches by LTI: a browser that keeps no cookies in a frame, and content that is chosen for a course
    in_a_window_title
    in_a_window
    to_window
    choose_title
    choose_name
    choose_page
    choose_page_or_id
    choose_on
    chosen_title
    chosen_add
    course_keeps_nothing
    course_asks_wrongly
    no_choice
    course_names_no_page
}

impl Texts {
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &en::TEXTS,
            Language::German => &de::TEXTS,
            Language::French => &fr::TEXTS,
            Language::Spanish => &es::TEXTS,
        }
    }
}

/// The text as HTML, with `values`, which are HTML already, in their places.
pub fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut html = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        html += &Escaped(before).to_string();
        html += value.map_or("", |(_, value)| value);
        rest = after;
    }
    html += &Escaped(rest).to_string();
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order of their first letters: `{server}`, `{user}`.
    fn places(text: &str) -> Vec<&str> {
        let mut places: Vec<&str> = text
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn every_language_says_everything_and_has_the_same_places() {
        let english = Texts::of(Language::English).all();
        for language in Language::ALL {
            let texts = Texts::of(*language);
            assert_eq!(texts.language, *language);
            for ((key, text), (_, english)) in texts.all().into_iter().zip(&english) {
                assert!(text.trim() == text && text.len() > 2, "{language:?} {key}");
                assert_eq!(places(text), places(english), "{language:?} {key}");
                assert_eq!(
                    text.matches('{').count(),
                    text.matches('}').count(),
                    "{language:?} {key}"
                );
                // Not left in English.
                let is_same = text == *english && *language != Language::English;
                assert!(!is_same, "{language:?} {key}: {text}");
                let is_sentence = text.contains(' ') && english.ends_with(['.', '?', ':']);
                assert!(
                    !is_sentence || text.ends_with(['.', '?', ':']),
                    "{language:?} {key}: {text}"
                );
            }
        }
    }

    /// Who reads these pages has opened a video or a course.
    #[test]
    fn no_text_speaks_of_what_only_programs_have() {
        const WORDS: [&str; 22] = [
            "token",
            "tokens",
            "jeton",
            "ficha",
            "jwt",
            "janua",
            "gateway",
            "passerelle",
            "pasarela",
            "upstream",
            "proxy",
            "http",
            "session",
            "sitzung",
            "credential",
            "header",
            "kopfzeile",
            "callback",
            "api",
            "bearer",
            "html",
            "url",
        ];
        for language in Language::ALL {
            for (key, text) in Texts::of(*language).all() {
                let lower = text.to_lowercase();
                let mut words = lower.split(|letter: char| !letter.is_alphanumeric());
                assert!(!words.any(|word| WORDS.contains(&word)), "{language:?} {key}: {text}");
                // How browsers' own settings call them: where they have to be deleted.
                assert!(
                    !lower.contains("cookie") || key == "headers",
                    "{language:?} {key}: {text}"
                );
            }
        }
    }

    /// "Du" and "Sie" do not stand beside each other, nor "tu" and "vous".
    #[test]
    fn people_are_spoken_to_politely() {
        for (language, words) in [
            (Language::German, ["du", "dein", "dich", "dir", "deine"]),
            (Language::French, ["tu", "ton", "ta", "tes", "toi"]),
            (Language::Spanish, ["tú", "tu", "tus", "ti", "te"]),
        ] {
            for (key, text) in Texts::of(language).all() {
                let lower = text.to_lowercase();
                let mut said = lower.split(|letter: char| !letter.is_alphanumeric());
                assert!(!said.any(|word| words.contains(&word)), "{language:?} {key}: {text}");
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_html_and_the_rest_is_not() {
        assert_eq!(filled("<a> & {b}{c}.", &[("b", "<b>")]), "&lt;a&gt; &amp; <b>.");
        assert_eq!(filled("no place", &[("b", "<b>")]), "no place");
        assert_eq!(filled("half {b", &[("b", "x")]), "half x");
    }
}
