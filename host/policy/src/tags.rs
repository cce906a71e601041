//! Notes that plugins leave on a session or an envelope.

/// How many notes there may be.
const COUNT_LIMIT: usize = 64;
/// The longest key, in bytes.
const KEY_LIMIT: usize = 64;
/// The longest value, in bytes.
const VALUE_LIMIT: usize = 1024;

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

    /// Sets a note; says which limit it would break.
    pub(crate) fn set(&mut self, key: String, value: String) -> Result<(), &'static str> {
        if key.len() > KEY_LIMIT || value.len() > VALUE_LIMIT {
            return Err("a tag that is too long");
        }
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == key) {
            known.1 = value;
        } else if self.0.len() < COUNT_LIMIT {
            self.0.push((key, value));
        } else {
            return Err("too many tags");
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
