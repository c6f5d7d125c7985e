//! Somebody who is signed in, without a CAS server: a session is begun in the store that the gateway opens afterwards,
//! and the person's token for Moodle lies there, too.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use janua::authenticate::session::{Attributes, Carrier, NewSession, Sessions, SignedIn};
use janua::moodle::token::{Kept, Token};
use janua::moodle::tokens::vault;
use janua::observe::metrics::Metrics;
use janua::sealing::MasterKeys;
use janua::store::{Store, Table};

use super::{Result, peers};

/// The header with the session's cookie.
pub(super) fn cookie(folder: &Path) -> Result<String> {
    let file = peers::configure(folder, [1, 2, 3], "warn", "embedded")?;
    let loaded = janua::config::load(&file).map_err(|problems| problems.render(false))?;
    let config = Arc::new(loaded.config);
    let (keys, metrics) = (MasterKeys::of(&config.state)?, Metrics::new());
    let store = Store::open(&config.state, &keys, &metrics)?;
    let mut attributes = Attributes::default();
    for value in ["student", "member"] {
        let added = attributes.add("eduPersonAffiliation", value);
        added.map_err(|_| "two attributes are not too many")?;
    }
    let new = NewSession {
        subject: "alice".to_owned(),
        user: "alice".to_owned(),
        attributes,
        ticket: Some("ST-1-bench".to_owned()),
        provider: None,
        id_token: None,
        once: Attributes::default(),
    };
    let sign_in = config.sign_ins.first().ok_or("there is a sign-in")?;
    let sessions = Sessions::new(&store, &keys, Some(metrics.sessions()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = SystemTime::now();
    let record = SignedIn::new(sign_in, new, Carrier::Cookie, now);
    let (secret, _) = runtime.block_on(sessions.begin(record, &config, now))?;
    let token = Token::parse(&"0".repeat(32)).ok_or("32 digits are a token")?;
    let moodle = config.moodles.first().ok_or("there is a Moodle")?;
    let key = vault::key(&moodle.name, &moodle.service, "alice");
    runtime.block_on(store.put(
        Table::MoodleTokens,
        &key,
        &vault::encode(&Kept { token, until: None }),
        None,
    ))?;
    Ok(format!("Cookie: janua={secret}"))
}
