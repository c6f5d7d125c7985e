//! What the pages say, in which language, and what they may load.

use super::{LOGO, PAGES, Town};
use crate::support::Request;
use crate::support::tools::janua;
use crate::support::{Config, Site};

/// Of a page that nobody may see, in all languages.
const COURSE: [(&str, &str, &str); 7] = [
    ("", "en", "Please open it from your course"),
    ("en-GB,en;q=0.9,de;q=0.1", "en", "Please open it from your course"),
    ("de-AT", "de", "Bitte öffnen Sie die Seite aus Ihrem Kurs"),
    ("ja,fr-CH;q=0.8,de;q=0.7", "fr", "Veuillez l’ouvrir depuis votre cours"),
    ("es;q=0.5,*;q=0.1", "es", "Ábralo desde su curso"),
    (
        "de;q=7,es;q=x,;;,fr;q=0.1",
        "fr",
        "Veuillez l’ouvrir depuis votre cours",
    ),
    ("ja", "en", "Please open it from your course"),
];

#[test]
fn a_page_speaks_the_language_that_the_browser_wants_and_a_program_gets_english() {
    let town = Town::new("", None);
    let old = town.old_link();
    for (languages, language, title) in COURSE {
        let page = town.gateway.send(town.page(&old, languages)).expect(401);
        assert_eq!(page.header("content-language"), Some(language), "{languages}");
        assert!(page.all("vary").contains(&"accept-language"), "{page:?}");
        let text = page.text();
        assert!(text.contains(&format!("<html lang=\"{language}\">")), "{text}");
        assert!(text.contains(&format!("<h1>{title}</h1>")), "{languages}: {text}");
        let told = text.replace("token_expired", "");
        assert!(!told.to_lowercase().contains("token"), "{text}");
        // What a person tells the support desk is found in the log.
        let id = page.header("x-request-id").unwrap();
        assert!(text.contains(&format!(">token_expired-{}<", &id[..8])), "{text}");
        assert!(town.gateway.logged(&[&id[..8], "token_expired"]).contains(id));

        let program = Request::get(&old).header("Accept-Language", languages);
        let program = town.gateway.send(program).refused(401, "token_expired");
        assert_eq!(program.json()["detail"], "The token has expired.");
        assert_eq!(program.header("content-language"), None);
        assert_eq!(program.header("vary"), None);
    }
}

#[test]
fn the_first_language_of_the_site_is_for_all_others() {
    let town = Town::new("[pages]\nlanguages = [\"fr\", \"de\"]\n", None);
    for (languages, language) in [("", "fr"), ("en", "fr"), ("es,en", "fr"), ("en,de;q=0.1", "de")] {
        let page = town.gateway.send(town.page("/nowhere", languages)).expect(404);
        assert_eq!(page.header("content-language"), Some(language), "{languages}");
    }
}

#[test]
fn every_page_has_the_sites_name_logo_and_links() {
    let town = Town::new(PAGES, None);
    for (target, status) in [
        ("/nowhere", 404),
        ("/_janua/me", 200),
        ("/_janua/sign-out", 200),
        ("/_janua/sign-in", 200),
    ] {
        let page = town.gateway.send(town.page(target, "de")).expect(status);
        let text = page.text();
        assert!(
            text.contains("<span>Example College of Arts &amp; Sciences</span>"),
            "{text}"
        );
        assert!(
            text.contains(" – Example College of Arts &amp; Sciences</title>"),
            "{text}"
        );
        assert!(
            text.contains("<a href=\"https://www.example.edu/?a&amp;b\">Zur Startseite</a>"),
            "{text}"
        );
        assert!(text.contains("href=\"mailto:help@example.edu"), "{text}");
        assert!(
            text.contains("--accent:#7a1f3d;--on-accent:#ffffff;--behind:#f4ece4;--on-behind:#000000"),
            "{text}"
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; img-src 'self'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let lost = town.gateway.send(town.page("/nowhere", "de"));
    let id = lost.header("x-request-id").unwrap();
    let mail = format!("href=\"mailto:help@example.edu?subject=no_route-{}\"", &id[..8]);
    assert!(lost.text().contains(&mail), "{}", lost.text());

    let plain = Town::new("", None);
    let page = plain.gateway.send(plain.page("/nowhere", "")).expect(404);
    assert!(!page.text().contains("<header>") && !page.text().contains("<footer>") && !page.text().contains("<a "));
    assert!(!page.header("content-security-policy").unwrap().contains("img-src"));
}

#[test]
fn the_logo_is_a_picture_for_everybody_and_runs_nothing() {
    let town = Town::new(PAGES, None);
    let page = town.gateway.send(town.page("/nowhere", "")).text();
    let (_, address) = page.split_once("<img src=\"").unwrap();
    let (address, _) = address.split_once('"').unwrap();
    assert!(address.starts_with("/_janua/logo?"), "{address}");
    let logo = town.gateway.get(address).expect(200);
    assert_eq!(logo.text(), LOGO);
    for (name, value) in [
        ("content-type", "image/svg+xml"),
        ("cache-control", "public, max-age=86400"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(logo.header(name), Some(value), "{name}");
    }
    assert!(logo.header("content-security-policy").unwrap().ends_with("; sandbox"));
    assert_eq!(logo.header("set-cookie"), None);
    let head = town.gateway.send(Request::new("HEAD", "/_janua/logo")).expect(200);
    assert_eq!(head.header("content-length"), Some(&*LOGO.len().to_string()));
    town.gateway
        .send(Request::new("POST", "/_janua/logo").body(""))
        .refused(405, "method_not_allowed");
    Town::new("", None).gateway.get("/_janua/logo").refused(404, "no_route");
}

#[test]
fn a_choice_of_sign_ins_shows_their_titles() {
    let town = Town::new("", None);
    let page = town.gateway.send(town.page("/_janua/sign-in", "es")).expect(200).text();
    assert!(
        page.contains("Inicie sesión") && page.contains("¿Dónde inicia sesión?"),
        "{page}"
    );
    for (name, title) in [("campus", "campus"), ("guests", "Guests &amp; friends")] {
        let link = format!("href=\"/_janua/sign-in?with={name}&amp;return=%2F\">{title}</a>");
        assert!(page.contains(&link), "{page}");
    }
}

#[test]
fn colours_that_cannot_be_read_and_files_that_are_no_pictures_are_told() {
    let site = Site::new();
    site.write("page.html", "<html><svg></svg></html>");
    site.write("large.png", [&b"\x89PNG\r\n\x1a\n"[..], &[0; 65 << 10]].concat());
    let check = |pages: &str| {
        let file = site.write("gateway.toml", Config::new().open_route().section(pages).text());
        janua(["check", "--offline", "--config", file.to_str().unwrap()])
    };
    for (pages, told) in [
        (
            "colours = { accent = \"#9ad\" }",
            "this colour is hard to read on #ffffff: its contrast is 2.",
        ),
        (
            "colours = { dark_accent = \"#00f\" }",
            "this colour is hard to read on #1c222b: its contrast is 1.",
        ),
    ] {
        let ran = check(&format!("[pages]\n{pages}\n")).ok();
        assert!(ran.stderr.contains(told) && ran.stderr.contains("WCAG"), "{ran:?}");
    }
    for (pages, told) in [
        ("logo = \"none.svg\"", "there is no such file"),
        ("logo = \"page.html\"", "is neither PNG nor SVG"),
        ("logo = \"large.png\"", "is larger than 64 KiB"),
        ("languages = [\"it\"]", "there is no such value"),
        ("languages = []", "`languages` is empty"),
        ("colours = { accent = \"red\" }", "it does not begin with #"),
        ("home = \"javascript:alert(1)\"", "neither a URL nor a path"),
        ("support = \"help@example.edu\"", "write \"mailto:help@example.edu\""),
    ] {
        let ran = check(&format!("[pages]\n{pages}\n"));
        assert_eq!(ran.code, Some(1), "{pages}: {ran:?}");
        assert!(ran.stderr.contains(told), "{pages}: {ran:?}");
    }
    // What is only mild, and a colour whose dark kin is found by itself.
    let ran = check("[pages]\ncolours = { accent = \"#004488\" }\n").ok();
    assert!(!ran.stderr.contains("hard to read"), "{ran:?}");
}
