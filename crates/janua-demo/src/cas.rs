//! The CAS server of the demo: a form that believes whoever says to be a student, and tickets (CAS 3.0 sections 2.1, 2.3
//! and 2.8).
//!
//! Browsers find it at `localhost`, not at the gateway's 127.0.0.1: another host, as on a campus, so that neither ever
//! gets the other's cookies.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response, StatusCode};

use super::form::SignedIn;
use super::kept::Kept;
use super::loopback::{PLAIN, parameter, redirect, text};
use super::people::Person;

const STYLE: &str = include_str!("../../../assets/demo/campus.css");

/// Good once, for one address.
#[derive(Clone)]
struct Ticket {
    service: String,
    person: &'static Person,
}

pub(super) struct Cas {
    /// What the addresses begin with that get tickets: the gateway's.
    services: String,
    tickets: Kept<Ticket>,
    signed_in: SignedIn,
}

impl Cas {
    pub(super) fn new(gateway: SocketAddr) -> Self {
        Self {
            services: format!("http://{gateway}/"),
            tickets: Kept::new(),
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
    pub(super) fn validate(&self, service: &str, ticket: &str) -> Option<&'static Person> {
        let ticket = self.tickets.take(ticket)?;
        (ticket.service == service).then_some(ticket.person)
    }

    fn login(&self, request: &Request<Bytes>) -> Response<String> {
        let service = parameter(request, "service").unwrap_or_default();
        if !service.starts_with(&self.services) {
            let told = "The CAS server of janua demo signs people in for janua demo only.\n";
            return text(StatusCode::FORBIDDEN, PLAIN, told);
        }
        if let Some((person, session)) = self.signed_in.by_form(request) {
            let mut answer = self.go_back(&service, person);
            answer.headers_mut().append(SET_COOKIE, session);
            return answer;
        }
        match self.signed_in.by_cookie(request) {
            Some(person) => self.go_back(&service, person),
            None => self.signed_in.form(&self.services),
        }
    }

    fn go_back(&self, service: &str, person: &'static Person) -> Response<String> {
        let ticket = Ticket {
            service: service.to_owned(),
            person,
        };
        let separator = if service.contains('?') { '&' } else { '?' };
        redirect(&format!(
            "{service}{separator}ticket={}",
            self.tickets.keep("ST-", ticket)
        ))
    }

    fn asked(&self, request: &Request<Bytes>) -> Response<String> {
        let [service, ticket] = ["service", "ticket"].map(|name| parameter(request, name).unwrap_or_default());
        let told = match self.validate(&service, &ticket) {
            Some(person) => format!(
                "<cas:authenticationSuccess><cas:user>{}</cas:user><cas:attributes>\
                 <cas:eduPersonAffiliation>student</cas:eduPersonAffiliation>\
                 </cas:attributes></cas:authenticationSuccess>",
                person.username
            ),
            None => {
                "<cas:authenticationFailure code=\"INVALID_TICKET\">No such ticket</cas:authenticationFailure>".into()
            }
        };
        let told =
            format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{told}</cas:serviceResponse>\n");
        text(StatusCode::OK, "text/xml; charset=utf-8", told)
    }

    fn logout(&self, request: &Request<Bytes>) -> Response<String> {
        let service = parameter(request, "service").filter(|service| service.starts_with(&self.services));
        let answer = match service {
            Some(service) => redirect(&service),
            None => text(StatusCode::OK, PLAIN, "Signed out.\n"),
        };
        self.signed_in.end(request, answer)
    }

    /// `None`: the path is not one of the CAS server's.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        Some(match request.uri().path() {
            "/cas/login" => self.login(request),
            "/cas/p3/serviceValidate" => self.asked(request),
            "/cas/logout" => self.logout(request),
            "/cas/campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, LOCATION};

    use super::*;

    const HERE: &str = "http://127.0.0.1:8080/login";

    fn cas() -> Cas {
        Cas::new(([127, 0, 0, 1], 8080).into())
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
        assert_eq!(cas.validate(HERE, &first).map(|person| person.username), Some("anna"));
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
        assert_eq!(
            cas.validate(HERE, &silent).map(|person| person.username),
            Some("bertha")
        );
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
}
