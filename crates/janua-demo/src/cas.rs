//! The CAS server of the demo: a form that believes whoever says to be a student, tickets (CAS 3.0 sections 2.1, 2.3 and
//! 2.8), and proxy tickets for one back end (sections 2.5.4, 2.6 and 2.7).
//!
//! Browsers find it at `localhost`, not at the gateway's 127.0.0.1: another host, as on a campus, so that neither ever
//! gets the other's cookies.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response, StatusCode};

use super::form::SignedIn;
use super::get;
use super::kept::Kept;
use super::loopback::{PLAIN, cookie, parameter, redirect, text};
use super::people::Person;

const STYLE: &str = include_str!("../../../assets/demo/campus.css");

/// Good once, for one address.
#[derive(Clone)]
struct Ticket {
    service: String,
    person: &'static Person,
    /// What it came of: a browser's cookie.
    session: String,
    /// Of a proxy ticket, the callback of the back end that has asked for it.
    proxy: Option<String>,
}

/// What a back end asks for proxy tickets with, for as long as the session is there.
#[derive(Clone)]
struct Granting {
    person: &'static Person,
    session: String,
    callback: String,
}

pub(super) struct Cas {
    /// What the addresses begin with that get tickets: the gateway's, and those of a back end, which may ask for proxy tickets.
    gateway: String,
    back_end: String,
    /// Calls the back end.
    client: reqwest::Client,
    tickets: Kept<Ticket>,
    granting: Kept<Granting>,
    signed_in: SignedIn,
}

impl Cas {
    pub(super) fn new(gateway: SocketAddr, back_end: &str, client: reqwest::Client) -> Self {
        Self {
            gateway: format!("http://{gateway}/"),
            back_end: format!("{back_end}/"),
            client,
            tickets: Kept::new(),
            granting: Kept::new(),
            signed_in: SignedIn {
                server: "CAS server",
                cookie: "CASTGC",
                path: "/cas",
                prefix: "TGT-",
                sessions: Kept::new(),
            },
        }
    }

    /// Who the ticket was made for, with this very address. Spent afterwards, whatever the answer.
    fn validate(&self, service: &str, ticket: &str) -> Option<Ticket> {
        let ticket = self.tickets.take(ticket)?;
        (ticket.service == service).then_some(ticket)
    }

    fn serves(&self, service: &str) -> bool {
        [&self.gateway, &self.back_end]
            .iter()
            .any(|known| service.starts_with(known.as_str()))
    }

    fn login(&self, request: &Request<Bytes>) -> Response<String> {
        let service = parameter(request, "service").unwrap_or_default();
        if !self.serves(&service) {
            let told = "The CAS server of janua demo signs people in for janua demo only.\n";
            return text(StatusCode::FORBIDDEN, PLAIN, told);
        }
        let leads_to = format!("{} {}", self.gateway, self.back_end);
        if let Some((person, session, set)) = self.signed_in.by_form(request) {
            let mut answer = self.go_back(&service, person, &session);
            answer.headers_mut().append(SET_COOKIE, set);
            return answer;
        }
        match self
            .signed_in
            .by_cookie(request)
            .zip(cookie(request, self.signed_in.cookie))
        {
            Some((person, session)) => self.go_back(&service, person, session),
            None => self.signed_in.form(&leads_to),
        }
    }

    fn go_back(&self, service: &str, person: &'static Person, session: &str) -> Response<String> {
        let ticket = Ticket {
            service: service.to_owned(),
            person,
            session: session.to_owned(),
            proxy: None,
        };
        let separator = if service.contains('?') { '&' } else { '?' };
        redirect(&format!(
            "{service}{separator}ticket={}",
            self.tickets.keep("ST-", ticket)
        ))
    }

    /// At `proxyValidate`, `by_proxy`, proxy tickets are good, too.
    async fn asked(&self, request: &Request<Bytes>, by_proxy: bool) -> Response<String> {
        let [service, ticket] = ["service", "ticket"].map(|name| parameter(request, name).unwrap_or_default());
        // A proxy ticket is not spent where it is not asked for.
        let found = (by_proxy || !ticket.starts_with("PT-")).then(|| self.validate(&service, &ticket));
        let Some(ticket) = found.flatten() else {
            return failure("INVALID_TICKET");
        };
        let granted = match parameter(request, "pgtUrl") {
            Some(callback) => match self.grant(&ticket, &callback).await {
                Some(iou) => format!("<cas:proxyGrantingTicket>{iou}</cas:proxyGrantingTicket>"),
                None => return failure("INVALID_PROXY_CALLBACK"),
            },
            None => String::new(),
        };
        let proxies = ticket
            .proxy
            .map(|callback| format!("<cas:proxies><cas:proxy>{callback}</cas:proxy></cas:proxies>"));
        answer(&format!(
            "<cas:authenticationSuccess><cas:user>{}</cas:user><cas:attributes>\
             <cas:eduPersonAffiliation>student</cas:eduPersonAffiliation>\
             </cas:attributes>{granted}{}</cas:authenticationSuccess>",
            ticket.person.username,
            proxies.unwrap_or_default()
        ))
    }

    /// Brings the back end what it asks for proxy tickets with, by another way than the answer; that names the IOU, which is
    /// given. `None`: this is not its callback, or it is not there.
    async fn grant(&self, ticket: &Ticket, callback: &str) -> Option<String> {
        // Exactly this address is called and told: none that would need escaping.
        if callback != format!("{}pgt", self.back_end) {
            return None;
        }
        let granting = Granting {
            person: ticket.person,
            session: ticket.session.clone(),
            callback: callback.to_owned(),
        };
        let iou = format!("PGTIOU-{:032x}", rand::random::<u128>());
        let name = self.granting.keep("PGT-", granting);
        let brought = get(&self.client, &format!("{callback}?pgtId={name}&pgtIou={iou}")).await;
        brought.is_ok().then_some(iou)
    }

    /// A proxy ticket for an address of the gateway's.
    fn proxy(&self, request: &Request<Bytes>) -> Response<String> {
        let [name, service] = ["pgt", "targetService"].map(|name| parameter(request, name).unwrap_or_default());
        let granting = self.granting.get(&name);
        let granting = granting.filter(|granting| self.signed_in.sessions.get(&granting.session).is_some());
        match granting {
            None => failure("INVALID_TICKET"),
            Some(_) if !service.starts_with(&self.gateway) => failure("UNAUTHORIZED_SERVICE"),
            Some(Granting {
                person,
                session,
                callback,
            }) => {
                let ticket = Ticket {
                    service,
                    person,
                    session,
                    proxy: Some(callback),
                };
                let ticket = self.tickets.keep("PT-", ticket);
                answer(&format!(
                    "<cas:proxySuccess><cas:proxyTicket>{ticket}</cas:proxyTicket></cas:proxySuccess>"
                ))
            }
        }
    }

    fn logout(&self, request: &Request<Bytes>) -> Response<String> {
        let service = parameter(request, "service").filter(|service| self.serves(service));
        let answer = match service {
            Some(service) => redirect(&service),
            None => text(StatusCode::OK, PLAIN, "Signed out.\n"),
        };
        self.signed_in.end(request, answer)
    }

    /// `None`: the path is not one of the CAS server's.
    pub(super) async fn answer(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        Some(match request.uri().path() {
            "/cas/login" => self.login(request),
            "/cas/serviceValidate" | "/cas/p3/serviceValidate" => self.asked(request, false).await,
            "/cas/proxyValidate" | "/cas/p3/proxyValidate" => self.asked(request, true).await,
            "/cas/proxy" => self.proxy(request),
            "/cas/logout" => self.logout(request),
            "/cas/campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            _ => return None,
        })
    }
}

/// Every answer of a CAS server has status 200.
fn answer(told: &str) -> Response<String> {
    let told = format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{told}</cas:serviceResponse>\n");
    text(StatusCode::OK, "text/xml; charset=utf-8", told)
}

fn failure(code: &str) -> Response<String> {
    answer(&format!(
        "<cas:authenticationFailure code=\"{code}\">Not good here</cas:authenticationFailure>"
    ))
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, LOCATION};

    use super::*;

    const HERE: &str = "http://127.0.0.1:8080/login";

    fn cas() -> Cas {
        Cas::new(
            ([127, 0, 0, 1], 8080).into(),
            "http://127.0.0.1:8081",
            reqwest::Client::new(),
        )
    }

    /// The form's answer, or what a known browser gets.
    fn login(cas: &Cas, service: &str, session: &str, form: &'static str) -> Response<String> {
        let method = if form.is_empty() { "GET" } else { "POST" };
        let asked = Request::builder()
            .method(method)
            .uri(format!("/cas/login?service={service}"));
        cas.login(
            &asked
                .header(COOKIE, session)
                .body(Bytes::from_static(form.as_bytes()))
                .unwrap(),
        )
    }

    fn header(answer: &Response<String>, name: http::HeaderName) -> String {
        answer.headers()[name].to_str().unwrap().to_owned()
    }

    fn ticket(answer: &Response<String>) -> String {
        header(answer, LOCATION).split_once("?ticket=").unwrap().1.to_owned()
    }

    #[test]
    fn a_ticket_is_good_once_and_for_its_own_address() {
        let cas = cas();
        let first = ticket(&login(&cas, HERE, "", "username=anna"));
        assert_eq!(cas.validate(HERE, &first).unwrap().person.username, "anna");
        assert!(cas.validate(HERE, &first).is_none(), "spent");
        let second = ticket(&login(&cas, HERE, "", "username=anna"));
        assert!(cas.validate("http://127.0.0.1:8080/", &second).is_none());
        assert!(cas.validate(HERE, &second).is_none(), "burnt");
    }

    #[test]
    fn a_session_answers_without_the_form_until_it_ends() {
        let cas = cas();
        assert_eq!(login(&cas, HERE, "", "").status(), StatusCode::OK, "the form");
        assert_eq!(login(&cas, HERE, "", "username=nobody").status(), StatusCode::OK);
        let cookie = header(&login(&cas, HERE, "", "username=bertha"), SET_COOKIE);
        let (cookie, _) = cookie.split_once(';').unwrap();
        let silent = ticket(&login(&cas, HERE, cookie, ""));
        assert_eq!(cas.validate(HERE, &silent).unwrap().person.username, "bertha");
        cas.logout(
            &Request::get("/cas/logout")
                .header(COOKIE, cookie)
                .body(Bytes::new())
                .unwrap(),
        );
        assert_eq!(login(&cas, HERE, cookie, "").status(), StatusCode::OK, "the form again");
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        let cas = cas();
        for elsewhere in [
            "",
            "http://evil.test/",
            "http://127.0.0.1:80801/",
            "http://127.0.0.1:8082/",
            "http://127.0.0.1:8080.evil.test/",
        ] {
            assert_eq!(
                login(&cas, elsewhere, "", "username=anna").status(),
                StatusCode::FORBIDDEN,
                "{elsewhere}"
            );
            let out = Request::get(format!("/cas/logout?service={elsewhere}"))
                .body(Bytes::new())
                .unwrap();
            assert!(!cas.logout(&out).headers().contains_key(LOCATION), "{elsewhere}");
        }
    }

    #[test]
    fn a_proxy_ticket_is_for_the_gateway_and_good_where_it_is_asked_for() {
        let cas = cas();
        let anna = Person::named("anna").unwrap();
        let session = cas.signed_in.sessions.keep("TGT-", anna);
        let granting = Granting {
            person: anna,
            session: session.clone(),
            callback: "http://127.0.0.1:8081/pgt".to_owned(),
        };
        let name = cas.granting.keep("PGT-", granting);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ask = |target: String| {
            let request = Request::get(target).body(Bytes::new()).unwrap();
            runtime.block_on(cas.answer(&request)).unwrap().into_body()
        };
        let refused = ask(format!("/cas/proxy?pgt={name}&targetService=http://evil.test/"));
        assert!(refused.contains("UNAUTHORIZED_SERVICE"), "{refused}");
        let refused = ask(format!("/cas/proxy?pgt=PGT-0&targetService={HERE}"));
        assert!(refused.contains("INVALID_TICKET"), "{refused}");
        let given = ask(format!("/cas/proxy?pgt={name}&targetService={HERE}"));
        let (_, ticket) = given.split_once("<cas:proxyTicket>").unwrap();
        let (ticket, _) = ticket.split_once('<').unwrap();
        let asked = format!("Validate?service={HERE}&ticket={ticket}");
        let refused = ask(format!("/cas/p3/service{asked}"));
        assert!(refused.contains("INVALID_TICKET"), "{refused}");
        let told = ask(format!("/cas/p3/proxy{asked}"));
        assert!(told.contains("<cas:user>anna</cas:user>"), "{told}");
        assert!(
            told.contains("<cas:proxy>http://127.0.0.1:8081/pgt</cas:proxy>"),
            "{told}"
        );
        let spent = ask(format!("/cas/p3/proxy{asked}"));
        assert!(spent.contains("INVALID_TICKET"), "{spent}");
        // Signed out.
        cas.signed_in.sessions.take(&session);
        let refused = ask(format!("/cas/proxy?pgt={name}&targetService={HERE}"));
        assert!(refused.contains("INVALID_TICKET"), "{refused}");
    }

    #[test]
    fn nobody_elses_callback_is_called() {
        let cas = cas();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for callback in [
            "http://127.0.0.1:8080/pgt",
            "http://127.0.0.1:8081/pgt?a=b",
            "http://evil.test/pgt",
        ] {
            let service = "http://127.0.0.1:8081/callback";
            let ticket = ticket(&login(&cas, service, "", "username=anna"));
            let asked = format!("/cas/p3/serviceValidate?service={service}&ticket={ticket}&pgtUrl={callback}");
            let request = Request::get(asked).body(Bytes::new()).unwrap();
            let told = runtime.block_on(cas.answer(&request)).unwrap().into_body();
            assert!(told.contains("INVALID_PROXY_CALLBACK"), "{callback}: {told}");
        }
    }
}
