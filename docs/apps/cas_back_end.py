#!/usr/bin/env python3
"""A back end that is a CAS client. It shows a person's courses in Moodle, and holds no password and no Moodle token.

    JANUA=https://moodle.example.edu CAS=https://cas.example.edu/cas APP=https://app.example.edu PORT=8000 python3 cas_back_end.py

APP is where browsers and the CAS server reach this program; it listens on PORT of loopback (default: the port in APP), behind
whatever ends TLS. PREFIX is the operator's prefix for apps (/campus-app), SIGN_IN the name in [sign_in.<name>] (campus).
"""

import json
import os
import secrets
import urllib.error
import urllib.request
import xml.etree.ElementTree as xml
from html import escape
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlencode, urlsplit

JANUA, CAS, APP = (os.environ[name].rstrip("/") for name in ("JANUA", "CAS", "APP"))
MOODLE = JANUA + os.environ.get("PREFIX", "/campus-app") + "/webservice/rest/server.php"
SESSION = JANUA + "/_janua/cas/" + os.environ.get("SIGN_IN", "campus") + "/session"
SECURE = APP.startswith("https:")
COOKIE = "__Host-cas-app" if SECURE else "cas-app"
NS = {"cas": "http://www.yale.edu/tp/cas"}
LONGEST = 8 << 20  # bytes of an answer


class Refused(Exception):
    """Janua or Moodle has said no: `told` is the JSON, as it came."""

    def __init__(self, told):
        super().__init__(told.get("reason") or told.get("errorcode"))
        self.told = told


class Kept(dict):
    """At most ten thousand entries: the oldest one makes room."""

    def keep(self, key, value):
        while len(self) >= 10_000:
            self.pop(next(iter(self)), None)
        self[key] = value


pgts = Kept()  # PGTIOU -> PGT, until the ticket is validated
people = Kept()  # cookie -> {"user", "ticket", "pgt", "session"}, or {"state"} until somebody is signed in


class Stay(urllib.request.HTTPRedirectHandler):
    """Secrets are not taken elsewhere."""

    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(Stay)


def ask(url, form=None, bearer=None):
    """The answer to a GET, or to a POST of this form: (status, headers, body)."""
    request = urllib.request.Request(url, None if form is None else urlencode(form).encode())
    if bearer:
        request.add_header("Authorization", "Bearer " + bearer)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read(LONGEST)
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read(LONGEST)


def validated(service, ticket):
    """Who the ticket is for (CAS 3.0 section 2.5), with the PGT that the CAS server has brought to /pgt meanwhile; or None."""
    query = urlencode({"service": service, "ticket": ticket, "pgtUrl": APP + "/pgt"})
    found = xml.fromstring(ask(f"{CAS}/p3/serviceValidate?{query}")[2]).find("cas:authenticationSuccess", NS)
    if found is None:
        return None
    pgt = pgts.pop(found.findtext("cas:proxyGrantingTicket", "", NS), None)
    return {"user": found.findtext("cas:user", "", NS), "ticket": ticket, "pgt": pgt, "session": None}


def janua_session(pgt):
    """A session at Janua for a proxy ticket (CAS 3.0 section 2.7); None: the CAS server gives none any more."""
    query = urlencode({"pgt": pgt or "", "targetService": SESSION})
    ticket = xml.fromstring(ask(f"{CAS}/proxy?{query}")[2]).findtext("cas:proxySuccess/cas:proxyTicket", None, NS)
    if not ticket:
        return None
    status, _, body = ask(SESSION, {"ticket": ticket})
    told = json.loads(body)
    if status != 201:
        raise Refused(told)
    return told["session"]


def moodle(person, wsfunction, **parameters):
    """What a function of Moodle's answers to this person. A session that has ended is replaced once."""
    for is_last in (False, True):
        person["session"] = person["session"] or janua_session(person["pgt"])
        if not person["session"]:
            raise Refused({"reason": "signed_out"})
        form = {"wsfunction": wsfunction, "moodlewsrestformat": "json", **parameters}
        status, headers, body = ask(MOODLE, form, person["session"])
        told = json.loads(body)
        if status == 401 and not is_last:
            person["session"] = None
            continue
        # An error of a function has status 200 and `exception`.
        if status != 200 or (isinstance(told, dict) and "exception" in told):
            raise Refused({**told, "after": headers.get("Retry-After")})
        return told


def forget(cookie):
    """Nobody is signed in here any more, nor at Janua by what was kept here."""
    person = people.pop(cookie, {})
    if person.get("session"):
        ask(JANUA + "/_janua/sign-out", {}, person["session"])


def refusal(told):
    """What a person is told of a refusal."""
    texts = {
        "signed_out": "Your sign-in has ended.",
        "no_moodle_token": "Moodle has no account for you.",
        "rate_limited": "Too many calls at once.",
        "moodle_maintenance": "Moodle is being maintained.",
    }
    reason = told.get("reason") or told.get("errorcode", "")
    text = texts.get(reason) or told.get("detail") or told.get("message", "")
    after = f" Try again in {escape(told['after'])} seconds." if told.get("after") else ""
    page = f"<p id=refused data-reason='{escape(reason)}'>{escape(text)}{after}</p>"
    # A link, never a redirect: whoever has no account comes back with the same refusal.
    if told.get("sign_in"):
        page += f"<p><a href='{escape(told['sign_in'] + '&return=' + quote(APP + '/', safe=''))}'>Let Moodle know you</a>"
    elif told.get("visit"):
        page += f"<p><a href='{escape(told['visit'])}'>Moodle wants something of you: open it</a>"
    elif reason == "signed_out":
        page += "<p><a href='/sign-in'>Sign in</a>"
    return page


def courses(person):
    info = moodle(person, "core_webservice_get_site_info")
    found = moodle(person, "core_enrol_get_users_courses", userid=info["userid"])
    lines = "".join(f"<li>{escape(course['fullname'])}</li>" for course in found)
    return f"<p>Signed in as {escape(info['fullname'])}.</p><ul>{lines}</ul>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        first = {name: values[0] for name, values in query.items()}
        if path == "/":
            self.home()
        elif path == "/sign-in":
            cookie, state = secrets.token_urlsafe(), secrets.token_urlsafe()
            people.keep(cookie, {"state": state})
            self.send(303, to=f"{CAS}/login?" + urlencode({"service": f"{APP}/callback?state={state}"}), cookie=cookie)
        elif path == "/callback":
            self.callback(first)
        elif path == "/pgt":
            # The CAS server calls, by https to a certificate that it knows. First it may call without anything.
            if "pgtIou" in first and "pgtId" in first:
                pgts.keep(first["pgtIou"], first["pgtId"])
            self.send(200)
        else:
            self.send(404, "<p>There is no such page.")

    def do_POST(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > 1 << 16:
            self.close_connection = True
            self.send(413)
            return
        form = parse_qs(self.rfile.read(int(length)).decode(errors="replace"))
        if urlsplit(self.path).path == "/callback" and "logoutRequest" in form:
            self.single_logout(form["logoutRequest"][0])
        elif self.path == "/sign-out":
            # The cookie is SameSite=Lax: no other site's form brings it.
            forget(self.cookie())
            self.send(303, to=f"{CAS}/logout", cookie="")
        else:
            self.send(404, "<p>There is no such page.")

    def home(self):
        person = people.get(self.cookie(), {})
        if "user" not in person:
            self.send(200, "<p>Nobody is signed in.</p><p><a href='/sign-in'>Sign in</a>")
            return
        try:
            page = courses(person)
        except Refused as refused:
            page = refusal(refused.told)
        except (OSError, ValueError, xml.ParseError):
            page = refusal({"reason": "unavailable", "detail": "Moodle or the sign-in server cannot be reached."})
        self.send(200, page + "<form method=post action=/sign-out><button>Sign out</button></form>")

    def callback(self, first):
        # Only the browser that has begun this sign-in may end it.
        state = people.pop(self.cookie(), {}).get("state", "")
        if not state or not secrets.compare_digest(state.encode(), first.get("state", "").encode()):
            self.send(400, "<p>This sign-in was begun elsewhere.</p><p><a href='/sign-in'>Sign in</a>")
            return
        try:
            person = validated(f"{APP}/callback?state={state}", first.get("ticket", ""))
        except (OSError, xml.ParseError):
            person = None
        if not person:
            self.send(403, "<p>The ticket is not good.</p><p><a href='/sign-in'>Sign in</a>")
            return
        cookie = secrets.token_urlsafe()
        people.keep(cookie, person)
        self.send(303, to="/", cookie=cookie)

    def single_logout(self, request):
        """CAS 3.0 section 2.3.3: it names the ticket, which only the CAS server, the browser and this program know."""
        try:
            index = xml.fromstring(request).findtext("{urn:oasis:names:tc:SAML:2.0:protocol}SessionIndex")
        except xml.ParseError:
            index = None
        for cookie, person in list(people.items()):
            if index and person.get("ticket") == index:
                forget(cookie)
        self.send(200)

    def cookie(self):
        found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        return found.value if found else ""

    def send(self, status, page="", to=None, cookie=None):
        body = f"<!doctype html><meta charset=utf-8><title>My courses: a CAS client</title>{page}".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
        if to is not None:
            self.send_header("Location", to)
        if cookie is not None:
            life = "" if cookie else "; Max-Age=0"
            self.send_header("Set-Cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax{life}{'; Secure' * SECURE}")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        """Without the query: a ticket may stand there."""
        print(f"{self.command} {urlsplit(self.path).path} {code}", flush=True)


if __name__ == "__main__":
    port = int(os.environ.get("PORT") or urlsplit(APP).port)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"{APP}/", flush=True)
    server.serve_forever()
