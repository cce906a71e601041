//! What commands print. Whoever reads it may go away in the middle (`queue list | head -1`): then
//! there is nobody left to print for, and the command ends, without a panic and without a word.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether who read it has gone.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Prints this, as it is.
///
/// # Errors
/// It can't be written; where nobody reads it, [`is_unread`] says so.
pub fn text(what: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{what}").and_then(|()| out.flush()).inspect_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            UNREAD.store(true, Ordering::Relaxed);
        }
    })
}

/// Prints a line.
///
/// # Errors
/// As [`text`].
pub fn line(what: impl Display) -> io::Result<()> {
    text(format_args!("{what}\n"))
}

/// Tells the person at the terminal something beside the output.
pub fn note(what: impl Display) {
    // There is no place left to say that it can't be said.
    let _ = writeln!(io::stderr(), "{what}");
}

/// Whether what was printed had no reader any more.
pub fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}
