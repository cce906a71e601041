//! Who really gets a message: its recipients after aliases, lists opened, each address once.

use std::collections::HashSet;
use std::path::PathBuf;

use facteur_smtp::{Address, Reply};

use crate::dispatch::Dispatch;
use crate::domains::Class;
use crate::hooks::expansion::{Expansion, Outcome, Resolved};

/// One recipient after aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRecipient {
    /// Where it goes.
    pub address: Address,
    /// As accepted at RCPT.
    pub original: Address,
    /// Which accepted RCPT it came from, from 0. None: a copy (`bcc`) or a redirection.
    pub rcpt: Option<usize>,
    /// The class of `address`.
    pub class: Class,
    /// Its own envelope sender, where it came through a list with an owner.
    pub sender: Option<Address>,
    /// The first alias of this machine that it came by.
    pub alias: Option<Address>,
    /// With 5yz: refused after all, only to be bounced. With 4yz: it couldn't be found out who gets
    /// it, and [`crate::Policy::resolve_again`] may.
    pub refusal: Option<Reply>,
    /// The list whose members couldn't be found out, where it was one that `address` stands for.
    pub list: Option<PathBuf>,
}

/// Recipients that are gathered.
pub(crate) struct Gathering<'a> {
    dispatch: &'a Dispatch,
    seen: HashSet<Address>,
    recipients: Vec<FinalRecipient>,
}

impl<'a> Gathering<'a> {
    /// By asking these plugins.
    pub(crate) fn new(dispatch: &'a Dispatch) -> Self {
        Self { dispatch, seen: HashSet::new(), recipients: Vec::new() }
    }

    /// Adds an address that no RCPT named.
    pub(crate) async fn add(&mut self, to: Address) {
        let to = self.dispatch.matter.domains.complete(to);
        let expansion = Expansion::of(self.dispatch, to.clone()).await;
        self.take(None, &to, &expansion.results).await;
    }

    /// Adds what an address stands for, which this RCPT named, if any did.
    pub(crate) async fn take(
        &mut self,
        rcpt: Option<usize>,
        original: &Address,
        results: &[Resolved],
    ) {
        for result in results {
            if let Outcome::List(list) = &result.outcome {
                for member in &Expansion::members(self.dispatch, result, list).await {
                    self.keep(rcpt, original, member);
                }
            } else {
                self.keep(rcpt, original, result);
            }
        }
    }

    fn keep(&mut self, rcpt: Option<usize>, original: &Address, result: &Resolved) {
        let refusal = result.outcome.refusal().cloned();
        let list = match &result.outcome {
            Outcome::Closed(list, _) => Some(list.path.clone()),
            _ => None,
        };
        // Several refusals may bear the alias's own address, each with its reason; deliveries are
        // one for each address, and for each mailbox.
        if refusal.is_none() && !self.seen.insert(result.copy()) {
            return;
        }
        self.recipients.push(FinalRecipient {
            address: result.address.clone(),
            original: original.clone(),
            rcpt,
            class: result.class,
            sender: result.sender.clone(),
            alias: result.alias.clone(),
            refusal,
            list,
        });
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }

    /// All of them, in the order they were found.
    pub(crate) fn finish(self) -> Vec<FinalRecipient> {
        self.recipients
    }
}
