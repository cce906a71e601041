//! `facteur passwd`: makes the line of a user for the table that `[auth] users` names.
//!
//! The password comes from the terminal, unseen, or from a pipe; never from the command line, which
//! everybody on the machine can read.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::out;
use crate::auth::{Scheme, entry};

/// Bytes of a line of input at most: more than any password has.
const LINE: usize = 4_096;

/// Make the entry of a user who may log in.
#[derive(Debug, Args)]
pub(super) struct Passwd {
    /// How the password is kept. scram-sha-256 lets clients prove that they know it without sending
    /// it, if every user of the table has it.
    #[arg(long, value_enum, default_value = "argon2id")]
    scheme: Scheme,
    /// The login: a name, or an address.
    name: String,
}

/// Reads the password and prints the line.
pub(super) fn make(wanted: &Passwd) -> Result<(), Failure> {
    let Some(login) = crate::auth::login(&wanted.name).filter(|name| !name.contains([' ', '#']))
    else {
        return Err(Failure(format!("facteur: {:?} can't be the name of a login", wanted.name)));
    };
    let password = if io::stdin().is_terminal() {
        let first = asked("Password: ")?;
        if *first != *asked("The same again: ")? {
            return Err(Failure("facteur: these are two passwords".to_owned()));
        }
        first
    } else {
        read()?
    };
    let made = entry(wanted.scheme, &password).map_err(|why| Failure(format!("facteur: {why}")))?;
    Ok(out::line(format_args!("{login} {made}"))?)
}

/// Asks for it at the terminal, which doesn't show it meanwhile.
fn asked(question: &str) -> io::Result<Zeroizing<String>> {
    out::note(question);
    let _unseen = Unseen::begin()?;
    read()
}

/// One line, without its end.
fn read() -> io::Result<Zeroizing<String>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(LINE));
    io::stdin().lock().take(LINE as u64).read_until(b'\n', &mut octets)?;
    let end = octets.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&octets[..end]).map(str::to_owned);
    text.map(Zeroizing::new).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The terminal doesn't show what is typed until this is dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        unseen.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &unseen)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // If it can't be put back there is nobody to tell.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
