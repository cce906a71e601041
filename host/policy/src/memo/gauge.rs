//! Whether remembering pays: a hook that is never asked the same again isn't slowed down by it.

use std::sync::atomic::{AtomicU32, Ordering};

/// Questions that are looked at together.
const WINDOW: u32 = 256;
/// The least hits of a window: a walk for nothing costs about a tenth of a sandbox.
const WORTH: u32 = WINDOW / 8;
/// The longest pause, in questions: then it is tried again, since traffic changes.
const LONGEST: u32 = 64 * WINDOW;

/// What is known of the last questions. Several threads count at once: a few may be lost, which
/// changes nothing that matters.
#[derive(Default)]
pub(crate) struct Gauge {
    questions: AtomicU32,
    hits: AtomicU32,
    /// Questions that are left out, still.
    pause: AtomicU32,
    /// How long the last pause was.
    last: AtomicU32,
}

impl Gauge {
    /// Whether the next question shall be looked up.
    pub(super) fn attends(&self) -> bool {
        let left = self.pause.load(Ordering::Relaxed);
        if left > 0 {
            self.pause.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// What came of one that was.
    pub(super) fn note(&self, hit: bool) {
        if hit {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        if self.questions.fetch_add(1, Ordering::Relaxed) + 1 < WINDOW {
            return;
        }
        self.questions.store(0, Ordering::Relaxed);
        if self.hits.swap(0, Ordering::Relaxed) >= WORTH {
            self.last.store(0, Ordering::Relaxed);
            return;
        }
        let pause = (self.last.load(Ordering::Relaxed) * 2).clamp(WINDOW, LONGEST);
        self.last.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many questions, how many were looked up.
    fn looked_up(gauge: &Gauge, questions: u32, hit: bool) -> u32 {
        let attended = (0..questions).filter(|_| {
            let attends = gauge.attends();
            if attends {
                gauge.note(hit);
            }
            attends
        });
        u32::try_from(attended.count()).unwrap()
    }

    #[test]
    fn what_never_comes_again_is_looked_up_ever_less() {
        let gauge = Gauge::default();
        assert_eq!(looked_up(&gauge, WINDOW, false), WINDOW);
        assert_eq!(looked_up(&gauge, WINDOW, false), 0);
        assert!(looked_up(&gauge, 100_000, false) < 3_000);
        // And as soon as it does, always.
        looked_up(&gauge, LONGEST, true);
        assert_eq!(looked_up(&gauge, 10_000, true), 10_000);
    }
}
