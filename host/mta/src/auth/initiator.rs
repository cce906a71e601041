//! The client's side of AUTH, towards a server that relays for us, without I/O: PLAIN, LOGIN,
//! SCRAM-SHA-256 (RFC 7677), XOAUTH2.
//!
//! Invariant: by SCRAM a login is only good once the server has proved that it knows the password,
//! too ([`Initiator::is_done`]).

use facteur_smtp::Secret;

use super::scram_client as scram;

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// The password isn't said (RFC 7677).
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// As PLAIN, in two steps.
    Login,
    /// With an access token in place of the password, as Google and Microsoft have it.
    Xoauth2,
}

impl Mechanism {
    /// Every one, what is chosen first at the front.
    pub const ALL: [Self; 4] = [Self::ScramSha256, Self::Plain, Self::Login, Self::Xoauth2];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

/// Why a login is given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// It says what doesn't belong there.
    #[error("the server says what doesn't belong there")]
    OutOfTurn,
    /// Its part of SCRAM is wrong.
    #[error("{0}")]
    Scram(#[from] scram::ServerFault),
}

/// One login.
pub struct Initiator {
    mechanism: Mechanism,
    user: String,
    password: Secret,
    state: State,
}

enum State {
    Begin,
    /// LOGIN has the password to say.
    Password,
    Scram(scram::Client),
    /// SCRAM waits for the server's proof.
    Proof(scram::Proof),
    /// Whatever is asked now is answered by nothing.
    Done,
}

impl Initiator {
    /// A login to come.
    pub fn new(mechanism: Mechanism, user: &str, password: &Secret) -> Self {
        let (user, password) = (user.to_owned(), password.clone());
        Self { mechanism, user, password, state: State::Begin }
    }

    /// How.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What it begins with, if it does.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn initial(&mut self) -> Result<Option<Secret>, getrandom::Error> {
        let (user, password) = (self.user.as_bytes(), self.password.as_bytes());
        let (state, initial) = match self.mechanism {
            Mechanism::Login => return Ok(None),
            Mechanism::Plain => (State::Done, [b"\0", user, b"\0", password].concat()),
            Mechanism::Xoauth2 => {
                (State::Done, [b"user=", user, b"\x01auth=Bearer ", password, b"\x01\x01"].concat())
            }
            Mechanism::ScramSha256 => {
                let (client, first) = scram::Client::begin(&self.user)?;
                (State::Scram(client), first)
            }
        };
        self.state = state;
        Ok(Some(Secret::from(initial)))
    }

    /// What is said to a challenge. SCRAM computes for some milliseconds: never on the event loop.
    ///
    /// # Errors
    /// The login is given up.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Secret, GivenUp> {
        let password = self.password.as_bytes();
        let (state, answer) = match std::mem::replace(&mut self.state, State::Done) {
            State::Begin => (State::Password, self.user.clone().into_bytes()),
            State::Password => (State::Done, password.to_vec()),
            State::Scram(client) => {
                let (proof, answer) = client.answer(challenge, password)?;
                (State::Proof(proof), answer)
            }
            State::Proof(proof) => {
                proof.verify(challenge)?;
                (State::Done, Vec::new())
            }
            // XOAUTH2 tells its error so, and wants nothing for it; nothing else asks more.
            State::Done if self.mechanism == Mechanism::Xoauth2 => (State::Done, Vec::new()),
            State::Done => return Err(GivenUp::OutOfTurn),
        };
        self.state = state;
        Ok(Secret::from(answer))
    }

    /// Whether all was said that had to be, so that the server may say yes.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::auth::scram::{First, Keys, Server};

    fn initiator(mechanism: Mechanism) -> Initiator {
        Initiator::new(mechanism, "us=er,", &Secret::from(b"pencil".to_vec()))
    }

    fn text(secret: &Secret) -> String {
        String::from_utf8(secret.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn plain_login_and_xoauth2_say_what_they_have() {
        let mut plain = initiator(Mechanism::Plain);
        assert_eq!(text(&plain.initial().unwrap().unwrap()), "\0us=er,\0pencil");
        assert!(plain.is_done() && plain.answer(b"more?").is_err());
        let mut login = initiator(Mechanism::Login);
        assert_eq!(login.initial(), Ok(None));
        assert_eq!(text(&login.answer(b"Username:").unwrap()), "us=er,");
        assert!(!login.is_done());
        assert_eq!(text(&login.answer(b"Password:").unwrap()), "pencil");
        assert!(login.is_done());
        let mut token = initiator(Mechanism::Xoauth2);
        let said = text(&token.initial().unwrap().unwrap());
        assert_eq!(said, "user=us=er,\x01auth=Bearer pencil\x01\x01");
        assert_eq!(text(&token.answer(b"{\"status\":\"400\"}").unwrap()), "");
    }

    /// A whole exchange with the server's side: whether each takes the other.
    fn scram(password: &[u8], iterations: u32, forge: bool) -> (bool, Result<bool, GivenUp>) {
        let mut client = initiator(Mechanism::ScramSha256);
        let first = client.initial().unwrap().unwrap();
        let first = First::parse(first.as_bytes(), false, None).unwrap();
        assert_eq!(first.name, "us=er,");
        let keys = Keys::derive(password, b"salt", NonZeroU32::new(iterations).unwrap());
        let (server, challenge) = Server::begin(first, keys).unwrap();
        let answer = match client.answer(&challenge) {
            Ok(answer) => answer,
            Err(error) => return (false, Err(error)),
        };
        let Ok(mut proof) = server.finish(answer.as_bytes()) else { return (false, Ok(false)) };
        if forge {
            proof.truncate(4);
        }
        assert!(!client.is_done(), "the server has proved nothing yet");
        let end = client.answer(&proof).map(|end| end.as_bytes().is_empty() && client.is_done());
        (true, end)
    }

    #[test]
    fn by_scram_both_prove_that_they_know_the_password() {
        assert_eq!(scram(b"pencil", 4096, false), (true, Ok(true)));
        assert_eq!(scram(b"crayon", 4096, false), (false, Ok(false)));
        assert!(scram(b"pencil", 4096, true).1.is_err());
        // Too few make a password cheap to find, too many take forever.
        assert!(scram(b"pencil", 100, false).1.is_err());
        assert!(scram(b"pencil", 2_000_000, false).1.is_err());
    }

    #[test]
    fn a_servers_nonsense_is_given_up() {
        for challenge in
            ["", "r=x,s=c2FsdA==,i=4096", "m=x,r=x,s=c2FsdA==,i=4096", "e=other-error", "\u{fffd}"]
        {
            let mut client = initiator(Mechanism::ScramSha256);
            client.initial().unwrap();
            assert!(client.answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }
}
