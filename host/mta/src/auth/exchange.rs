//! One exchange: what a client says by a mechanism, until it is known who it is or that it can't
//! be.

use facteur_policy::{Authenticated, Credentials};
use zeroize::Zeroizing;

use super::authenticator::{Authenticator, Source};
use super::connection::Connection;
use super::dovecot::{Answer, Talk};
use super::message::{self, Bearer};
use super::name::login;
use super::scram;
use super::scram::{First, Server};
use super::users::Checked;

/// What a client hears first whose token isn't taken (RFC 7628 section 3.2.2).
const INVALID_TOKEN: &[u8] = br#"{"status":"invalid_token"}"#;

/// Those who judge an exchange, and what it goes through.
#[derive(Clone, Copy)]
pub struct Parties<'a> {
    /// Who knows the users.
    pub authenticator: &'a Authenticator,
    /// The plugins.
    pub policy: &'a facteur_policy::Session,
    /// The connection.
    pub connection: &'a Connection,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is asked this, and answers.
    Challenge(Vec<u8>),
    /// It is over.
    Done(Outcome),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This is who it is.
    Login(String),
    /// It isn't who it says.
    Refused {
        /// For the log.
        reason: String,
        /// What the client hears first, if anything. It answers to that, and then hears that it is
        /// refused.
        challenge: Option<Vec<u8>>,
    },
    /// It can't be told now.
    Later {
        /// For the log.
        reason: String,
    },
}

fn refused(reason: &(impl ToString + ?Sized)) -> Step {
    Step::Done(Outcome::Refused { reason: reason.to_string(), challenge: None })
}

fn later(reason: &(impl ToString + ?Sized)) -> Step {
    Step::Done(Outcome::Later { reason: reason.to_string() })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    Login,
    OauthBearer,
    Xoauth2,
    Scram { plus: bool },
}

/// An exchange under way.
pub struct Exchange {
    state: State,
    /// Who the client says it is, as far as it did.
    pub login: Option<String>,
}

enum State {
    /// The first message of a mechanism is to come.
    First(Kind),
    /// LOGIN: the password is to come.
    Password(String),
    Proof {
        server: Server,
        login: String,
        counts: bool,
    },
    /// The client has yet to say that it heard the server's proof.
    Proved(String),
    Dovecot(Box<Talk>),
    Over,
}

impl Exchange {
    /// Begins one by a mechanism that is offered.
    pub async fn begin(
        parties: Parties<'_>,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> (Self, Step) {
        let mut exchange = Self { state: State::Over, login: None };
        if let Source::Dovecot(dovecot) = &parties.authenticator.source {
            let step = match dovecot.begin(mechanism, initial, parties.connection).await {
                Ok((talk, answer)) => exchange.heard(talk, answer),
                Err(error) => later(&error),
            };
            return (exchange, step);
        }
        let (kind, question): (_, &[u8]) = match mechanism {
            "PLAIN" => (Kind::Plain, b""),
            "LOGIN" => (Kind::Login, b"Username:"),
            "OAUTHBEARER" => (Kind::OauthBearer, b""),
            "XOAUTH2" => (Kind::Xoauth2, b""),
            "SCRAM-SHA-256" => (Kind::Scram { plus: false }, b""),
            "SCRAM-SHA-256-PLUS" => (Kind::Scram { plus: true }, b""),
            _ => return (exchange, refused("invalid authentication mechanism")),
        };
        exchange.state = State::First(kind);
        let step = match initial {
            Some(message) => exchange.answer(parties, message).await,
            None => Step::Challenge(question.to_vec()),
        };
        (exchange, step)
    }

    /// Takes the answer to a challenge.
    pub async fn answer(&mut self, parties: Parties<'_>, message: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::First(Kind::Plain) => match message::plain(message) {
                Some(plain) => {
                    self.password(parties, plain.authorization, plain.name, plain.password).await
                }
                None => refused("malformed message"),
            },
            State::First(Kind::Login) => match message::text(message) {
                Some(name) => {
                    self.login = login(&name);
                    self.state = State::Password(name);
                    Step::Challenge(b"Password:".to_vec())
                }
                None => refused("malformed message"),
            },
            State::Password(name) => match message::password_of(message) {
                Some(password) => self.password(parties, String::new(), name, password).await,
                None => refused("malformed message"),
            },
            State::First(Kind::OauthBearer) => {
                self.bearer(parties, message::oauth_bearer(message)).await
            }
            State::First(Kind::Xoauth2) => self.bearer(parties, message::xoauth2(message)).await,
            State::First(Kind::Scram { plus }) => self.scram(parties, message, plus).await,
            State::Proof { server, login, counts } => match server.finish(message) {
                Ok(proof) if counts => {
                    self.state = State::Proved(login);
                    Step::Challenge(proof)
                }
                Ok(_) => refused(&scram::Refusal::Proof),
                Err(refusal) => refused(&refusal),
            },
            State::Proved(login) if message.is_empty() => Step::Done(Outcome::Login(login)),
            State::Proved(_) => refused("malformed message"),
            State::Dovecot(mut talk) => match talk.answer(message).await {
                Ok(answer) => self.heard(*talk, answer),
                Err(error) => later(&error),
            },
            State::Over => refused("the exchange is over"),
        }
    }

    /// A name and a password came.
    async fn password(
        &mut self,
        parties: Parties<'_>,
        authorization: String,
        name: String,
        password: Zeroizing<String>,
    ) -> Step {
        let Some(who) = login(&name) else { return refused("no name") };
        self.login = Some(who.clone());
        if let Source::Users(users) = &parties.authenticator.source {
            let room = &parties.authenticator.room;
            match users.verify(room, &who, password.clone()).await {
                Ok(Checked::Right) if acts_for(&authorization, &who) => {
                    return Step::Done(Outcome::Login(who));
                }
                Ok(Checked::Right) => return refused("it may not act for another"),
                Ok(Checked::Unknown) if parties.policy.authenticates() => {}
                Ok(Checked::Wrong | Checked::Unknown) => return refused("wrong name or password"),
                Err(unclear) => return later(&unclear),
            }
        }
        let password = password.to_string();
        let asked = Credentials::Plain { authorization, authentication: name, password };
        self.asked(parties.policy.authenticate(asked).await)
    }

    async fn bearer(&mut self, parties: Parties<'_>, bearer: Option<Bearer>) -> Step {
        let Some(Bearer { authorization, token }) = bearer else {
            return refused("malformed message");
        };
        self.login = login(&authorization);
        let asked = Credentials::Bearer { authorization, token: token.to_string() };
        match parties.policy.authenticate(asked).await {
            Authenticated::Refused => Step::Done(Outcome::Refused {
                reason: "invalid token".to_owned(),
                challenge: Some(INVALID_TOKEN.to_vec()),
            }),
            other => self.asked(other),
        }
    }

    /// What the plugins say.
    fn asked(&mut self, authenticated: Authenticated) -> Step {
        match authenticated {
            Authenticated::Login(login) => {
                self.login = Some(login.clone());
                Step::Done(Outcome::Login(login))
            }
            Authenticated::Refused => refused("nobody knows it"),
            Authenticated::Later => later("a plugin can't tell now"),
        }
    }

    async fn scram(&mut self, parties: Parties<'_>, message: &[u8], plus: bool) -> Step {
        let Source::Users(users) = &parties.authenticator.source else {
            return refused("invalid authentication mechanism");
        };
        let first = match First::parse(message, plus, parties.connection.binding.octets()) {
            Ok(first) => first,
            Err(refusal) => return refused(&refusal),
        };
        let Some(who) = login(&first.name) else { return refused("no name") };
        self.login = Some(who.clone());
        let (keys, known) = match users.keys(&who).await {
            Ok(keys) => keys,
            Err(unclear) => return later(&unclear),
        };
        // It is told at the end, as a wrong password is.
        let counts = known && acts_for(&first.authorization, &who);
        match Server::begin(first, keys) {
            Ok((server, challenge)) => {
                self.state = State::Proof { server, login: who, counts };
                Step::Challenge(challenge)
            }
            Err(error) => later(&error),
        }
    }

    /// What Dovecot says.
    fn heard(&mut self, talk: Talk, answer: Answer) -> Step {
        match answer {
            Answer::Continue(challenge) => {
                self.state = State::Dovecot(Box::new(talk));
                Step::Challenge(challenge)
            }
            Answer::Ok { user } => match login(&user) {
                Some(login) => {
                    self.login = Some(login.clone());
                    Step::Done(Outcome::Login(login))
                }
                None => later("Dovecot names a user that can be none"),
            },
            Answer::Fail { user, reason } => {
                self.login = user.as_deref().and_then(login);
                refused(&reason)
            }
            Answer::Later { user, reason } => {
                self.login = user.as_deref().and_then(login);
                later(&reason)
            }
        }
    }
}

/// Whether somebody may act for whom it says: for itself alone.
fn acts_for(authorization: &str, who: &str) -> bool {
    authorization.is_empty() || login(authorization).is_some_and(|other| other == who)
}
