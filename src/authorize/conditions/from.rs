//! `from`: does the client's address lie in one of the networks?

use ipnet::IpNet;

use super::{Aspect, At, Checks, Condition, Facts, Params, Table, keys, list, values};

keys! {
    /// Networks of the client.
    from: Vec<At<IpNet>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct From(pub(crate) Vec<IpNet>);

impl Condition for From {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Circumstance;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let nets = checks.many(&keys.from, "from", "name at least one network, or remove it")?;
        Some(Self(values(nets)))
    }

    /// An IPv4 client on an IPv6 socket (`::ffff:192.0.2.1`) is an IPv4 client.
    fn meets(&self, facts: &Facts<'_>) -> bool {
        let client = facts.client.to_canonical();
        self.0.iter().any(|net| net.contains(&client))
    }

    fn value(&self, _params: &dyn Params) -> String {
        list(self.0.iter().map(ToString::to_string))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        format!("the client is {}", facts.client.to_canonical())
    }
}
