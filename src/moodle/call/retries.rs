//! What happens after each answer of Moodle's to a call: whether it goes to the client, and whether the call is sent again.
//!
//! A dead token is replaced once, and Moodle is asked once whether a token is alive.

use crate::moodle::answer::Reaction;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The client gets the answer.
    Return,
    /// Moodle is asked whether the token is alive, and [`Retries::probed`] what to do then.
    Probe,
    /// The token is dead. Another one is obtained, and the call is sent again.
    Renew,
    /// The token is dead, and was obtained a moment ago.
    DeadAgain,
    /// The client gets a refusal instead of the answer.
    Refuse(Reaction),
}

/// What has been done about one call.
#[derive(Debug, Default)]
pub(super) struct Retries {
    has_renewed: bool,
    has_probed: bool,
}

impl Retries {
    /// `reaction`: what the answer asks for; `None`: nothing.
    pub(super) fn answered(&mut self, reaction: Option<Reaction>) -> Next {
        match reaction {
            None => Next::Return,
            Some(Reaction::Probe | Reaction::Verify) if self.has_probed => Next::Return,
            Some(Reaction::Probe | Reaction::Verify) => {
                self.has_probed = true;
                Next::Probe
            }
            Some(Reaction::ObtainAgain) => self.dead(),
            Some(reaction) => Next::Refuse(reaction),
        }
    }

    /// After [`Next::Probe`], which `reaction` asked for.
    pub(super) fn probed(&mut self, reaction: Reaction, is_alive: bool) -> Next {
        match reaction {
            _ if !is_alive => self.dead(),
            // PHP has read nothing of the body, with the token in it.
            Reaction::Verify => Next::Refuse(Reaction::TooLarge),
            _ => Next::Return,
        }
    }

    fn dead(&mut self) -> Next {
        if self.has_renewed {
            return Next::DeadAgain;
        }
        self.has_renewed = true;
        Next::Renew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moodle::answer::wanted::Wanted;

    #[test]
    fn each_answer_leads_to_one_thing() {
        use Reaction::{EndMoodle, Maintenance, Misconfigured, ObtainAgain, Probe, TooLarge, Verify, Wants};
        let wants = Wants(Wanted::NoPassword);
        // Answers, each with what a probe would find, and what is done after it.
        type Case<'a> = &'a [(Option<Reaction>, bool, Next)];
        let cases: &[Case<'_>] = &[
            &[(None, true, Next::Return)],
            &[(Some(ObtainAgain), true, Next::Renew), (None, true, Next::Return)],
            &[
                (Some(ObtainAgain), true, Next::Renew),
                (Some(ObtainAgain), true, Next::DeadAgain),
            ],
            // A true denial, and the first use of an expired token.
            &[(Some(Probe), true, Next::Return)],
            &[(Some(Probe), false, Next::Renew), (None, true, Next::Return)],
            // Moodle is asked once for each call.
            &[(Some(Probe), false, Next::Renew), (Some(Probe), false, Next::Return)],
            &[
                (Some(ObtainAgain), true, Next::Renew),
                (Some(Probe), false, Next::DeadAgain),
            ],
            &[(Some(Verify), true, Next::Refuse(TooLarge))],
            &[(Some(Verify), false, Next::Renew), (Some(Verify), true, Next::Return)],
            &[(Some(TooLarge), true, Next::Refuse(TooLarge))],
            &[(Some(EndMoodle), true, Next::Refuse(EndMoodle))],
            &[(Some(Maintenance), true, Next::Refuse(Maintenance))],
            &[(Some(Misconfigured), true, Next::Refuse(Misconfigured))],
            &[
                (Some(ObtainAgain), true, Next::Renew),
                (Some(wants), true, Next::Refuse(wants)),
            ],
        ];
        for case in cases {
            let mut retries = Retries::default();
            for (reaction, is_alive, expected) in *case {
                let next = match (retries.answered(*reaction), reaction) {
                    (Next::Probe, Some(reaction)) => retries.probed(*reaction, *is_alive),
                    (next, _) => next,
                };
                assert_eq!(next, *expected, "{case:?}");
            }
        }
    }
}
