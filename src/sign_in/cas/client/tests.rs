use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::config::Outgoing;
use janua_demo::Reserved;

const SERVICE: &str = "https://gw.test/_janua/cas/campus/callback?a=b c&d=ü";

/// What the double at the other end does with every request.
#[derive(Clone)]
enum Peer {
    Says(&'static str, String),
    /// The same without a length: the body ends with its connection.
    SaysUnframed(&'static str, String),
    /// A byte now and then, for ever: never silent for long, never done.
    Drips,
}

/// A client of a double, and the request lines that the double got.
async fn client(protocol: Protocol, peer: Peer) -> (Client, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}/cas/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 8192];
            let length = socket.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            tell.send(request.lines().next().unwrap_or_default().to_owned()).ok();
            match &peer {
                Peer::Says(head, body) => {
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                    // Who has read enough hangs up.
                    socket.write_all(answer.as_bytes()).await.ok();
                    socket.shutdown().await.ok();
                }
                Peer::SaysUnframed(head, body) => {
                    let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
                    socket.write_all(answer.as_bytes()).await.ok();
                    socket.shutdown().await.ok();
                }
                Peer::Drips => {
                    socket
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\n\r\n<")
                        .await
                        .unwrap();
                    while socket.write_all(b" ").await.is_ok() {
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        }
    });
    let backchannel = Backchannel::new(&Outgoing::default()).unwrap();
    (Client::new(&server.parse().unwrap(), protocol, backchannel), told)
}

fn ok(body: &str) -> Peer {
    Peer::Says("200 OK\r\ncontent-type: text/xml", body.to_owned())
}

fn success(inner: &str) -> Peer {
    ok(&format!(
        "<c:serviceResponse xmlns:c='http://www.yale.edu/tp/cas'><c:authenticationSuccess><c:user>alice</c:user>{inner}\
         </c:authenticationSuccess></c:serviceResponse>"
    ))
}

fn ticket() -> Ticket {
    Ticket::service("ST-secret&x=1").unwrap()
}

async fn error(peer: Peer) -> ValidateError {
    let (client, _told) = client(Protocol::Cas3, peer).await;
    let error = client.validate(SERVICE, &ticket(), false).await.unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), error.public().to_owned()] {
        assert!(!text.contains("secret"), "{text}");
    }
    error
}

#[test]
fn addresses_keep_the_servers_path_and_escape_the_service() {
    let backchannel = Backchannel::new(&Outgoing::default()).unwrap();
    for server in [
        "https://cas.test/cas",
        "https://cas.test/cas/",
        "https://cas.test/cas/?x=1#y",
    ] {
        let client = Client::new(&server.parse().unwrap(), Protocol::Cas3, backchannel.clone());
        assert_eq!(
            client.login_url("https://gw.test/a?b=c&d=é", Login::Usual).as_str(),
            "https://cas.test/cas/login?service=https%3A%2F%2Fgw.test%2Fa%3Fb%3Dc%26d%3D%C3%A9"
        );
        assert_eq!(
            client.login_url("s", Login::Renew).as_str(),
            "https://cas.test/cas/login?service=s&renew=true"
        );
        assert_eq!(
            client.login_url("s", Login::Passive).as_str(),
            "https://cas.test/cas/login?service=s&gateway=true"
        );
        assert_eq!(client.logout_url(None).as_str(), "https://cas.test/cas/logout");
        assert_eq!(
            client.logout_url(Some("https://gw.test/")).as_str(),
            "https://cas.test/cas/logout?service=https%3A%2F%2Fgw.test%2F"
        );
    }
    let root = Client::new(&"https://cas.test".parse().unwrap(), Protocol::Cas3, backchannel);
    assert_eq!(root.logout_url(None).as_str(), "https://cas.test/logout");
}

#[tokio::test]
async fn each_protocol_asks_its_endpoint_once() {
    let question = "service=https%3A%2F%2Fgw.test%2F_janua%2Fcas%2Fcampus%2Fcallback%3Fa%3Db+c%26d%3D%C3%BC\
                    &ticket=ST-secret%26x%3D1";
    for (protocol, endpoint, proxy_endpoint) in [
        (Protocol::Cas1, "validate", "proxyValidate"),
        (Protocol::Cas2, "serviceValidate", "proxyValidate"),
        (Protocol::Cas3, "p3/serviceValidate", "p3/proxyValidate"),
    ] {
        let (client, mut told) = client(protocol, ok("no\n")).await;
        client.validate(SERVICE, &ticket(), false).await.unwrap_err();
        client.validate(SERVICE, &ticket(), true).await.unwrap_err();
        client.proxy_validate(SERVICE, &ticket()).await.unwrap_err();
        drop(client);
        let line = |endpoint: &str, renew: &str| Some(format!("GET /cas/{endpoint}?{question}{renew} HTTP/1.1"));
        assert_eq!(told.recv().await, line(endpoint, ""));
        assert_eq!(told.recv().await, line(endpoint, "&renew=true"));
        assert_eq!(told.recv().await, line(proxy_endpoint, ""));
        assert!(told.try_recv().is_err(), "nothing is asked again");
    }
}

#[tokio::test]
async fn a_service_ticket_has_no_chain_and_a_proxy_ticket_has_one() {
    let chain = "<c:proxies><c:proxy>https://app.test/pgt</c:proxy></c:proxies>";
    let (direct, _told) = client(Protocol::Cas3, success("")).await;
    assert_eq!(direct.validate(SERVICE, &ticket(), false).await.unwrap().user, "alice");
    let not_proxied = direct.proxy_validate(SERVICE, &ticket()).await.unwrap_err();
    assert!(matches!(not_proxied, ValidateError::NotProxied));
    let (proxied, _told) = client(Protocol::Cas3, success(chain)).await;
    let principal = proxied.proxy_validate(SERVICE, &ticket()).await.unwrap();
    assert_eq!(principal.proxies, ["https://app.test/pgt"]);
    let odd = proxied.validate(SERVICE, &ticket(), false).await.unwrap_err();
    assert!(matches!(odd, ValidateError::Answer(BadAnswer::Proxies)));
}

#[tokio::test]
async fn a_name_that_may_be_cut_off_is_nobodys() {
    let head = "200 OK\r\ncontent-type: text/plain";
    let answered = |peer| async move {
        let (client, _told) = client(Protocol::Cas1, peer).await;
        client.validate(SERVICE, &ticket(), false).await
    };
    for whole in [
        Peer::Says(head, "yes\nalice".to_owned()),
        Peer::SaysUnframed(head, "yes\nalice\n".to_owned()),
    ] {
        assert_eq!(answered(whole).await.unwrap().user, "alice");
    }
    let open = answered(Peer::SaysUnframed(head, "yes\nalic".to_owned()))
        .await
        .unwrap_err();
    assert!(matches!(open, ValidateError::Answer(BadAnswer::Form)), "{open}");
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let refused = error(ok("<c:serviceResponse xmlns:c='http://www.yale.edu/tp/cas'>\
        <c:authenticationFailure code='INVALID_TICKET'>Ticket ST-secret no</c:authenticationFailure></c:serviceResponse>"))
    .await;
    assert!(
        matches!(&refused, ValidateError::Refused(failure) if failure.code == FailureCode::InvalidTicket),
        "{refused}"
    );
    assert_eq!((refused.label(), refused.is_of_ticket()), ("invalid_ticket", true));

    let no = |code: &str| {
        format!("<serviceResponse><authenticationFailure code='{code}'>no</authenticationFailure></serviceResponse>")
    };
    for (status, code, label) in [
        ("422 Unprocessable Entity", "INVALID_TICKET", "invalid_ticket"),
        ("403 Forbidden", "UNAUTHORIZED_SERVICE", "unauthorized_service"),
        ("500 Oops", "INVALID_TICKET", "bad_answer"),
    ] {
        let refused = error(Peer::Says(status, no(code))).await;
        assert_eq!(refused.label(), label, "{refused}");
    }
    let yes = "<serviceResponse><authenticationSuccess><user>a</user></authenticationSuccess></serviceResponse>";
    for status in ["403 Forbidden", "302 Found", "500 Oops"] {
        let error = error(Peer::Says(status, yes.to_owned())).await;
        assert_eq!(error.label(), "bad_answer", "{error}");
    }

    for (peer, part) in [
        (Peer::Says("302 Found\r\nlocation: /cas/login", String::new()), "302"),
        (Peer::Says("500 Oops", "<html>".to_owned()), "500"),
        (
            Peer::Says("200 OK\r\ncontent-type: text/html", "<!doctype html><p>".to_owned()),
            "web page",
        ),
        (ok(&" ".repeat(10 << 20)), "more than 1048576 bytes"),
        (ok("<c:serviceResponse"), "not well-formed"),
        (
            Peer::Says("200 OK\r\ntransfer-encoding: chunked", String::new()),
            "valid HTTP",
        ),
    ] {
        let error = error(peer).await;
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!((error.label(), error.is_of_ticket()), ("bad_answer", false));
        assert_eq!(error.hint().contains("not registered"), part == "500", "{error}");
    }

    let port = Reserved::new(0).unwrap();
    let closed = port.address();
    let server = format!("http://{closed}/cas").parse().unwrap();
    let client = Client::new(&server, Protocol::Cas2, Backchannel::new(&Outgoing::default()).unwrap());
    let unreachable = client.validate(SERVICE, &ticket(), false).await.unwrap_err();
    assert_eq!(unreachable.label(), "unreachable", "{unreachable}");
    assert!(
        unreachable.to_string().contains("refused the connection"),
        "{unreachable}"
    );
}

#[tokio::test]
async fn an_answer_that_drips_ends_at_the_deadline() {
    let error = error(Peer::Drips).await;
    assert_eq!(error.label(), "timeout", "{error}");
}

#[tokio::test]
async fn a_probe_wants_its_ticket_to_be_unknown() {
    let answer = |code: &str| {
        ok(&format!(
            "<c:serviceResponse xmlns:c='http://www.yale.edu/tp/cas'><c:authenticationFailure code='{code}'/>\
             </c:serviceResponse>"
        ))
    };
    let (good, _told) = client(Protocol::Cas3, answer("INVALID_TICKET")).await;
    good.probe(SERVICE).await.unwrap();
    let (strange, _told) = client(Protocol::Cas3, answer("UNAUTHORIZED_SERVICE")).await;
    let error = strange.probe(SERVICE).await.unwrap_err();
    assert!(error.to_string().contains("not registered"), "{error}");
    let (credulous, _told) = client(Protocol::Cas3, success("")).await;
    assert!(credulous.probe(SERVICE).await.is_err());
}
