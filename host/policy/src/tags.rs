//! Notes that plugins leave on a session or an envelope.

/// How many notes there may be.
const COUNT_LIMIT: usize = 64;
/// The longest key, in bytes.
const KEY_LIMIT: usize = 64;
/// What is kept of a value, in bytes.
const VALUE_LIMIT: usize = 1024;

/// Why a note isn't set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagError {
    /// A key of so many bytes.
    #[error("a key of {0} bytes (1 to {KEY_LIMIT})")]
    Key(usize),
    /// There are as many as may be.
    #[error("{COUNT_LIMIT} notes")]
    Count,
}

/// A few short notes, in the order they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// From what the queue kept.
    pub fn restore(notes: Vec<(String, String)>) -> Self {
        Self(notes)
    }

    /// The note with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets a note.
    pub(crate) fn set(&mut self, key: String, value: &str) -> Result<(), TagError> {
        if !(1..=KEY_LIMIT).contains(&key.len()) {
            return Err(TagError::Key(key.len()));
        }
        let value = value[..value.floor_char_boundary(VALUE_LIMIT)].to_owned();
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == key) {
            known.1 = value;
        } else if self.0.len() < COUNT_LIMIT {
            self.0.push((key, value));
        } else {
            return Err(TagError::Count);
        }
        Ok(())
    }

    /// Takes over the notes with keys that aren't there yet.
    pub(crate) fn join(&mut self, others: &Self) {
        for (key, value) in &others.0 {
            if self.get(key).is_none() {
                self.0.push((key.clone(), value.clone()));
            }
        }
    }

    /// All notes, for the queue to keep.
    pub fn into_inner(self) -> Vec<(String, String)> {
        self.0
    }
}
