//! Keys and values in memory: one text that holds them all, and an open-addressing table of places
//! in it.
//!
//! Some 20 bytes an entry beside its text, so that a million entries are no burden; a hit allocates
//! nothing. Bounded by 4 GiB of text, which the limit on files keeps far away. Hashes are keyed,
//! since keys are looked up that strangers choose.

use std::hash::{BuildHasher, RandomState};

/// An unused slot.
const FREE: u32 = u32::MAX;
/// Slots of an empty index; a power of two, as they are at any time.
const FIRST_SLOTS: usize = 16;

/// A table of keys.
#[derive(Debug)]
pub(super) struct Index {
    text: String,
    entries: Vec<Entry>,
    slots: Vec<u32>,
    hasher: RandomState,
}

/// Where a key and its value, which follows it, are in the text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    key: u32,
    value: u32,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            entries: Vec::new(),
            slots: vec![FREE; FIRST_SLOTS],
            hasher: RandomState::new(),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(self.slots[self.slot(key)] as usize).map(|entry| self.read(*entry).1)
    }

    /// Adds an entry. False, and nothing changes, where the key is there already or there is no
    /// more room.
    pub(super) fn insert(&mut self, key: &str, value: &str) -> bool {
        let mut slot = self.slot(key);
        let place = |n: usize| u32::try_from(n).ok();
        let (Some(start), Some(key_length), Some(value_length), Some(number), Some(_)) = (
            place(self.text.len()),
            place(key.len()),
            place(value.len()),
            place(self.entries.len()).filter(|number| *number != FREE),
            place(self.text.len() + key.len() + value.len()),
        ) else {
            return false;
        };
        if self.slots[slot] != FREE {
            return false;
        }
        if (self.entries.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
            slot = self.slot(key);
        }
        self.slots[slot] = number;
        self.text.push_str(key);
        self.text.push_str(value);
        self.entries.push(Entry { start, key: key_length, value: value_length });
        true
    }

    /// Keys and values, in the order in which they came.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| self.read(*entry))
    }

    /// Gives back what growing has left over.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The slot of a key, or the free one where it belongs. There always is a free one.
    fn slot(&self, key: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        while let Some(entry) = self.entries.get(self.slots[slot] as usize) {
            if self.read(*entry).0 == key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Where the search for a key begins.
    fn home(&self, key: &str) -> usize {
        // The low bits are all that is wanted.
        #[allow(clippy::cast_possible_truncation)]
        let hash = self.hasher.hash_one(key) as usize;
        hash & (self.slots.len() - 1)
    }

    fn read(&self, entry: Entry) -> (&str, &str) {
        let start = entry.start as usize;
        let middle = start + entry.key as usize;
        (&self.text[start..middle], &self.text[middle..middle + entry.value as usize])
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; self.slots.len() * 2];
        for (entry, number) in self.entries.iter().zip(0..) {
            let mask = self.slots.len() - 1;
            let mut slot = self.home(self.read(*entry).0);
            while self.slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_keys_are_found_and_no_others() {
        let mut index = Index::new();
        for n in 0..100_000 {
            assert!(index.insert(&format!("key{n}"), &format!("value{n}")));
        }
        index.shrink();
        assert_eq!(index.len(), 100_000);
        for n in (0..100_000).step_by(7) {
            assert_eq!(index.get(&format!("key{n}")), Some(format!("value{n}").as_str()));
        }
        assert_eq!(index.get("key100000"), None);
        assert_eq!(index.get(""), None);
    }

    #[test]
    fn the_first_of_two_stays() {
        let mut index = Index::new();
        assert!(index.insert("a", "1"));
        assert!(!index.insert("a", "2"));
        assert_eq!(index.get("a"), Some("1"));
        assert_eq!(index.len(), 1);
    }
}
