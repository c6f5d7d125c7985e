//! What is told of people where `log.mask` says so: networks instead of addresses, digests instead of names.
//!
//! One mask for the process, since it has one log, and `[log]` changes with a restart alone. The access log, the
//! refusals at `/denials` and the lines that name a person ask it; of every other line it masks the addresses. What a
//! digest is made with comes from the master key: gateways that share a store have the same one, and their logs agree.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use arc_swap::ArcSwap;

use crate::config::{Config, Masked};
use crate::digest::hex;
use crate::sealing::Mac;

/// Bytes of a digest that are told: 16 digits, by which two people are mistaken for one another once in 10^19.
const TOLD: usize = 8;

static OF_PROCESS: OnceLock<Mask> = OnceLock::new();

/// What is masked, and how.
pub struct Mask {
    addresses: bool,
    subjects: Option<Mac>,
    /// Addresses of the configuration, which are no people's.
    spared: ArcSwap<HashSet<IpAddr>>,
}

impl Mask {
    /// `key` is asked for only if names are masked; its error is returned.
    pub fn new<E>(masked: &[Masked], key: impl FnOnce() -> Result<Mac, E>) -> Result<Self, E> {
        Ok(Self {
            addresses: masked.contains(&Masked::Address),
            subjects: masked.contains(&Masked::Subject).then(key).transpose()?,
            spared: ArcSwap::default(),
        })
    }

    fn address(&self, address: IpAddr) -> IpAddr {
        match self.addresses {
            true => network(address),
            false => address,
        }
    }

    fn subject<'a>(&self, subject: &'a str) -> Cow<'a, str> {
        let Some(key) = &self.subjects else {
            return Cow::Borrowed(subject);
        };
        let tag = key.sign(subject.as_bytes());
        Cow::Owned(hex(tag.get(..TOLD).unwrap_or_default()))
    }

    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.addresses {
            return Cow::Borrowed(text);
        }
        let spared = self.spared.load();
        without_addresses(text, |address| {
            address.is_loopback() || address.is_unspecified() || spared.contains(&address)
        })
    }
}

/// What the process masks from now on. To be called once, early; a later call changes nothing.
pub fn install(mask: Mask) {
    OF_PROCESS.get_or_init(|| mask);
}

/// Addresses that this configuration names are told as they are: those of upstreams and listeners.
pub fn spare(config: &Config) {
    if let Some(mask) = OF_PROCESS.get() {
        let servers = config.upstreams.iter().flat_map(|upstream| &upstream.servers);
        let servers = servers.filter_map(|server| server.host.parse::<IpAddr>().ok());
        let own = config.server.listen.iter().chain([&config.server.admin]);
        let own = own.chain(config.server.tls.iter().map(|listener| &listener.listen));
        let spared = servers
            .chain(own.map(|address| address.ip()))
            .map(|ip| ip.to_canonical());
        mask.spared.store(spared.collect::<HashSet<_>>().into());
    }
}

/// A client's address as it may be told.
pub fn address(address: IpAddr) -> IpAddr {
    OF_PROCESS.get().map_or(address, |mask| mask.address(address))
}

/// A person's name as it may be told.
pub fn subject(subject: &str) -> Cow<'_, str> {
    let mask = OF_PROCESS.get();
    mask.map_or(Cow::Borrowed(subject), |mask| mask.subject(subject))
}

/// A text that may name addresses, as it may be told.
pub fn text(text: &str) -> Cow<'_, str> {
    OF_PROCESS.get().map_or(Cow::Borrowed(text), |mask| mask.text(text))
}

/// The first address of its /24 or /48. An IPv4 address in the form of IPv6 is one of IPv4.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// Every address in `text` by its network, but for those that are `spared`.
fn without_addresses(text: &str, spared: impl Fn(IpAddr) -> bool) -> Cow<'_, str> {
    let mut masked = String::new();
    let (mut told, mut at) = (0, 0);
    while at < text.len() {
        let Some((length, address)) = address_at(text, at) else {
            at += 1;
            continue;
        };
        if !spared(address.to_canonical()) {
            masked.push_str(text.get(told..at).unwrap_or_default());
            masked.push_str(&network(address).to_string());
            told = at + length;
        }
        at += length;
    }
    match told {
        0 => Cow::Borrowed(text),
        _ => {
            masked.push_str(text.get(told..).unwrap_or_default());
            Cow::Owned(masked)
        }
    }
}

/// The address that begins here, behind no letter and before none, and its length. A port behind it is none of it, nor the end
/// of a sentence.
fn address_at(text: &str, at: usize) -> Option<(usize, IpAddr)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if before.is_some_and(is_word) {
        return None;
    }
    let run = |is_part: fn(u8) -> bool| {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
        let ends = !rest.get(end).is_some_and(is_word);
        text.get(at..at + end).filter(|run| ends && !run.is_empty())
    };
    let whole = run(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).filter(|run| run.contains(':'));
    let v6 = whole.and_then(|run| {
        let run = run.trim_end_matches('.');
        let candidates = [Some(run), run.strip_suffix(':')].into_iter().flatten();
        let mut found = candidates.filter_map(|text| Some((text.len(), text.parse::<Ipv6Addr>().ok()?)));
        found.next().map(|(length, address)| (length, address.into()))
    });
    v6.or_else(|| {
        let run = run(|byte| byte.is_ascii_digit() || byte == b'.')?.trim_end_matches('.');
        let is_inside = before == Some(&b'.');
        Some((run.len(), run.parse::<Ipv4Addr>().ok().filter(|_| !is_inside)?.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::{MasterKeys, Purpose};
    use proptest::prelude::*;

    fn masked(text: &str) -> String {
        without_addresses(text, |address| address == IpAddr::from([10, 0, 0, 7])).into_owned()
    }

    #[test]
    fn addresses_become_their_networks() {
        for (address, told) in [
            ("192.0.2.77", "192.0.2.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("2001:db8:12:3456:789a::1", "2001:db8:12::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), told);
        }
    }

    #[test]
    fn addresses_in_texts_are_masked_wherever_they_stand() {
        for (text, told) in [
            ("from 192.0.2.77:4711: eof", "from 192.0.2.0:4711: eof"),
            ("client=192.0.2.77 x", "client=192.0.2.0 x"),
            ("192.0.2.77", "192.0.2.0"),
            ("it was 192.0.2.77.", "it was 192.0.2.0."),
            ("\"peer\":\"192.0.2.77:9\"", "\"peer\":\"192.0.2.0:9\""),
            ("peer:192.0.2.77", "peer:192.0.2.0"),
            ("handshake:192.0.2.77:9", "handshake:192.0.2.0:9"),
            ("handshake:2001:db8:1:2::3", "handshake:2001:db8:1::"),
            ("peer=[2001:db8:1:2::3]:443 gone", "peer=[2001:db8:1::]:443 gone"),
            ("from 2001:db8:1:2::3: eof", "from 2001:db8:1::: eof"),
            ("a 2001:db8:1:2::3 b 192.0.2.77 c", "a 2001:db8:1:: b 192.0.2.0 c"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("fe80::1:2%eth0", "fe80::%eth0"),
            ("é192.0.2.77é", "é192.0.2.0é"),
        ] {
            assert_eq!(masked(text), told);
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        for text in [
            "2026-11-12T10:00:00.123Z  INFO janua::observe::denials: x",
            "h2::codec bad::beef_x 1.2.3 12:34:56 a:b:c 300.1.1.1 v1.2.3.4",
            "server=10.0.0.7:8081 :: : . ...",
            "127.0.0.1:",
            "",
        ] {
            let is_own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
            let told = without_addresses(text, |address| {
                is_own(address) || masked(&address.to_string()) == "10.0.0.7"
            });
            assert_eq!(told, text);
        }
    }

    #[test]
    fn names_become_digests_of_the_key() {
        let keys = MasterKeys::random();
        let mask = |keys: &MasterKeys| {
            let key = || Ok::<_, ()>(keys.mac(Purpose::LogSubject));
            Mask::new(&[Masked::Subject], key).unwrap()
        };
        let told = mask(&keys).subject("anna").into_owned();
        assert!(
            told.len() == 16 && told.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{told}"
        );
        assert_eq!(mask(&keys).subject("anna"), told);
        assert_ne!(mask(&keys).subject("bert"), told);
        assert_ne!(mask(&MasterKeys::random()).subject("anna"), told);
        assert_eq!(
            mask(&keys).address(IpAddr::from([192, 0, 2, 77])),
            IpAddr::from([192, 0, 2, 77])
        );
        assert_eq!(mask(&keys).text("192.0.2.77"), "192.0.2.77");
    }

    proptest! {
        #[test]
        fn no_address_survives(address in any::<IpAddr>(), before in "[ =\"'\\[(]", after in "[ \"'\\]),;]") {
            let text = format!("x{before}{address}{after}y");
            let expected = network(address);
            prop_assert_eq!(without_addresses(&text, |_| false), format!("x{before}{expected}{after}y"));
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            without_addresses(&text, |_| false);
        }
    }
}
