//! W3C trace context: a good one travels on and stands in the log, a bad one ends here.

use crate::support::{Config, Gateway, Request, Site, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn gateway(zoo: &Upstream) -> Gateway {
    let config = Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route("");
    Site::new().start(&config)
}

#[test]
fn a_trace_goes_on_to_the_upstream_and_into_the_log() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let request = Request::get("/traced").header("traceparent", &parent);
    gateway
        .send(request.header("tracestate", "congo=t61rcWkgMzE"))
        .expect(200);
    let seen = zoo.seen("/traced");
    assert_eq!(seen.header("traceparent"), Some(parent.as_str()));
    assert_eq!(seen.header("tracestate"), Some("congo=t61rcWkgMzE"));
    gateway.logged(&["/traced", &format!("trace_id=\"{TRACE}\"")]);
}

#[test]
fn a_malformed_trace_ends_here_and_none_is_made_up() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let request = Request::get("/forged").header("traceparent", "00-forged-00f067aa0ba902b7-01");
    gateway.send(request.header("tracestate", "congo=1")).expect(200);
    gateway.get("/plain").expect(200);
    for target in ["/forged", "/plain"] {
        let seen = zoo.seen(target);
        assert_eq!(
            (seen.header("traceparent"), seen.header("tracestate")),
            (None, None),
            "{target}"
        );
        gateway.logged(&[target, "trace_id=-"]);
    }
}
