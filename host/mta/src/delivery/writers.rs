//! Places for those who write mailboxes: so many at once in all, and few of one mailbox, so that
//! one that hangs (a file system that doesn't answer, whatever its user put there) stops no other.
//!
//! A place is taken until the work is done, also where nobody waits for it any more. It knows no
//! files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of all places that one mailbox may take.
const OF_ONE: usize = 8;
/// Mailboxes that are remembered before those that nobody writes are forgotten.
const REMEMBERED: usize = 1_000;

/// The places.
pub struct Writers {
    all: Arc<Semaphore>,
    of_one: usize,
    mailboxes: Mutex<HashMap<PathBuf, Arc<Semaphore>>>,
}

/// A place, until this is dropped.
#[derive(Debug)]
pub struct Place {
    _of_mailbox: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Writers {
    /// So many places.
    pub fn new(places: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(places)),
            of_one: places.div_ceil(OF_ONE),
            mailboxes: Mutex::default(),
        }
    }

    /// Waits for a place to write this mailbox. Whoever waits for its turn at the mailbox has none
    /// of the places of all. None: never, since nothing closes them.
    pub async fn place(&self, mailbox: &Path) -> Option<Place> {
        let places = self.places(mailbox);
        let of_mailbox = places.acquire_owned().await.ok()?;
        let of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Place { _of_mailbox: of_mailbox, _of_all: of_all })
    }

    fn places(&self, mailbox: &Path) -> Arc<Semaphore> {
        let mut mailboxes = self.mailboxes.lock();
        if let Some(places) = mailboxes.get(mailbox) {
            return places.clone();
        }
        if mailboxes.len() >= REMEMBERED {
            // Who has or awaits a place has a part in it.
            mailboxes.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = Arc::new(Semaphore::new(self.of_one));
        mailboxes.insert(mailbox.to_owned(), places.clone());
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_mailbox_has_few_of_the_places() {
        let writers = Writers::new(32);
        let place = |name: &str| writers.place(Path::new(name)).now_or_never().flatten();
        let hang: Vec<Place> = std::iter::from_fn(|| place("hangs")).collect();
        assert_eq!(hang.len(), 4);
        // Those who wait for it take nothing from others.
        let _waiting: Vec<_> =
            (0..100).map(|_| Box::pin(writers.place(Path::new("hangs")))).collect();
        let others: Vec<_> =
            (0..28).map(|number| place(&format!("box{number}")).unwrap()).collect();
        assert!(place("another").is_none(), "all are taken");
        drop(hang);
        assert!(place("another").is_some() && place("hangs").is_some());
        drop(others);
        for number in 0..3 * REMEMBERED {
            place(&number.to_string());
        }
        assert!(writers.mailboxes.lock().len() <= REMEMBERED);
        assert_eq!(Writers::new(1).of_one, 1);
    }
}
