//! Who is it, and may they? As `gateway::admit` asks, with every credential and every rule laid out.

use std::sync::Arc;

use super::super::lay_out::{self, rule};
use super::{Asked, Walk};
use crate::authenticate::token;
use crate::authenticate::token::carrier::{self, Carried};
use crate::authorize::Facts;
use crate::authorize::explain as rules;
use crate::config::Credential;
use crate::edge::parts::Refusals;
use crate::edge::rules::Case;
use crate::event::Events;
use crate::own;
use crate::rate::address_key;
use crate::rejection::{Reason, Rejection};
use crate::request::Client;
use crate::snapshot::Route;

impl Walk<'_> {
    /// Every credential of the route and every rule, and what they come to.
    pub(super) async fn admit(&mut self, asked: &Asked<'_>, carried: &Carried<'_>) -> Result<(), Rejection> {
        let Asked {
            route,
            request,
            params,
            client,
            ..
        } = *asked;
        let case = Case {
            snapshot: self.snapshot,
            route,
            request,
            client,
            params,
        };
        let mut events = Events::default();
        self.report.anonymous = route.anonymous;
        self.who = None;
        self.report.credentials.clear();
        let mut refusals = Refusals::default();
        let sources = &self.snapshot.token_sources;
        self.launching = !self.only_decides && own::launch::is_asked(route, request, asked.headers, sources);
        let in_query = carrier::in_query(sources, request.query.as_deref());
        let (accept, carried): (&[Credential], _) = match self.launching {
            true => (&[Credential::Jwt], &in_query),
            false => (&route.accept, carried),
        };
        for credential in accept {
            let (outcome, held) = match credential {
                Credential::Watch => self.passes(asked),
                Credential::Session => (self.session(asked).await, None),
                Credential::Launch => (self.launch(asked).await, None),
                Credential::Jwt => (self.jwt(route, carried, client).await, None),
            };
            match outcome {
                token::Outcome::Nobody => {}
                token::Outcome::Refused(refusal) => refusals.invalid(refusal),
                token::Outcome::Person(who) => {
                    let decided = match (&held, &route.watch) {
                        (Some(held), Some(watch)) => {
                            let facts = case.facts(Some(&who), &events);
                            watch.rules.decide(&held.pass.settled, &facts).map_err(Into::into)
                        }
                        _ => case.decide(Some(&who), &mut events).await,
                    };
                    self.rules(route, &case.facts(Some(&who), &events));
                    let Err(refusal) = decided else {
                        self.who = Some(who);
                        return Ok(());
                    };
                    if refusals.refused(Arc::clone(&who), refusal).is_break() {
                        break;
                    }
                }
            }
        }
        let nobody = match refusals.somebody() || self.launching {
            true => Err(Reason::NotAllowed.into()),
            false => {
                let decided = case.decide(None, &mut events).await;
                self.rules(route, &case.facts(None, &events));
                decided
            }
        };
        refusals.told(nobody, route).map_err(|(who, refusal)| {
            self.who = who;
            refusal
        })
    }

    async fn jwt(&mut self, route: &Route, carried: &Carried<'_>, client: &Client) -> token::Outcome {
        let tokens = &self.snapshot.tokens;
        if carried.iter().next().is_some() {
            let (rate, spent) = tokens.bad_signatures(client.address);
            let of = address_key(client.address).to_string();
            self.budget("jwt.bad_signatures", of, rate, spent);
        }
        let payer = self.instant.map(|_| client.address);
        let (outcome, examined) = tokens
            .examine(carried, route.config.issuers.as_deref(), payer, self.now)
            .await;
        let speaking = examined.iter().position(|one| one.verdict.is_ok());
        let told = examined.into_iter().enumerate().map(|(index, one)| {
            let place = self.snapshot.token_sources.get(one.source);
            lay_out::credential(one, place, speaking == Some(index), self.now)
        });
        self.report.credentials.extend(told);
        outcome
    }

    /// The rules as they look to somebody.
    fn rules(&mut self, route: &Route, facts: &Facts<'_>) {
        let told = |list| rules::explain(list, facts).into_iter().map(rule).collect();
        self.report.deny = told(&route.config.deny);
        self.report.allow = told(&route.config.allow);
    }
}
