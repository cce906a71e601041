//! The end of the program, as attempts hear of it: whatever can be tried again ends at once.
//!
//! Only who has sent all of a message and waits for the answer stays: to go then would bring the
//! message there a second time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// Says when to stop.
pub struct Stop(watch::Sender<bool>);

/// Whether a connection waits for the answer to a whole message. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// The end of a message is about to be sent, or nothing is under way.
    pub fn set(&self, doubt: bool) {
        self.0.store(doubt, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// From now on.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// What comes of this, unless it is told to stop first.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.or_in_doubt(&Doubt::default(), work).await
    }

    /// What comes of this, unless it is told to stop first and is not in doubt.
    pub async fn or_in_doubt<T>(&self, doubt: &Doubt, work: impl Future<Output = T>) -> Option<T> {
        let mut receiver = self.0.subscribe();
        let told = async {
            // An error means that who would tell is gone, and with it the program.
            let _ = receiver.wait_for(|told| *told).await;
        };
        match select(pin!(work), pin!(told)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), work)) if doubt.is_set() => Some(work.await),
            Either::Right(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_doubt_is_waited_for_and_nothing_else() {
        let stop = Stop::default();
        assert_eq!(stop.or(async { 1 }).await, Some(1));
        let doubt = Doubt::default();
        let work = async {
            doubt.set(true);
            stop.now();
            tokio::task::yield_now().await;
            2
        };
        assert_eq!(stop.or_in_doubt(&doubt, work).await, Some(2));
        assert_eq!(stop.or(std::future::pending::<u8>()).await, None);
    }
}
