//! How a value lies in a store: a byte for its table, the half of its name that its place leaves out, and the value,
//! sealed for the whole name.
//!
//! So a value opens in its own place only, and can be sealed again by who knows no names: a rotation.

use super::place::{Name, PLACE, Place, REST};
use crate::sealing::Sealer;

/// Bytes before what is sealed.
pub(super) const HEADER: usize = 1 + REST;

/// What became of a value under the newest key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It has to be put in the place of the old one.
    Sealed(Vec<u8>),
    /// It is sealed with the newest key already.
    IsNewest,
    /// None of the keys opens it.
    Unreadable,
}

/// `sealer`: none for values that never leave the process.
pub(super) fn wrap(sealer: Option<&Sealer>, name: &Name, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + value.len() + crate::sealing::SEAL);
    bytes.push(name.tag());
    bytes.extend_from_slice(name.rest());
    match sealer {
        Some(sealer) => bytes.extend(sealer.seal(name.whole(), value)),
        None => bytes.extend_from_slice(value),
    }
    bytes
}

/// `None`: it is not what was put under this name, or no key opens it.
pub(super) fn unwrap(sealer: Option<&Sealer>, name: &Name, bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    if header.split_first() != Some((&name.tag(), name.rest())) {
        return None;
    }
    match sealer {
        Some(sealer) => sealer.open(name.whole(), body),
        None => Some(body.to_vec()),
    }
}

/// The value at a place whose name is not known.
pub(super) fn unwrap_at(sealer: Option<&Sealer>, place: Place, bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    match sealer {
        Some(sealer) => sealer.open(&whole(place, header)?, body),
        None => Some(body.to_vec()),
    }
}

/// Is this a value of the table with this tag?
pub(super) fn is_of(bytes: &[u8], tag: u8) -> bool {
    bytes.first() == Some(&tag) && bytes.len() >= HEADER
}

/// What stands at `place`, sealed with the newest key.
pub(super) fn again(sealer: &Sealer, place: Place, bytes: &[u8]) -> Again {
    let opened = bytes.split_at_checked(HEADER).and_then(|(header, body)| {
        let whole = whole(place, header)?;
        let (key, plain) = sealer.open_by(&whole, body)?;
        Some((key, header, whole, plain))
    });
    match opened {
        None => Again::Unreadable,
        Some((0, ..)) => Again::IsNewest,
        Some((_, header, whole, plain)) => Again::Sealed([header, &sealer.seal(&whole, &plain)].concat()),
    }
}

fn whole(place: Place, header: &[u8]) -> Option<[u8; PLACE + REST]> {
    let (_, rest) = header.split_first()?;
    [&place.0[..], rest].concat().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::place::Table;
    use super::*;
    use crate::sealing::{MasterKeys, Purpose};

    fn keys(lines: &[&str]) -> Sealer {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        std::fs::write(&path, lines.join("\n")).unwrap();
        MasterKeys::load(&path, false).unwrap().sealer(Purpose::Store)
    }

    const OLD: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn without_its_name_a_value_is_sealed_again_and_opens_by_the_newest_key_alone() {
        let (old, both, new) = (keys(&[OLD]), keys(&[NEW, OLD]), keys(&[NEW]));
        let name = Name::new(Table::Sessions, "a key");
        let before = wrap(Some(&old), &name, b"value");
        let Again::Sealed(after) = again(&both, name.place(), &before) else {
            panic!("it is to be sealed")
        };
        for (sealer, bytes, opens) in [(&new, &before, false), (&new, &after, true), (&old, &after, false)] {
            let expected = opens.then(|| b"value".to_vec());
            assert_eq!(unwrap(Some(sealer), &name, bytes), expected);
            assert_eq!(unwrap_at(Some(sealer), name.place(), bytes), expected);
        }
        assert_eq!(again(&both, name.place(), &after), Again::IsNewest);
        assert_eq!(again(&new, name.place(), &before), Again::Unreadable);
        let elsewhere = Name::new(Table::Sessions, "another key");
        assert_eq!(again(&both, elsewhere.place(), &before), Again::Unreadable);
        assert_eq!(unwrap(Some(&both), &elsewhere, &before), None);
        assert_eq!(again(&both, name.place(), b"[]"), Again::Unreadable);
    }

    #[test]
    fn a_table_is_told_without_opening() {
        let name = Name::new(Table::MoodleVault, "k");
        let bytes = wrap(None, &name, b"");
        assert!(is_of(&bytes, Table::MoodleVault.tag()) && !is_of(&bytes, Table::Sessions.tag()));
        assert_eq!(unwrap(None, &Name::new(Table::Sessions, "k"), &bytes), None);
        assert_eq!(unwrap(None, &name, &bytes).as_deref(), Some(&b""[..]));
    }
}
