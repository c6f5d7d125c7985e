//! A learning platform that launches by LTI 1.3 as Moodle 4.4 does (`mod/lti`: `view.php`, `auth.php`, `certs.php`): its login is
//! posted, a launch is good for one question, redirect URI, scope, response mode and prompt are held to the letter.
//!
//! A browser finds a course at `/course`, which has the launch in a frame, and nobody needs one: [`LtiPlatform::login`] and
//! [`LtiPlatform::auth`] say what a browser would send.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use url::Url;

use super::double::Double;
use super::http::{Request, Wire};
use super::secrets::{self, Kind};
use super::tokens::{Signer, in_seconds, now};

/// What the names of claims begin with.
pub const CLAIM: &str = "https://purl.imsglobal.org/spec/lti/claim/";
pub const MEMBERSHIP: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership";

/// As which client the gateway is registered, and in which deployment.
pub const CLIENT: &str = "client-of-janua";
pub const DEPLOYMENT: &str = "1";

/// What is otherwise than usual.
pub struct Behaviour {
    /// What the platform calls itself.
    pub issuer: String,
    /// What it calls itself for a browser, which it sends there.
    pub origin: String,
    /// The gateway's origin, and the platform's name there.
    pub tool: String,
    /// Where the activity leads to.
    pub target: String,
    /// Members that replace those of a message; `null` takes one away.
    pub claims: Value,
    pub signer: Arc<Signer>,
    pub keys: String,
    /// Launches that were begun and not asked for yet.
    launches: HashMap<String, ()>,
    begun: usize,
}

/// A running platform; `http`, on loopback.
pub struct LtiPlatform {
    double: Double,
    shared: Arc<Mutex<Behaviour>>,
}

/// A form that a page posts by itself.
#[derive(Debug, Clone)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// As a browser posts it into a frame of the platform's.
    pub fn posted(&self) -> Request {
        let url = Url::parse(&self.action).unwrap();
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.fields)
            .finish();
        let request = Request::new("POST", url.path()).header("Content-Type", "application/x-www-form-urlencoded");
        framed(request.header("Origin", "https://lms.test")).body(body)
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn get(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn page(&self) -> String {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let field = |(name, value): &(String, String)| {
            format!(
                "<input type=hidden name=\"{}\" value=\"{}\">",
                escaped(name),
                escaped(value)
            )
        };
        let fields: String = self.fields.iter().map(field).collect();
        format!(
            "<!doctype html><form method=post action=\"{}\">{fields}</form><script>document.forms[0].submit()</script>",
            escaped(&self.action)
        )
    }
}

/// A page in a frame of another site.
pub fn framed(request: Request) -> Request {
    request
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe")
}

impl LtiPlatform {
    /// The tool's addresses begin with `tool`: `https://video.test/_janua/lti/moodle`.
    pub fn start(tool: &str) -> Self {
        let signer = Arc::new(Signer::rs256().named("of-the-platform"));
        let shared = Arc::new(Mutex::new(Behaviour {
            issuer: "https://lms.test".to_owned(),
            origin: String::new(),
            tool: tool.to_owned(),
            target: format!("{tool}/launch"),
            claims: json!({}),
            keys: Signer::jwks(&[&signer]),
            signer,
            launches: HashMap::new(),
            begun: 0,
        }));
        let served = Arc::clone(&shared);
        let double = Double::start(move |wire| drop(serve(wire, &served)));
        let platform = Self { double, shared };
        let origin = platform.url("");
        platform.behaviour().origin = origin;
        platform
    }

    pub fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.shared.lock().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.double.address)
    }

    /// `[lti.<name>]` of a gateway.
    pub fn section(&self, name: &str, more: &str) -> String {
        let behaviour = self.behaviour();
        format!(
            "[lti.{name}]\nissuer = {:?}\nclient_id = {CLIENT:?}\nauth_login_url = {:?}\njwks_url = {:?}\n\
             deployment_ids = [{DEPLOYMENT:?}]\n{more}\n",
            behaviour.issuer,
            format!("{}/mod/lti/auth.php", behaviour.origin),
            self.url("/mod/lti/certs.php"),
        )
    }

    /// A person opens the activity: what is posted to the tool.
    pub fn login(&self) -> Form {
        self.behaviour().login()
    }

    /// The tool's question, as a whole address: what is posted to the tool. Error: why Moodle would tell nothing.
    pub fn auth(&self, location: &str) -> Result<Form, String> {
        let url = Url::parse(location).map_err(|error| error.to_string())?;
        self.behaviour().auth(url.query().unwrap_or_default())
    }
}

impl Behaviour {
    fn login(&mut self) -> Form {
        self.begun += 1;
        let launch = format!("ltilaunch1_{}", self.begun);
        self.launches.insert(launch.clone(), ());
        let fields = [
            ("iss", self.issuer.clone()),
            ("target_link_uri", self.target.clone()),
            ("login_hint", "5".to_owned()),
            ("lti_message_hint", json!({ "cmid": 7, "launchid": launch }).to_string()),
            ("client_id", CLIENT.to_owned()),
            ("lti_deployment_id", DEPLOYMENT.to_owned()),
        ];
        Form {
            action: format!("{}/login", self.tool),
            fields: fields.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        }
    }

    fn auth(&mut self, query: &str) -> Result<Form, String> {
        let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let said = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        for (name, expected) in [
            ("scope", "openid"),
            ("response_type", "id_token"),
            ("response_mode", "form_post"),
            ("prompt", "none"),
            ("client_id", CLIENT),
            ("login_hint", "5"),
            ("redirect_uri", &format!("{}/launch", self.tool)),
        ] {
            if said(name) != expected {
                return Err(format!("{name} is {:?}", said(name)));
            }
        }
        let hint: Value = serde_json::from_str(said("lti_message_hint")).map_err(|error| error.to_string())?;
        let launch = hint["launchid"].as_str().unwrap_or_default();
        if self.launches.remove(launch).is_none() {
            return Err("No launch id in LTI hint".to_owned());
        }
        if said("nonce").is_empty() {
            return Err("no nonce".to_owned());
        }
        let mut claims = json!({
            "nonce": said("nonce"), "iat": now(), "exp": in_seconds(60), "iss": self.issuer, "aud": CLIENT, "sub": "5",
            "given_name": "Anna", "family_name": "A", "name": "Anna A", "email": "anna@lms.test",
        });
        for (name, value) in [
            ("deployment_id", json!(DEPLOYMENT)),
            ("target_link_uri", json!(self.target)),
            ("version", json!("1.3.0")),
            ("message_type", json!("LtiResourceLinkRequest")),
            ("roles", json!([format!("{MEMBERSHIP}#Learner")])),
            (
                "context",
                json!({ "id": "4", "label": "c", "title": "Course", "type": ["CourseSection"] }),
            ),
            (
                "resource_link",
                json!({ "title": "Lecture", "description": "", "id": "1" }),
            ),
            (
                "launch_presentation",
                json!({ "locale": "en", "document_target": "iframe" }),
            ),
        ] {
            claims[format!("{CLAIM}{name}")] = value;
        }
        for (name, value) in self.claims.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let token = self.signer.token(&claims);
        secrets::register(Kind::Signature, token.rsplit('.').next().unwrap());
        Ok(Form {
            action: format!("{}/launch", self.tool),
            fields: vec![
                ("id_token".to_owned(), token),
                ("state".to_owned(), said("state").to_owned()),
            ],
        })
    }
}

fn serve(mut wire: Wire, shared: &Mutex<Behaviour>) -> io::Result<()> {
    loop {
        let (first, _) = wire.head()?;
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut behaviour = shared.lock().unwrap();
        let (status, kind, body) = match path {
            "/mod/lti/certs.php" => (200, "application/json", behaviour.keys.clone()),
            "/course" => (
                200,
                "text/html",
                "<!doctype html><iframe name=activity src=/mod/lti/launch.php></iframe>".to_owned(),
            ),
            "/mod/lti/launch.php" => (200, "text/html", behaviour.login().page()),
            "/mod/lti/auth.php" => match behaviour.auth(query) {
                Ok(form) => (200, "text/html", form.page()),
                Err(why) => (400, "text/plain", why),
            },
            _ => (404, "text/plain", "nothing".to_owned()),
        };
        drop(behaviour);
        let answer = format!(
            "HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        wire.stream.write_all(answer.as_bytes())?;
    }
}
