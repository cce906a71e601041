//! Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID,
//! NOTIFY and ORCPT (RFC 3461), from and to the wire.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::reply::Reply;
use crate::status;
use crate::xtext;

/// What kind of content is announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// `7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

impl BodyType {
    /// The keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        }
    }
}

/// How much of the message a bounce returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// `FULL`: all.
    Full,
    /// `HDRS`: its headers.
    Headers,
}

impl Ret {
    /// The keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

/// When the sender wants to be told; either never, or at some of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// `NEVER`.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    /// Whether it is `NEVER`.
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }

    /// The same for the members of an alias, whose success isn't told (RFC 3461 section 5.2.7).
    #[must_use]
    pub fn without_success(self) -> Self {
        Self { success: false, ..self }
    }
}

/// The text is no value of NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NOTIFY is NEVER, or SUCCESS, FAILURE and DELAY parted by commas")]
pub struct NotifyError;

impl FromStr for Notify {
    type Err = NotifyError;

    fn from_str(text: &str) -> Result<Self, NotifyError> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in text.split(',') {
            if word.eq_ignore_ascii_case("SUCCESS") {
                notify.success = true;
            } else if word.eq_ignore_ascii_case("FAILURE") {
                notify.failure = true;
            } else if word.eq_ignore_ascii_case("DELAY") {
                notify.delay = true;
            } else {
                return Err(NotifyError);
            }
        }
        Ok(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return formatter.write_str("NEVER");
        }
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        for (number, (_, word)) in words.into_iter().filter(|(wanted, _)| *wanted).enumerate() {
            write!(formatter, "{}{word}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Which parameters a client may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// AUTH: it may log in.
    pub(crate) auth: bool,
    /// RET, ENVID, NOTIFY, ORCPT.
    pub(crate) dsn: bool,
    /// SMTPUTF8.
    pub(crate) smtputf8: bool,
}

impl Allowed {
    /// Those of DSN.
    fn dsn(self) -> Result<(), Reply> {
        let refusal = || Reply::new(501, status::NOT_AUTHORIZED, "DSN support is disabled");
        self.dsn.then_some(()).ok_or_else(refusal)
    }
}

/// The parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Octets that the client means to send.
    pub size: Option<u64>,
    /// The kind of content.
    pub body: BodyType,
    /// Addresses and headers may hold UTF-8.
    pub smtputf8: bool,
    /// How much a bounce returns.
    pub ret: Option<Ret>,
    /// The sender's name for this transaction, decoded.
    pub envid: Option<String>,
}

impl MailParameters {
    /// Parses the words after the path; the error is the reply.
    pub(crate) fn parse(text: &str, allowed: Allowed) -> Result<Self, Reply> {
        let mut parameters = Self::default();
        for word in text.split_ascii_whitespace() {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            match (name.to_ascii_uppercase().as_str(), value) {
                ("SIZE", Some(value)) => {
                    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                        return Err(Reply::new(
                            501,
                            status::INVALID_ARGUMENTS,
                            "Bad message size syntax",
                        ));
                    }
                    // A number of digits alone fails to parse by overflow only.
                    parameters.size = Some(value.parse().map_err(|_| {
                        Reply::new(
                            552,
                            status::TOO_BIG,
                            "Message size exceeds file system imposed limit",
                        )
                    })?);
                }
                ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => {
                    parameters.body = BodyType::EightBitMime;
                }
                ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => {
                    parameters.body = BodyType::SevenBit;
                }
                // Who handed it in first (RFC 4954 section 5): nobody is trusted with that.
                ("AUTH", Some(_)) if allowed.auth => {}
                ("SMTPUTF8", None) if allowed.smtputf8 => parameters.smtputf8 = true,
                ("RET", Some(value)) => {
                    allowed.dsn()?;
                    let ret = [Ret::Full, Ret::Headers]
                        .into_iter()
                        .find(|ret| value.eq_ignore_ascii_case(ret.as_str()));
                    if ret.is_none() || parameters.ret.is_some() {
                        return Err(Reply::new(
                            501,
                            status::INVALID_ARGUMENTS,
                            "Bad RET parameter syntax",
                        ));
                    }
                    parameters.ret = ret;
                }
                ("ENVID", Some(value)) => {
                    allowed.dsn()?;
                    let envid = xtext::decode(value).filter(|envid| !envid.is_empty());
                    if envid.is_none() || parameters.envid.is_some() {
                        return Err(Reply::new(
                            501,
                            status::INVALID_ARGUMENTS,
                            "Bad ENVID parameter syntax",
                        ));
                    }
                    parameters.envid = envid;
                }
                _ => return Err(unsupported(word)),
            }
        }
        Ok(parameters)
    }
}

/// The parameters of RCPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// When to tell the sender; None: not said, which RFC 3461 4.1 reads as failure (and delay, if
    /// one likes).
    pub notify: Option<Notify>,
    /// The original recipient, `rfc822;user@example`, the address decoded.
    pub orcpt: Option<String>,
}

impl RcptParameters {
    /// Parses the words after the path; the error is the reply.
    pub(crate) fn parse(text: &str, allowed: Allowed) -> Result<Self, Reply> {
        let mut parameters = Self::default();
        for word in text.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else { return Err(unsupported(word)) };
            match name.to_ascii_uppercase().as_str() {
                "NOTIFY" => {
                    allowed.dsn()?;
                    let notify = value.parse().ok();
                    if notify.is_none() || parameters.notify.is_some() {
                        return Err(Reply::new(
                            501,
                            status::INVALID_ARGUMENTS,
                            "Error: Bad NOTIFY parameter syntax",
                        ));
                    }
                    parameters.notify = notify;
                }
                "ORCPT" => {
                    allowed.dsn()?;
                    let orcpt = value.split_once(';').filter(|(kind, _)| !kind.is_empty());
                    let orcpt = orcpt.and_then(|(kind, address)| {
                        Some(format!("{kind};{}", xtext::decode(address)?))
                    });
                    if orcpt.is_none() || parameters.orcpt.is_some() {
                        return Err(Reply::new(
                            501,
                            status::INVALID_ARGUMENTS,
                            "Error: Bad ORCPT parameter syntax",
                        ));
                    }
                    parameters.orcpt = orcpt;
                }
                _ => return Err(unsupported(word)),
            }
        }
        Ok(parameters)
    }

    /// Writes ` NOTIFY=… ORCPT=…`.
    pub(crate) fn write_wire(notify: Option<Notify>, orcpt: Option<&str>, output: &mut String) {
        if let Some(notify) = notify {
            // Writing to a String can't fail.
            let _ = write!(output, " NOTIFY={notify}");
        }
        if let Some((kind, address)) = orcpt.and_then(|orcpt| orcpt.split_once(';')) {
            output.push_str(" ORCPT=");
            xtext::encode(kind, output);
            output.push(';');
            xtext::encode(address, output);
        }
    }
}

fn unsupported(word: &str) -> Reply {
    Reply::new(555, status::INVALID_ARGUMENTS, format!("Unsupported option: {word}"))
}
