//! axe-core over every page in a real browser: on a phone and a desk, by day and by night, without a script of the page's.

use serde_json::{Value, json};

use super::{PAGES, Town};
use crate::support::browse;
use crate::support::cas::{CasServer, PASSWORD};
use crate::support::tools::brought;

/// `look(where, name)`: what is wrong with a page or frame that is open. In a folder of pictures it leaves one of each page.
const LOOK: &str = r#"
    const wrong = [], seen = [];
    const look = async (where, name, language) => {
      const tab = where.page ? where.page() : where;
      // What differs in other languages are the texts' lengths.
      const both = ["en", "es"].includes(language);
      for (const [width, height] of [[390, 780], [1280, 720]]) {
        for (const colorScheme of both ? ["light", "dark"] : width === 390 ? ["light"] : []) {
          const at = `${name} at ${width} ${colorScheme}`;
          await tab.setViewportSize({ width, height });
          await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
          await where.evaluate(args.axe);
          const judged = await where.evaluate(() => axe.run({ resultTypes: ["violations"] }));
          for (const { id, nodes } of judged.violations) wrong.push(`${at}: ${id}: ${nodes[0].html}`);
          if (judged.passes.length < 5) wrong.push(`${at}: axe has seen nothing`);
          const page = await where.evaluate(() => ({
            lang: document.documentElement.lang,
            h1: document.querySelectorAll("h1").length,
            main: document.querySelectorAll("main").length,
            scripts: document.scripts.length,
            wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
            broken: [...document.images].filter((image) => !image.naturalWidth).length,
            moving: document.getAnimations().length,
            // Where the keyboard is can be seen.
            blind: [...document.querySelectorAll("a, button")].filter((one) => {
              one.focus({ focusVisible: true });
              return document.activeElement !== one || getComputedStyle(one).outlineStyle !== "solid";
            }).length,
            small: [...document.querySelectorAll(".button")].filter((one) => one.getBoundingClientRect().height < 40).length,
          }));
          const expected = { lang: language, h1: 1, main: 1, scripts: 0, wide: 0, broken: 0, moving: 0, blind: 0, small: 0 };
          for (const key in expected) {
            if (page[key] !== expected[key]) wrong.push(`${at}: ${key} is ${page[key]}`);
          }
          const phones = ["old-link", "choose"];
          const shots = { "390 dark": "phone", "1280 light": "desk" };
          const shot = shots[`${width} ${colorScheme}`];
          if (args.pictures && language === "en" && (shot === "desk" || (shot && phones.includes(name)))) {
            await tab.setViewportSize({ width: shot === "desk" ? 720 : 390, height: shot === "desk" ? 480 : 720 });
            await where.evaluate(() => document.activeElement.blur());
            await tab.screenshot({ path: `${args.pictures}/${name}-${shot}.png` });
          }
        }
      }
      seen.push(`${name} ${language}`);
    };
    const browserOf = async (locale, more) => {
      const context = await browser.newContext({ locale, ...more });
      context.setDefaultTimeout(15000);
      return context;
    };
"#;

#[test]
fn everybody_can_read_every_page() {
    let Some(tools) = brought("browser") else { return };
    for (pages, locale, language) in [
        (PAGES, "en-US", "en"),
        (PAGES, "de-AT", "de"),
        (PAGES, "fr-CH", "fr"),
        ("", "es-MX", "es"),
    ] {
        let Some(cas) = CasServer::start() else { return };
        let town = Town::new(pages, Some(cas));
        let script = LOOK.to_owned()
            + r#"
            const { locale, language } = args;
            // The pages do without scripts of their own; the judge's are the test's.
            const opened = await browserOf(locale);
            page = await opened.newPage();
            const at = async (target, name) => {
              await page.goto(args.origin + target);
              await look(page, name, language);
            };
            await at("/nowhere", "nothing-here");
            await at(args.old, "old-link");
            await at("/static/org/player/lecture-1/video.mp4", "from-course");
            await at("/static/org/player/lecture-1/video.mp4?jwt=x.y.z", "bad-link");
            await at("/dead/x", "away");
            await page.goto(args.origin + "/busy").catch(() => null);
            await at("/busy", "too-many");
            await at("/unable/x", "sign-in-away");
            await at("/_janua/cas/campus/callback?state=x&ticket=ST-1", "stale");
            await at("/_janua/me", "nobody");
            await at("/_janua/sign-out", "nobody-signs-out");
            await at("/either/x", "choose");
            await page.goto(args.origin + "/_janua/sign-in?with=campus&return=/_janua/me");
            await signIn(page, "alice", args.password);
            await look(page, "me", language);
            await at("/staff/x", "no-access");
            await at("/_janua/sign-out", "sign-out");
            await Promise.all([page.waitForNavigation(), page.click("button.quiet")]);
            await look(page, "signed-out", language);
            // A page of another site shows one of these pages in a frame.
            await page.goto(args.course);
            const frame = page.frames()[1];
            await frame.waitForSelector("h1");
            await look(frame, "framed", language);
            await opened.close();
            // Without scripts they are the same.
            const plain = await (await browserOf("de-DE", { javaScriptEnabled: false })).newPage();
            await plain.goto(args.origin + "/_janua/sign-in");
            await plain.click("text=campus");
            return { wrong, seen, url: plain.url() };
        "#;
        let axe = std::fs::read_to_string(tools.join("node_modules/axe-core/axe.min.js")).unwrap();
        let pictures = std::env::var("JANUA_PICTURES").ok();
        let args = json!({
            "origin": town.origin(), "course": town.course(), "old": town.old_link(), "password": PASSWORD, "axe": axe,
            "pictures": pictures, "locale": locale, "language": language,
        });
        let Some(told) = browse(&script, &args) else { return };
        let wrong: Vec<&str> = told["wrong"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let seen = told["seen"].as_array().unwrap().len();
        assert_eq!(seen, 16, "{told}");
        assert!(told["url"].as_str().unwrap().contains("/cas/login"), "{told}");
    }
}
