//! Somebody who uses a sign-in server by HTTP: what a browser would do, without one.

use std::net::SocketAddr;

use url::Url;

use super::browser::{Browser, End, Form, Page};

pub const PASSWORD: &str = "a password of the tests";

/// How pages of one kind of server are recognised and answered.
pub trait Pages: Copy {
    /// The form for name and password, if this is the page with it.
    fn login(self, page: &Page) -> Option<Form>;
    /// The form that asks whether to sign out, if this is the page with it.
    fn logout(self, page: &Page) -> Option<Form>;
    /// Where people sign out who were not sent by anybody.
    fn logout_url(self, address: SocketAddr) -> Url;
}

pub struct Person<P> {
    browser: Browser,
    pages: P,
    address: SocketAddr,
    name: String,
}

/// What came of a way to the server: it is there again, by an address; or a page is shown.
#[derive(Debug)]
pub enum Landed {
    Back(Url),
    /// The form for name and password.
    Asked,
    Shown(Page),
}

impl Landed {
    /// Back, without a page.
    #[track_caller]
    pub fn back(self) -> Url {
        match self {
            Self::Back(url) => url,
            Self::Asked => panic!("the form for name and password"),
            Self::Shown(page) => panic!("a page at {}: {}\n{}", page.url, page.status, page.text),
        }
    }

    /// A page of the server's.
    #[track_caller]
    pub fn shown(self) -> Page {
        match self {
            Self::Shown(page) => page,
            other => panic!("no page: {other:?}"),
        }
    }
}

impl<P: Pages> Person<P> {
    /// Who has not signed in yet.
    pub fn new(address: SocketAddr, pages: P, name: &str) -> Self {
        Self {
            browser: Browser::new(address),
            pages,
            address,
            name: name.to_owned(),
        }
    }

    /// Goes to an address of the server and does what is asked there: fills in the form, or nothing, if there is a session.
    /// Where the server sends the browser then.
    #[track_caller]
    pub fn sign_in(&self, to: &str) -> Url {
        match self.go(to) {
            End::Elsewhere(url) => url,
            End::Page(page) => {
                let form = self.pages.login(&page);
                let form = form.unwrap_or_else(|| panic!("no form at {}: {}\n{}", page.url, page.status, page.text));
                let fields = [("username", &*self.name), ("password", PASSWORD)];
                self.landed(self.browser.submit(&form, &fields)).back()
            }
        }
    }

    /// Goes to an address of the server and does nothing there.
    pub fn look(&self, to: &str) -> Landed {
        self.landed(self.go(to))
    }

    /// Signs out at an address of the server, and says yes if that is asked. It has told all clients when this returns.
    pub fn sign_out_at(&self, to: &str) -> Landed {
        let end = match self.go(to) {
            End::Page(page) => match self.pages.logout(&page) {
                Some(form) => self.browser.submit(&form, &[]),
                None => End::Page(page),
            },
            elsewhere @ End::Elsewhere(_) => elsewhere,
        };
        self.landed(end)
    }

    /// Signs out without a client's help. The page that says so.
    #[track_caller]
    pub fn sign_out(&self) -> Page {
        let page = self.sign_out_at(self.pages.logout_url(self.address).as_str()).shown();
        assert_eq!(page.status, 200, "{}", page.text);
        page
    }

    fn go(&self, to: &str) -> End {
        self.browser.open(&to.parse().unwrap())
    }

    fn landed(&self, end: End) -> Landed {
        match end {
            End::Elsewhere(url) => Landed::Back(url),
            End::Page(page) if self.pages.login(&page).is_some() => Landed::Asked,
            End::Page(page) => Landed::Shown(page),
        }
    }
}
