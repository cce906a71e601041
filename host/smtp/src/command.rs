//! The parser of commands: one line to one command, or to the reply that it deserves.
//!
//! Checks what can be told from the line and the transaction so far, in Postfix's order (sequence
//! before syntax) and words. As Postfix with `strict_rfc821_envelopes = no`, addresses may stand
//! without brackets and after spaces. Counts no errors and changes nothing: that is the server's.

use crate::auth::{self, AuthOffer, Secret};
use crate::config::{ServerConfig, StartTls};
use crate::domain;
use crate::keyword::Keyword;
use crate::neuter::neuter;
use crate::parameters::{Allowed, MailParameters, RcptParameters};
use crate::path::Path;
use crate::reply::Reply;
use crate::status;
use crate::transaction::Transaction;
use crate::xclient::{self, XClient, XForward};

/// How a session stands to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// STARTTLS, as the listener has it.
    Plain(StartTls),
    /// It is under TLS.
    Active,
}

impl Tls {
    /// Whether STARTTLS may be said, and is named in the answer to EHLO.
    pub(crate) fn is_offered(self) -> bool {
        matches!(self, Self::Plain(StartTls::Offered | StartTls::Required))
    }
}

/// A command that may be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Hello { esmtp: bool, name: String },
    Mail { sender: Option<Path>, parameters: MailParameters },
    Rcpt { path: Path, parameters: RcptParameters },
    Data,
    Bdat { size: u64, last: bool },
    Reset,
    Noop,
    Vrfy(String),
    Help,
    StartTls,
    XClient(XClient),
    XForward(XForward),
    Auth { mechanism: String, initial: Option<Secret> },
    Quit,
}

/// How far the client is with logging in.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// What is offered.
    pub(crate) offer: AuthOffer,
    /// It said who it is (HELO or EHLO).
    pub(crate) greeted: bool,
    /// By EHLO.
    pub(crate) esmtp: bool,
    /// It has logged in.
    pub(crate) done: bool,
}

/// What clients that aren't mail clients say (`smtpd_forbidden_commands`); no command of theirs
/// begins with anything but a letter either.
const FORBIDDEN: [&str; 3] = ["CONNECT", "GET", "POST"];
/// The commands that must wait for TLS where it is required, as Postfix's.
const NEED_TLS: [&str; 9] =
    ["MAIL", "RCPT", "DATA", "BDAT", "RSET", "VRFY", "HELP", "AUTH", "XFORWARD"];
/// The commands after which a client waits for the answer, though it may pipeline (RFC 2920 section
/// 3.1). QUIT is one too, but ends the session.
const ANSWERED_FIRST: [&str; 5] = ["EHLO", "HELO", "DATA", "VRFY", "NOOP"];

/// Parses a line without its end.
pub(crate) fn parse(
    line: &[u8],
    config: &ServerConfig,
    transaction: &Transaction,
    tls: Tls,
    login: &Login,
) -> Result<Command, Reply> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, status::SYNTAX, "Error: bad UTF-8 syntax"));
    };
    let line = line.trim_ascii_start();
    let end = line.find(|character: char| character.is_ascii_whitespace()).unwrap_or(line.len());
    let (verb, arguments) = (&line[..end], line[end..].trim_ascii());
    if verb.is_empty() {
        return Err(Reply::new(500, status::SYNTAX, "Error: bad syntax"));
    }
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    if tls == Tls::Plain(StartTls::Required) && NEED_TLS.into_iter().any(is) {
        Err(Reply::must_start_tls())
    } else if is("MAIL") {
        mail(arguments, config, transaction, login)
    } else if is("RCPT") {
        rcpt(arguments, config, transaction)
    } else if is("DATA") {
        data(arguments, transaction)
    } else if is("BDAT") {
        bdat(arguments, config)
    } else if is("EHLO") {
        hello(arguments, true)
    } else if is("HELO") {
        hello(arguments, false)
    } else if is("RSET") {
        if arguments.is_empty() {
            Ok(Command::Reset)
        } else {
            Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: RSET"))
        }
    } else if is("NOOP") {
        Ok(Command::Noop)
    } else if is("VRFY") {
        vrfy(arguments, config)
    } else if is("QUIT") {
        Ok(Command::Quit)
    } else if is("AUTH") {
        auth(arguments, config, transaction, login)
    } else if is("STARTTLS") {
        start_tls(arguments, config, tls)
    } else if is("HELP") {
        Ok(Command::Help)
    } else if is("XCLIENT") {
        let parse = || XClient::parse(arguments).map(Command::XClient);
        spoken_for(arguments, transaction, config.xclient, parse)
    } else if is("XFORWARD") {
        let parse = || xclient::forwarded(arguments).map(Command::XForward);
        spoken_for(arguments, transaction, config.xforward, parse)
    } else if FORBIDDEN.into_iter().any(is)
        || !verb.starts_with(|first: char| first.is_ascii_alphabetic())
        || looks_like_header(verb)
    {
        Err(Reply::new(221, status::SECURITY, "Error: I can break rules, too. Goodbye."))
    } else {
        Err(Reply::new(500, status::SYNTAX, "Error: command not recognized"))
    }
}

/// Whether a client waits for the answer to this line: always, unless it said EHLO.
pub(crate) fn is_answered_first(line: &[u8], login: &Login) -> bool {
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let is = |name: &str| line[..end].eq_ignore_ascii_case(name.as_bytes());
    !login.esmtp || ANSWERED_FIRST.into_iter().any(is)
}

/// `Subject:` and its like: a message sent without waiting for 354, or a proxy abused.
fn looks_like_header(verb: &str) -> bool {
    verb.find(':').is_some_and(|colon| colon > 0)
}

fn hello(name: &str, esmtp: bool) -> Result<Command, Reply> {
    if name.is_empty() {
        return Err(Reply::plain(
            501,
            if esmtp { "Syntax: EHLO hostname" } else { "Syntax: HELO hostname" },
        ));
    }
    // No UTF-8 here, whatever comes later (RFC 6531 3.7.2): A-labels, where it is a name.
    let name = match domain::normal(name) {
        Some(domain) if !name.is_ascii() => domain::ascii(&domain).into_owned(),
        _ => name.to_owned(),
    };
    Ok(Command::Hello { esmtp, name: neuter(&name) })
}

/// XCLIENT or XFORWARD, in Postfix's order.
fn spoken_for(
    arguments: &str,
    transaction: &Transaction,
    allowed: bool,
    parse: impl FnOnce() -> Result<Command, Reply>,
) -> Result<Command, Reply> {
    if transaction.open {
        let text = "Error: MAIL transaction in progress";
        return Err(Reply::new(503, status::INVALID_COMMAND, text));
    }
    if !allowed && !arguments.is_empty() {
        return Err(Reply::new(550, status::SECURITY, "Error: insufficient authorization"));
    }
    parse()
}

fn start_tls(arguments: &str, config: &ServerConfig, tls: Tls) -> Result<Command, Reply> {
    let invalid = |code, text| Err(Reply::new(code, status::INVALID_COMMAND, text));
    if !arguments.is_empty() {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: STARTTLS"));
    }
    match tls {
        Tls::Active => invalid(554, "Error: TLS already active"),
        Tls::Plain(offered)
            if offered == StartTls::No || config.discarded.holds(Keyword::StartTls) =>
        {
            invalid(502, "Error: command not implemented")
        }
        Tls::Plain(_) => Ok(Command::StartTls),
    }
}

/// In Postfix's order, but that a client must have greeted, and that a mechanism which isn't
/// offered is said to be none (RFC 4954 section 4).
fn auth(
    arguments: &str,
    config: &ServerConfig,
    transaction: &Transaction,
    login: &Login,
) -> Result<Command, Reply> {
    let out_of_turn = |text| Err(Reply::new(503, status::INVALID_COMMAND, text));
    let mechanisms = match &login.offer {
        AuthOffer::No => return out_of_turn("Error: authentication not enabled"),
        _ if config.discarded.holds(Keyword::Auth) => {
            return out_of_turn("Error: authentication not enabled");
        }
        _ if !login.greeted => return Err(Reply::must_greet()),
        _ if transaction.open => return out_of_turn("Error: MAIL transaction in progress"),
        AuthOffer::UnderTls => {
            let text = "Encryption required for requested authentication mechanism";
            return Err(Reply::new(538, status::NEEDS_ENCRYPTION, text));
        }
        AuthOffer::Later => return Err(Reply::auth_later()),
        AuthOffer::Mechanisms(_) if login.done => {
            return out_of_turn("Error: already authenticated");
        }
        AuthOffer::Mechanisms(mechanisms) => mechanisms,
    };
    let (mechanism, initial) = auth::command(arguments)?;
    if !mechanisms.contains(&mechanism) {
        let text = "Error: authentication mechanism not supported";
        return Err(Reply::new(504, status::INVALID_ARGUMENTS, text));
    }
    Ok(Command::Auth { mechanism, initial })
}

fn mail(
    arguments: &str,
    config: &ServerConfig,
    transaction: &Transaction,
    login: &Login,
) -> Result<Command, Reply> {
    let size_limit = config.limits.message_size;
    if config.helo_required && !login.greeted {
        return Err(Reply::must_greet());
    }
    let syntax = || Reply::new(501, status::BAD_SENDER_SYNTAX, "Bad sender address syntax");
    if transaction.open {
        return Err(Reply::new(503, status::INVALID_COMMAND, "Error: nested MAIL command"));
    }
    let Some(path) = after_keyword(arguments, "FROM:") else {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: MAIL FROM:<address>"));
    };
    let (path, rest) = path_word(path).ok_or_else(syntax)?;
    let sender: Option<Path> =
        if path.is_empty() { None } else { Some(path.parse().map_err(|_| syntax())?) };
    let auth = matches!(login.offer, AuthOffer::Mechanisms(_));
    let parameters = MailParameters::parse(rest, Allowed { auth, ..allowed(config) })?;
    if size_limit > 0 && parameters.size.is_some_and(|size| size > size_limit) {
        return Err(Reply::new(552, status::TOO_BIG, "Message size exceeds fixed limit"));
    }
    check_utf8(path, parameters.smtputf8)?;
    Ok(Command::Mail { sender, parameters })
}

/// Which parameters the client may use, where it can't log in.
fn allowed(config: &ServerConfig) -> Allowed {
    let may = |keyword| !config.discarded.holds(keyword);
    Allowed { auth: false, dsn: may(Keyword::Dsn), smtputf8: may(Keyword::SmtpUtf8) }
}

fn rcpt(
    arguments: &str,
    config: &ServerConfig,
    transaction: &Transaction,
) -> Result<Command, Reply> {
    let syntax = Reply::bad_recipient_syntax;
    if !transaction.open {
        return Err(Reply::new(503, status::INVALID_COMMAND, "Error: need MAIL command"));
    }
    if transaction.in_chunks() {
        return Err(Reply::new(503, status::INVALID_COMMAND, "Error: RCPT after BDAT"));
    }
    let Some(path) = after_keyword(arguments, "TO:") else {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: RCPT TO:<address>"));
    };
    let (path, rest) = path_word(path).ok_or_else(syntax)?;
    let parsed = path.parse().map_err(|_| syntax())?;
    let parameters = RcptParameters::parse(rest, allowed(config))?;
    check_utf8(path, transaction.utf8)?;
    Ok(Command::Rcpt { path: parsed, parameters })
}

fn data(arguments: &str, transaction: &Transaction) -> Result<Command, Reply> {
    transaction.check_recipients()?;
    if transaction.in_chunks() {
        return Err(Reply::new(503, status::INVALID_COMMAND, "Error: DATA after BDAT"));
    }
    if !arguments.is_empty() {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: DATA"));
    }
    Ok(Command::Data)
}

/// The error ends the session: who knows how many octets that are no commands come now?
fn bdat(arguments: &str, config: &ServerConfig) -> Result<Command, Reply> {
    if config.discarded.holds(Keyword::Chunking) {
        let text = "Error: command not implemented";
        return Err(Reply::new(521, status::INVALID_COMMAND, text));
    }
    let mut words = arguments.split_ascii_whitespace();
    let size = words.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let last = words.next();
    match (size.and_then(|size| size.parse().ok()), words.next()) {
        (Some(size), None) if last.is_none_or(|last| last.eq_ignore_ascii_case("LAST")) => {
            Ok(Command::Bdat { size, last: last.is_some() })
        }
        _ => Err(Reply::new(521, status::INVALID_ARGUMENTS, "Syntax: BDAT count [LAST]")),
    }
}

fn vrfy(arguments: &str, config: &ServerConfig) -> Result<Command, Reply> {
    if config.disable_vrfy {
        return Err(Reply::new(502, status::INVALID_COMMAND, "VRFY command is disabled"));
    }
    let utf8 = allowed(config).smtputf8;
    let (address, utf8) = match arguments.rsplit_once(' ') {
        Some((address, word)) if utf8 && word.eq_ignore_ascii_case("SMTPUTF8") => {
            (address.trim_ascii_end(), true)
        }
        _ => (arguments, false),
    };
    if address.is_empty() {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: VRFY address [SMTPUTF8]"));
    }
    let path =
        path_word(address).filter(|(path, rest)| rest.is_empty() && path.parse::<Path>().is_ok());
    let (path, _) = path.ok_or_else(Reply::bad_recipient_syntax)?;
    check_utf8(path, utf8)?;
    Ok(Command::Vrfy(address.to_owned()))
}

/// What follows `FROM:` or `TO:` and any spaces; None where the keyword or all after it is missing.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (found, rest) = arguments.split_at_checked(keyword.len())?;
    let rest = rest.trim_ascii_start();
    (found.eq_ignore_ascii_case(keyword) && !rest.is_empty()).then_some(rest)
}

/// The path, without its brackets, and what follows it; None where a bracket or quote isn't closed,
/// or something hangs on the bracket.
fn path_word(text: &str) -> Option<(&str, &str)> {
    let bracketed = text.starts_with('<');
    let mut quoted = false;
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'>' if bracketed => {
                let rest = &text[position + 1..];
                let parted =
                    rest.is_empty() || rest.starts_with(|next: char| next.is_ascii_whitespace());
                return parted.then(|| (text[1..position].trim_ascii(), rest));
            }
            _ if byte.is_ascii_whitespace() && !bracketed => return Some(text.split_at(position)),
            _ => {}
        }
    }
    (!bracketed && !quoted).then_some((text, ""))
}

/// RFC 6531 3.5: an address with UTF-8 needs a transaction that says so.
fn check_utf8(path: &str, declared: bool) -> Result<(), Reply> {
    if declared || path.is_ascii() {
        Ok(())
    } else {
        Err(Reply::new(553, status::NO_UTF8, "Must declare SMTPUTF8 to send unicode address"))
    }
}
