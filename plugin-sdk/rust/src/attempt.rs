//! What happened to a recipient: in `on_delivery`.

use crate::Reply;
use crate::host::attempt as host;

/// Which attempt it was, from 1.
pub fn number() -> u32 {
    host::number()
}

/// Who answered, where somebody did: `host[address]:port`.
pub fn host() -> Option<String> {
    host::host()
}

/// What was said, there or by the host: 200 to 299, it was delivered; 400 to 499, not now; 500 to
/// 599, no.
pub fn said() -> Reply {
    host::said()
}

/// When the host means to try again, in milliseconds since 1970; none if it doesn't: it was
/// delivered, it failed, or its time is over.
pub fn next_try() -> Option<u64> {
    host::next_try()
}
