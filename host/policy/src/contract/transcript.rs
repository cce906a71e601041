//! What one question has asked of the host so far, and what it was answered.
//!
//! A sandbox is deterministic: what a fresh one asks next, and what it answers in the end, follows
//! from what the host has answered before. So a transcript whose beginning is known can be played
//! to a guest again ([`Transcript::again`]), and one that is whole says all that an answer depends
//! on. It knows neither who is asked nor what is remembered.

use std::sync::Arc;

use wasmtime::{Result, bail};

use super::calls::{Call, Reply, octets};
use crate::runtime::error::Differs;

/// The most calls of a transcript: a plugin asks ten.
const CALLS: usize = 64;
/// The most bytes of a transcript, what is handed over and what is answered: one that holds more is
/// hardly ever the same.
const OCTETS: usize = 4 * 1024;

/// One call and its reply.
pub(crate) struct Exchange {
    pub call: Asked,
    pub reply: Reply,
}

/// A call, as it is held.
pub(crate) enum Asked {
    /// Nobody has asked it here before.
    New(Call),
    /// It is known from another transcript.
    Known(Arc<Call>),
}

impl Asked {
    pub(crate) fn call(&self) -> &Call {
        match self {
            Self::New(call) => call,
            Self::Known(call) => call,
        }
    }
}

/// The exchanges of one question.
#[derive(Default)]
pub(crate) struct Transcript {
    exchanges: Vec<Exchange>,
    /// How many of them the guest has been told: fewer only while they are played to it.
    told: usize,
    octets: usize,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing is held; nothing was asked yet.
    #[default]
    Closed,
    /// Nothing is held, and something was asked.
    Missed,
    /// All that was asked is held.
    Whole,
    /// Something was asked that isn't held.
    Cut,
}

impl Transcript {
    /// One that holds what is asked from now on.
    pub(crate) fn begin() -> Self {
        Self { state: State::Whole, ..Self::default() }
    }

    /// The guest has answered.
    ///
    /// # Errors
    /// It must have asked more before.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.told < self.exchanges.len() {
            bail!(Differs);
        }
        Ok(())
    }

    /// Everything that was asked; none if something isn't held.
    pub(crate) fn whole(self) -> Option<Vec<Exchange>> {
        (self.state == State::Whole).then_some(self.exchanges)
    }

    /// What is held of it.
    pub(crate) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Whether a transcript that holds nothing has missed something.
    pub(crate) fn has_missed(&self) -> bool {
        self.state == State::Missed
    }

    /// Holds what a walk has asked before the guest did: it is played to the guest.
    pub(crate) fn foresee(&mut self, call: Arc<Call>, reply: Reply) {
        if reply.passes() {
            self.state = State::Cut;
        }
        self.exchanges.push(Exchange { call: Asked::Known(call), reply });
    }

    /// What the host has answered this call already, if it has.
    ///
    /// # Errors
    /// The guest asks something else than it must.
    pub(super) fn again(&mut self, call: &Call) -> Result<Option<Reply>> {
        let Some(exchange) = self.exchanges.get(self.told) else { return Ok(None) };
        if exchange.call.call() != call {
            bail!(Differs);
        }
        self.told += 1;
        Ok(Some(exchange.reply.clone()))
    }

    /// The guest is told this.
    pub(super) fn note(&mut self, call: Call, reply: &Reply) {
        match self.state {
            State::Closed => self.state = State::Missed,
            State::Missed | State::Cut => {}
            State::Whole => {
                self.octets += octets(&call) + octets(reply);
                if self.exchanges.len() >= CALLS || self.octets > OCTETS {
                    self.state = State::Cut;
                    return;
                }
                if reply.passes() {
                    self.state = State::Cut;
                }
                self.exchanges.push(Exchange { call: Asked::New(call), reply: reply.clone() });
                self.told = self.exchanges.len();
            }
        }
    }

    /// The guest asks what no transcript holds.
    ///
    /// # Errors
    /// It must ask something else.
    pub(super) fn miss(&mut self) -> Result<()> {
        if self.told < self.exchanges.len() {
            bail!(Differs);
        }
        self.state = match self.state {
            State::Closed | State::Missed => State::Missed,
            State::Whole | State::Cut => State::Cut,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Call {
        Call::SessionTrusted {}
    }

    fn tag(key: &str) -> Call {
        Call::SessionTag { key: key.to_owned() }
    }

    /// What a walk has heard: not trusted, no tag `a`.
    fn foreseen() -> Transcript {
        let mut transcript = Transcript::begin();
        transcript.foresee(Arc::new(trusted()), Reply::YesNo(false));
        transcript.foresee(Arc::new(tag("a")), Reply::MaybeText(None));
        transcript
    }

    #[test]
    fn what_was_heard_is_told_again_and_what_is_new_is_held() {
        let mut transcript = foreseen();
        assert_eq!(transcript.again(&trusted()).unwrap(), Some(Reply::YesNo(false)));
        assert_eq!(transcript.again(&tag("a")).unwrap(), Some(Reply::MaybeText(None)));
        assert_eq!(transcript.again(&tag("b")).unwrap(), None);
        transcript.note(tag("b"), &Reply::MaybeText(Some("x".into())));
        transcript.finish().unwrap();
        assert_eq!(transcript.whole().unwrap().len(), 3);
    }

    #[test]
    fn a_guest_that_does_something_else_is_found_out() {
        let differs = |result: Result<()>| result.unwrap_err().is::<Differs>();
        assert!(differs(foreseen().again(&tag("a")).map(|_| ())), "another call");
        assert!(differs(foreseen().miss()), "one that is never held");
        assert!(differs(foreseen().finish()), "an answer before its time");
        let mut transcript = foreseen();
        transcript.again(&trusted()).unwrap();
        assert!(differs(transcript.again(&tag("b")).map(|_| ())), "another argument");
    }

    #[test]
    fn what_is_long_or_passes_is_not_whole() {
        let mut transcript = Transcript::begin();
        transcript.note(tag("a"), &Reply::MaybeText(Some("x".repeat(OCTETS))));
        assert!(transcript.whole().is_none());
        let mut transcript = Transcript::begin();
        for number in 0..=CALLS {
            transcript.note(tag(&number.to_string()), &Reply::MaybeText(None));
        }
        assert!(transcript.whole().is_none());
        let mut transcript = Transcript::begin();
        transcript.miss().unwrap();
        assert!(transcript.whole().is_none());
        // A sandbox that asks while it is made.
        let mut transcript = Transcript::default();
        transcript.note(trusted(), &Reply::YesNo(true));
        assert!(transcript.has_missed());
    }
}
