//! The files that `janua init` writes.

use super::Kind;
use super::answers::Answers;

/// As a string of TOML.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

pub(super) fn text(answers: &Answers) -> String {
    let word = match answers.kind {
        Kind::Lectures => "lectures",
        Kind::Octoka => "octoka",
        Kind::Opencast => "opencast",
        Kind::Moodle => "moodle",
    };
    let mut text = format!(
        "# Begun by `janua init {word}`. `janua config example` has every other key.\n[server]\nlisten     = [{}]\n\
         public_url = {}\n",
        quoted(&answers.listen),
        quoted(&answers.public_url),
    );
    text += match answers.kind {
        // The nginx that was in front of Octoka is in front of this.
        Kind::Octoka => "trusted_proxies = [\"127.0.0.1/32\", \"::1/128\"]  # nginx, which tells who the client is\n",
        _ => "# trusted_proxies = [\"127.0.0.1/32\"]  # the nginx in front, if there is one\n",
    };
    if answers.is_of_system {
        text += "control    = \"/var/lib/janua/control.sock\"\n\n[state]\npath     = \"/var/lib/janua/janua.redb\"\n\
                 key_file = \"/var/lib/janua/master.key\"\n";
    }
    text += &match answers.kind {
        Kind::Lectures => issuer(answers, r#""*_Learner", "*_Instructor""#) + &media(answers, ""),
        Kind::Octoka => {
            let admin = r#", { role = "ROLE_ADMIN" }"#;
            issuer(answers, r#""*_Learner", "*_Instructor", "ROLE_ADMIN""#) + &media(answers, admin)
        }
        Kind::Opencast => issuer(answers, r#""*_Learner", "*_Instructor""#) + &media(answers, "") + &opencast(answers),
        Kind::Moodle => moodle(answers),
    };
    text
}

fn issuer(answers: &Answers, roles: &str) -> String {
    format!(
        r#"
[[jwt.issuers]]
name        = "moodle"
jwks        = {}
allow_roles = [{roles}]  # no others count
"#,
        quoted(&answers.jwks)
    )
}

fn media(answers: &Answers, more: &str) -> String {
    format!(
        r#"
[[routes]]
name   = "media"
path   = "/static/{{org}}/{{channel}}/{{event}}/{{*file}}"
files  = {}
strip  = "/static"
allow  = [{{ grant = "read", event = "{{event}}" }}{more}]
accept = ["jwt", "watch"]             # a player goes on when its token is over,
watch  = {{ carry = ["cookie"] }}       # by a cookie for its lecture
"#,
        quoted(&answers.files)
    )
}

fn opencast(answers: &Answers) -> String {
    format!(
        r#"
[upstreams.opencast]
servers = [{}]

[[routes]]                            # Opencast asks its callers itself, as it did; `janua config example opencast`
name     = "opencast"                 # has its rules here
path     = "/{{*rest}}"
upstream = "opencast"
allow    = [{{ anyone = true }}]
"#,
        quoted(&answers.upstream)
    )
}

fn moodle(answers: &Answers) -> String {
    format!(
        r#"
[sign_in.campus.cas]
server = {}

[upstreams.moodle]
servers = [{}]

[moodle.main]
upstream   = "moodle"
public_url = {}
sign_in    = "campus"
tokens     = ["cas-launch"]           # docs/moodle-app.md has the others

[[routes]]
name      = "web services"
path      = "/webservice/rest/server.php"
upstream  = "moodle"
accept    = ["session"]
sign_in   = "campus"
allow     = [{{ signed_in = true }}]
present   = "moodle-token"
functions = ["read-only"]

[[routes]]
name     = "moodle"                   # everything else: as it is
path     = "/{{*rest}}"
upstream = "moodle"
allow    = [{{ anyone = true }}]
"#,
        quoted(&answers.cas),
        quoted(&answers.upstream),
        quoted(&answers.public_url),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    /// `janua check` says nothing against any of them.
    #[test]
    fn every_file_is_short_and_taken_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().display().to_string();
        let kinds = Kind::value_variants().iter();
        for (kind, is_of_system) in kinds.flat_map(|kind| [(kind, false), (kind, true)]) {
            let answers = Answers {
                is_of_system,
                kind: *kind,
                listen: "127.0.0.1:8080".to_owned(),
                public_url: "https://video.example.edu".to_owned(),
                jwks: "https://moodle.example.edu/jwks.json?\"\\".to_owned(),
                keys: None,
                files: files.clone(),
                upstream: "http://10.0.0.21:8080".to_owned(),
                cas: "https://cas.example.edu/cas".to_owned(),
            };
            let text = text(&answers);
            let path = folder.path().join("gateway.toml");
            std::fs::write(&path, &text).unwrap();
            let loaded = crate::config::load(&path);
            let loaded = loaded.unwrap_or_else(|problems| panic!("{kind:?}: {}\n{text}", problems.render(false)));
            assert_eq!(loaded.warnings.render(false), "", "{kind:?}");
            let lines = text
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .count();
            assert!(lines <= if is_of_system { 30 } else { 26 }, "{kind:?}: {lines}\n{text}");
        }
    }
}
