//! Where passwords are checked: on threads that may compute for long, a bounded number at once.
//!
//! More wait in turn, and beyond that nobody does: whoever comes then is told to come later.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

/// Checks at once for each processor: one computes while another's memory is made ready.
const FOR_A_PROCESSOR: usize = 2;
/// Checks that wait for each that runs: some seconds of work.
const WAITING: usize = 64;

/// There is no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub(super) struct Full;

/// The room.
pub(super) struct Room {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Room {
    /// For this machine.
    pub(super) fn new() -> Self {
        Self::with(available_parallelism().map_or(1, usize::from) * FOR_A_PROCESSOR)
    }

    fn with(turns: usize) -> Self {
        let places = turns * (1 + WAITING);
        Self { turns: Arc::new(Semaphore::new(turns)), places: Arc::new(Semaphore::new(places)) }
    }

    /// Does the work on a thread of its own when its turn comes. A client that goes away meanwhile
    /// gives its place back only when the work is done.
    ///
    /// # Errors
    /// There is no place to wait in.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Full> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Full)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Full)?;
        let work = move || {
            let done = work();
            drop((turn, place));
            done
        };
        // It fails where the work panics, or the program ends.
        tokio::task::spawn_blocking(work).await.map_err(|_| Full)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_others_are_sent_away() {
        let room = Arc::new(Room::with(1));
        let (go, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let room = room.clone();
            async move {
                let work = move || {
                    let _ = begun.send(());
                    wait.recv()
                };
                room.run(work).await
            }
        });
        has_begun.await.unwrap();
        let others: Vec<_> = (0..WAITING)
            .map(|number| {
                let room = room.clone();
                tokio::spawn(async move { room.run(move || number).await })
            })
            .collect();
        while room.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(room.run(|| ()).await, Err(Full));
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(Ok(())));
        for (number, other) in others.into_iter().enumerate() {
            assert_eq!(other.await.unwrap(), Ok(number));
        }
        assert_eq!(room.run(|| ()).await, Ok(()));
    }
}
