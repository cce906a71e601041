//! The names of things in the store: queue ids, message ids, recipient ids and points in time.
//!
//! A recipient's id carries its message's queue id in the upper bits, so the recipients of a
//! message are one range of their table's key: no second index is needed to find them, and new ones
//! are appended at the end.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of a queue id: ten hexadecimal digits, as long as Postfix's short ones.
const QUEUE_ID_BITS: u32 = 40;
/// Bits of a recipient's number within its message.
const RECIPIENT_BITS: u32 = 20;
/// The most recipients one message can have in the store. SMTP and alias limits are far below; this
/// is what the key of a recipient has bits for.
pub const MAX_RECIPIENTS: usize = 1 << RECIPIENT_BITS;

/// The short name of a queued message that people see, unique among the messages in the store.
///
/// Made from the clock (microseconds, modulo 2^40: it comes round after 12 days), so that new
/// messages are appended at one place of the table. Printed as ten upper-case hexadecimal digits
/// (`6FEE36C37B`).
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

impl QueueId {
    /// The queue id with this number, if it fits into 40 bits.
    pub fn new(number: u64) -> Option<Self> {
        (number >> QUEUE_ID_BITS == 0).then_some(Self(number))
    }

    /// The number itself, below 2^40.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id that the clock says now.
    pub(crate) fn from_clock() -> Self {
        Self(now().as_micros() as u64 & Self::MASK)
    }

    /// The id to give after `last`: the clock's, unless the clock has not moved on since, or was
    /// set back by less than an hour, which must not make an old one again.
    pub(crate) fn after(last: Self) -> Self {
        const CLOCK_STEP_MICROSECONDS: u64 = 3_600_000_000;
        let clock = Self::from_clock();
        if last.ahead_of(clock) < CLOCK_STEP_MICROSECONDS { last.next() } else { clock }
    }

    /// The id after this one, going round.
    pub(crate) fn next(self) -> Self {
        Self((self.0 + 1) & Self::MASK)
    }

    /// How far this one is ahead of `other`, going round.
    pub(crate) fn ahead_of(self, other: Self) -> u64 {
        self.0.wrapping_sub(other.0) & Self::MASK
    }

    /// As the database's key, which is signed.
    pub(crate) fn key(self) -> i64 {
        self.0 as i64
    }

    pub(crate) fn from_key(key: i64) -> Option<Self> {
        Self::new(u64::try_from(key).ok()?)
    }

    /// The keys of this message's recipients, first and last.
    pub(crate) fn recipient_keys(self) -> (i64, i64) {
        let first = self.key() << RECIPIENT_BITS;
        (first, first | (MAX_RECIPIENTS as i64 - 1))
    }

    /// The recipient with this number within the message; callers have checked it against
    /// [`MAX_RECIPIENTS`].
    pub fn recipient(self, index: usize) -> RecipientId {
        debug_assert!(index < MAX_RECIPIENTS);
        RecipientId((self.key() << RECIPIENT_BITS) | index as i64)
    }

    const MASK: u64 = (1 << QUEUE_ID_BITS) - 1;
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010X}", self.0)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueId({self})")
    }
}

/// The text is no queue id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no queue id: one is ten hexadecimal digits, as in 6FEE36C37B")]
pub struct ParseIdError(String);

impl FromStr for QueueId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 10 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseIdError(text.to_owned()));
        }
        u64::from_str_radix(text, 16)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| ParseIdError(text.to_owned()))
    }
}

/// What a message is known by everywhere and for ever: 128 bits made at the end of its data.
///
/// 48 bits of clock (milliseconds) come first, so that the store's unique index grows at its end;
/// 80 random bits follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

/// The system gives no random numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoRandomNumbers(getrandom::Error);

impl MessageId {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers to give.
    pub fn random() -> Result<Self, NoRandomNumbers> {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&Timestamp::now().0.to_be_bytes()[2..]);
        getrandom::fill(&mut bytes[6..]).map_err(NoRandomNumbers)?;
        Ok(Self(bytes))
    }

    /// The one with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// One recipient of one message in the store.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientId(i64);

impl RecipientId {
    /// The message whose recipient this is.
    pub fn message(self) -> QueueId {
        QueueId((self.0 >> RECIPIENT_BITS) as u64 & QueueId::MASK)
    }

    pub(crate) fn key(self) -> i64 {
        self.0
    }

    pub(crate) fn from_key(key: i64) -> Self {
        Self(key)
    }
}

/// A point in time: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The clock's time.
    pub fn now() -> Self {
        Self(now().as_millis() as u64)
    }

    pub(crate) fn key(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    pub(crate) fn from_key(key: i64) -> Self {
        Self(u64::try_from(key).unwrap_or(0))
    }
}

/// A clock before 1970 counts as 1970.
fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn queue_ids_print_and_parse() {
        let id = QueueId::new(0x6F_EE36_C37B).unwrap();
        assert_eq!(id.to_string(), "6FEE36C37B");
        assert_eq!("6fee36c37b".parse::<QueueId>().unwrap(), id);
        assert_eq!(QueueId::new(7).unwrap().to_string(), "0000000007");
        for bad in ["", "6FEE36C37", "6FEE36C37B0", "+FEE36C37B", "6FEE36C37G", "é1234567"] {
            assert!(bad.parse::<QueueId>().is_err(), "{bad}");
        }
        assert!(QueueId::new(1 << 40).is_none());
    }

    #[test]
    fn a_recipient_knows_its_message() {
        let last = QueueId::new(QueueId::MASK).unwrap();
        assert_eq!(last.recipient(MAX_RECIPIENTS - 1).message(), last);
        assert_eq!(last.recipient(MAX_RECIPIENTS - 1).key(), last.recipient_keys().1);
        assert_eq!(last.next(), QueueId(0));
        assert_eq!(QueueId(3).ahead_of(last), 4);
    }

    #[test]
    fn message_ids_differ_and_sort_by_time() {
        let one = MessageId::random().unwrap();
        let two = MessageId::random().unwrap();
        assert_ne!(one, two);
        assert!(one.as_bytes()[..6] <= two.as_bytes()[..6]);
    }
}
