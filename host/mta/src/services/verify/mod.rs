//! Recipient callouts: whether other servers take mail for an address, asked seldom and remembered,
//! as Postfix's verify(8) does it.
//!
//! Questions about one address share one callout. A question waits for so long; the callout goes on
//! without it, and the next question finds its answer. An answer that has become old is given once
//! more while it is asked anew. What couldn't be found out never takes the place of an answer that
//! is still believed. The answers are in memory: after a restart they are asked for again.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use facteur_policy::{SmtpRoute, Verified};
use facteur_smtp::Address;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::config;

/// Addresses that are remembered: some 10 MB. When there are more it starts anew.
const KNOWN: usize = 50_000;
/// Callouts that wait for their turn, for each that may run: what comes after those isn't asked.
const WAITING: usize = 10;

/// What is known of addresses, by the whole program.
pub struct Answers {
    known: Mutex<HashMap<Address, Known>>,
    /// Callouts under way or waiting.
    under_way: AtomicUsize,
    turns: Semaphore,
    /// Callouts at most, running or waiting.
    limit: usize,
}

/// What is known of one address. At least one of the two is there.
#[derive(Default)]
struct Known {
    answer: Option<(Verified, Instant)>,
    /// A callout is under way.
    asking: Option<watch::Receiver<Option<Verified>>>,
}

/// Who makes the callouts of one configuration. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    answers: Arc<Answers>,
    settings: Arc<config::Verify>,
    ask: Ask,
}

/// Makes one callout.
pub type Ask = Arc<dyn Fn(Address, SmtpRoute) -> BoxFuture<'static, Verified> + Send + Sync>;

impl Answers {
    /// Nothing is known yet. So many callouts run at once.
    pub fn new(concurrency: usize) -> Arc<Self> {
        let turns = Semaphore::new(concurrency);
        Arc::new(Self {
            known: Mutex::default(),
            under_way: AtomicUsize::new(0),
            turns,
            limit: concurrency * (1 + WAITING),
        })
    }
}

impl Verifier {
    /// With the program's answers, and callouts made by `ask`.
    pub fn new(answers: Arc<Answers>, settings: config::Verify, ask: Ask) -> Self {
        Self { answers, settings: Arc::new(settings), ask }
    }

    /// The answer of before if it is still believed; otherwise that of a callout, if it comes in
    /// time.
    async fn verify(&self, address: &Address, route: &SmtpRoute) -> Verified {
        let mut asking = {
            let mut all = self.answers.known.lock();
            let known = all.get(address);
            let believed = known
                .and_then(|known| known.answer.clone())
                .filter(|(answer, at)| at.elapsed() < self.expiry(answer));
            if let Some((answer, at)) = &believed
                && (at.elapsed() < self.refresh(answer)
                    || known.is_some_and(|known| known.asking.is_some()))
            {
                return answer.clone();
            }
            let asking = match known.and_then(|known| known.asking.clone()) {
                Some(asking) => Some(asking),
                None if self.answers.under_way.load(Ordering::Relaxed) >= self.answers.limit => {
                    None
                }
                None => {
                    make_room(&mut all);
                    let (tell, asking) = watch::channel(None);
                    self.answers.under_way.fetch_add(1, Ordering::Relaxed);
                    all.entry(address.clone()).or_default().asking = Some(asking.clone());
                    tokio::spawn(self.clone().ask(address.clone(), route.clone(), tell));
                    Some(asking)
                }
            };
            if let Some((answer, _)) = believed {
                return answer;
            }
            asking
        };
        let Some(asking) = &mut asking else {
            return Verified::Unknown("too many addresses are being verified".to_owned());
        };
        match timeout(self.settings.wait, asking.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or_else(unanswered),
            // The sender is gone without a word: the program is ending.
            Ok(Err(_)) => unanswered(),
            Err(_) => Verified::Unknown("address verification is in progress".to_owned()),
        }
    }

    async fn ask(self, address: Address, route: SmtpRoute, tell: watch::Sender<Option<Verified>>) {
        let asked = async {
            // It is never closed, so that this is no error.
            let _turn = self.answers.turns.acquire().await;
            (self.ask)(address.clone(), route).await
        };
        let late = || Verified::Unknown(format!("no answer in {:?}", self.settings.timeout));
        let answer = timeout(self.settings.timeout, asked).await.unwrap_or_else(|_| late());
        tracing::debug!(%address, ?answer, "verified");
        self.keep(&address, answer.clone());
        // Whoever asked may have given up.
        let _ = tell.send(Some(answer));
    }

    fn keep(&self, address: &Address, answer: Verified) {
        let mut all = self.answers.known.lock();
        self.answers.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Entry::Occupied(mut entry) = all.entry(address.clone()) {
            let known = entry.get_mut();
            known.asking = None;
            let believed =
                known.answer.as_ref().is_some_and(|(old, at)| at.elapsed() < self.expiry(old));
            if !believed || !matches!(answer, Verified::Unknown(_)) {
                known.answer = Some((answer, Instant::now()));
            }
        }
    }

    fn expiry(&self, answer: &Verified) -> Duration {
        match answer {
            Verified::Deliverable => self.settings.positive_expire,
            Verified::Undeliverable(_) => self.settings.negative_expire,
            Verified::Unknown(_) => self.settings.unknown_expire,
        }
    }

    fn refresh(&self, answer: &Verified) -> Duration {
        match answer {
            Verified::Deliverable => self.settings.positive_refresh,
            Verified::Undeliverable(_) => self.settings.negative_refresh,
            // It is short already.
            Verified::Unknown(_) => Duration::MAX,
        }
    }
}

impl facteur_policy::Verify for Verifier {
    fn callout<'a>(
        &'a self,
        address: &'a Address,
        route: &'a SmtpRoute,
    ) -> BoxFuture<'a, Verified> {
        self.verify(address, route).boxed()
    }
}

fn unanswered() -> Verified {
    Verified::Unknown("the callout came to no end".to_owned())
}

/// Forgets what isn't being asked, if too much is known.
fn make_room(all: &mut HashMap<Address, Known>) {
    if all.len() >= KNOWN {
        all.retain(|_, known| known.asking.is_some());
    }
}
