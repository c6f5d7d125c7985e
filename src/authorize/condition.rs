//! What a condition of a rule is. Each has a file in [`conditions`](super::conditions): its keys in gateway.toml, its
//! checks, its judgement and its words stand there, and nothing outside of that folder names it.

use super::Facts;
use super::conditions::{AnyCondition, Table};
use crate::config::pattern::Params;
use crate::config::rule::{Checks, Keys, List};
use crate::event::Question;
use crate::identity;

/// What a condition is about. In this order the conditions of a rule are evaluated and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    /// Nothing: it always holds.
    Everyone,
    /// Is there a person or token at all?
    Presence,
    /// Roles, as an event's own access control list names them.
    EventList,
    Grant,
    Role,
    /// What an access token was made for.
    Scope,
    /// Who it is, and who says so.
    Person,
    /// The request itself, the same for everybody who sends it.
    Circumstance,
}

impl Aspect {
    /// Can a condition of this kind come out differently for different people?
    pub(super) const fn is_person(self) -> bool {
        !matches!(self, Self::Everyone | Self::Circumstance)
    }
}

/// One kind of condition. Constants and functions without `self` are about the kind, the others about one condition.
pub(crate) trait Condition: Sized {
    /// Its own keys, as [`keys!`](crate::config::rule::keys) declares them.
    type Keys: Keys;

    const ABOUT: Aspect;

    /// Does a watch pass keep how it came out, because the pass does not say what it asks for? A pass names its bearer
    /// and the issuer; it has no roles, no grants and no sign-in.
    const KEPT_BY_PASS: bool = Self::ABOUT.is_person();

    /// Does a rule with nothing but such conditions allow everyone, wherever they are?
    const OPEN: bool = matches!(Self::ABOUT, Aspect::Everyone);

    /// The condition of one table, if its keys are written there; every mistake in them is reported. `rule` has the keys
    /// of the other conditions beside it.
    fn check(keys: &Self::Keys, rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self>;

    /// Reports what is wrong or in vain in a whole list of rules, seen with the rest of the route.
    fn check_list(_list: &List<'_>, _checks: &mut Checks<'_, '_>) {}

    /// Can a rule with these keys only hold for somebody who is known?
    fn needs_somebody(keys: &Self::Keys) -> bool {
        Self::ABOUT.is_person() && keys.count() > 0
    }

    /// What Opencast alone can say, if it holds by that.
    fn asks(&self) -> Option<Question> {
        None
    }

    /// What must be asked about which event or playlist, if that is not known yet and could make the condition hold.
    fn questions(&self, _facts: &Facts<'_>) -> Vec<(Question, String)> {
        Vec::new()
    }

    /// Does a watch pass carry the grants that it asks for, so that it is judged again with each request? Then such a pass is
    /// for all events of a playlist, and not for one.
    fn is_carried_by_pass(&self) -> bool {
        false
    }

    /// Could it come out differently for the same person at another path of the route? Then no pass for several events keeps
    /// how it came out at one.
    fn depends_on_path(&self) -> bool {
        true
    }

    /// Those grants by which it holds now.
    fn carried(&self, _facts: &Facts<'_>) -> Vec<identity::Grant> {
        Vec::new()
    }

    /// The parameter of the path that is the event, where only that may differ for a pass that carries grants.
    fn event_of_pass(&self) -> Option<&str> {
        None
    }

    /// The scopes of which an access token must have one.
    fn scopes(&self) -> &[String] {
        &[]
    }

    /// Does it hold? Called for every request: allocates nothing that it need not.
    fn meets(&self, facts: &Facts<'_>) -> bool;

    /// What could stand behind its key and the `=` in the file, with what `params` know in the place of `{name}`.
    fn value(&self, params: &dyn Params) -> String;

    /// What it was compared with: the values of its parameters, and what the request brought.
    fn met(&self, facts: &Facts<'_>) -> String;

    /// Follows the condition where somebody is told what would have let them pass: what is known of the event.
    /// Of a list at most `most`.
    fn known(&self, _facts: &Facts<'_>, _most: usize) -> String {
        String::new()
    }
}

/// One table of `allow` or `deny`: all conditions must hold. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(crate) conditions: Vec<AnyCondition>,
}

impl Rule {
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        !self.conditions.is_empty() && self.conditions.iter().all(|condition| condition.meets(facts))
    }

    /// All that it asks about the request itself.
    pub(super) fn circumstances_hold(&self, facts: &Facts<'_>) -> bool {
        let mut circumstances = self.conditions.iter().filter(|condition| !condition.is_person());
        circumstances.all(|condition| condition.meets(facts))
    }

    /// The parameter of the path that is the event, where a watch pass may be for a playlist.
    pub(crate) fn event_of_pass(&self) -> Option<&str> {
        self.conditions.iter().find_map(AnyCondition::event_of_pass)
    }

    /// Scopes that it asks for.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.conditions
            .iter()
            .flat_map(AnyCondition::scopes)
            .map(String::as_str)
    }

    /// A scope with which it would hold, where nothing else is missing.
    pub(super) fn missing_scope(&self, facts: &Facts<'_>) -> Option<&str> {
        let mut missing = None;
        for condition in self.conditions.iter().filter(|condition| !condition.meets(facts)) {
            missing = missing.or(Some(condition.scopes().first()?.as_str()));
        }
        missing
    }

    /// Does it allow everyone, wherever they are?
    pub(crate) fn is_open(&self) -> bool {
        self.conditions.iter().all(AnyCondition::is_open)
    }

    /// What Opencast alone can say of whether it holds.
    pub(crate) fn asks(&self) -> impl Iterator<Item = Question> {
        self.conditions.iter().filter_map(AnyCondition::asks)
    }
}

/// From the list of conditions: [`Table`], with the keys of all of them in the order of the list, and [`AnyCondition`].
/// A module without a condition only has keys that others read.
macro_rules! conditions {
    ( $(#[doc = $about:literal])* $( $module:ident $( : $condition:ident )?, )* ) => {
        $(#[doc = $about])*
        #[derive(Debug, Default)]
        pub(crate) struct Table {
            pub(crate) place: Span,
            /// Were there keys that no condition has? They are reported; what they were meant to be is unknown.
            pub(crate) has_unknown_keys: bool,
            $( $module: $module::Keys, )*
        }

        impl Read for Table {
            fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
                let mut table = reader.table(value, Self::declared().collect(), &[])?;
                Some(Self {
                    place: table.place,
                    has_unknown_keys: table.has_unknown_keys,
                    $( $module: Keys::read(&mut table)?, )*
                })
            }

            fn schema() -> Value {
                table_schema(concat!($( $about, "\n", )*), Self::declared())
            }
        }

        impl Table {
            /// The keys of all conditions, in the order in which they are read.
            fn declared() -> impl Iterator<Item = &'static Declared> {
                [$( <$module::Keys as Keys>::DECLARED, )*].into_iter().flatten()
            }

            /// How many of its keys are written.
            pub(crate) fn count(&self) -> usize {
                0 $( + self.$module.count() )*
            }

            /// Can it only hold for somebody who is known?
            pub(crate) fn needs_somebody(&self) -> bool {
                false $( $( || $module::$condition::needs_somebody(&self.$module) )? )*
            }

            /// Every condition that is written in it, or a report.
            pub(crate) fn check(&self, checks: &mut Checks<'_, '_>) -> Vec<AnyCondition> {
                let mut conditions = Vec::new();
                $( $(
                    let checked = $module::$condition::check(&self.$module, self, checks);
                    conditions.extend(checked.map(AnyCondition::$condition));
                )? )*
                conditions.sort_by_key(AnyCondition::about);
                conditions
            }

            /// Reports what is wrong or in vain in a whole list of rules.
            pub(crate) fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
                $( $( $module::$condition::check_list(list, checks); )? )*
            }
        }

        /// A condition of any kind.
        #[derive(Clone, PartialEq)]
        pub(crate) enum AnyCondition {
            $( $( $condition($module::$condition), )? )*
        }

        /// As the condition itself. Watch passes refer to rules by it (`settled`), so it must not change needlessly.
        impl fmt::Debug for AnyCondition {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $( $( Self::$condition(one) => one.fmt(formatter), )? )* }
            }
        }

        impl AnyCondition {
            pub(crate) fn about(&self) -> Aspect {
                match self { $( $( Self::$condition(_) => $module::$condition::ABOUT, )? )* }
            }

            pub(crate) fn is_person(&self) -> bool {
                match self { $( $( Self::$condition(_) => $module::$condition::ABOUT.is_person(), )? )* }
            }

            pub(crate) fn is_kept_by_pass(&self) -> bool {
                match self { $( $( Self::$condition(_) => $module::$condition::KEPT_BY_PASS, )? )* }
            }

            pub(crate) fn is_open(&self) -> bool {
                match self { $( $( Self::$condition(_) => $module::$condition::OPEN, )? )* }
            }

            pub(crate) fn asks(&self) -> Option<Question> {
                match self { $( $( Self::$condition(one) => one.asks(), )? )* }
            }

            pub(crate) fn questions(&self, facts: &Facts<'_>) -> Vec<(Question, String)> {
                match self { $( $( Self::$condition(one) => one.questions(facts), )? )* }
            }

            pub(crate) fn is_carried_by_pass(&self) -> bool {
                match self { $( $( Self::$condition(one) => one.is_carried_by_pass(), )? )* }
            }

            pub(crate) fn depends_on_path(&self) -> bool {
                match self { $( $( Self::$condition(one) => one.depends_on_path(), )? )* }
            }

            pub(crate) fn carried(&self, facts: &Facts<'_>) -> Vec<identity::Grant> {
                match self { $( $( Self::$condition(one) => one.carried(facts), )? )* }
            }

            pub(crate) fn event_of_pass(&self) -> Option<&str> {
                match self { $( $( Self::$condition(one) => one.event_of_pass(), )? )* }
            }

            pub(crate) fn scopes(&self) -> &[String] {
                match self { $( $( Self::$condition(one) => one.scopes(), )? )* }
            }

            pub(crate) fn meets(&self, facts: &Facts<'_>) -> bool {
                match self { $( $( Self::$condition(one) => one.meets(facts), )? )* }
            }

            /// As it could stand in the file: `grant = "read", event = "lecture-1"`.
            pub(crate) fn text(&self, params: &dyn Params) -> String {
                match self { $( $( Self::$condition(one) => {
                    format!("{} = {}", stringify!($module), one.value(params))
                } )? )* }
            }

            pub(crate) fn met(&self, facts: &Facts<'_>) -> String {
                match self { $( $( Self::$condition(one) => one.met(facts), )? )* }
            }

            pub(crate) fn known(&self, facts: &Facts<'_>, most: usize) -> String {
                match self { $( $( Self::$condition(one) => one.known(facts, most), )? )* }
            }
        }
    };
}

pub(super) use conditions;
