//! Goes through the lists: from rules and what is known to a verdict.
//!
//! As in Postfix, temporary errors and the `defer_if_…` restrictions don't end a list; the first of
//! each kind is kept, and settled with what the list comes to.

mod proven;
mod table;
#[cfg(test)]
mod tests;

use facteur_plugin::{
    Failure, MailAddress, RecipientClass, Reply, Verdict, log, session, transaction,
};

use crate::hostname::{is_address, is_address_literal, is_fqdn, is_hostname, without_final_dot};
use crate::known::{self, Known};
use crate::restriction::{Restriction, Rule};
use crate::settings::Settings;
use crate::subject::Subject;
use crate::texts::{What, refusal, reply, server_error};

/// What a rule or a list came to.
#[derive(Debug, PartialEq, Eq)]
enum Ruling {
    /// Nothing: the next one is asked.
    Dunno,
    Permit(By),
    Refuse(Reply),
    Discard,
}

/// Who is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The client itself: trusted or logged in.
    Client,
    /// Whatever a rule or a table says.
    Rule,
}

/// How a client is called that has no verified name.
const NO_NAME: &str = "unknown";

/// The verdict of a stage before RCPT. Where RCPT follows, some lists wait for it.
pub fn early(settings: &Settings, rules: &[Rule], of: What) -> Verdict {
    if settings.waiting().any(|(_, waiting)| waiting == of) && transaction::exists() {
        return Verdict::NoOpinion;
    }
    stage(settings, Subject::Nobody, rules, of)
}

/// The verdict of a stage that has one list.
pub fn stage(settings: &Settings, about: Subject, rules: &[Rule], of: What) -> Verdict {
    let mut evaluation = Evaluation::new(settings, about);
    match evaluation.stage(rules, of) {
        Ruling::Refuse(reply) => refusal(reply),
        Ruling::Discard => Verdict::Discard,
        // What `defer_if_reject` says ends with its stage (Postfix forgets it before the next one).
        step => match evaluation.defer_if_permit {
            Some(later) if evaluation.defer_if_reject.is_some() => Verdict::Defer(later),
            Some(later) => Verdict::DeferIfPermit(later),
            None if matches!(step, Ruling::Permit(_)) => Verdict::Accept,
            None => Verdict::NoOpinion,
        },
    }
}

/// The verdict about a recipient: what waited for it, then `relay`, then `recipient`. A permit ends
/// its own list only.
pub fn rcpt(settings: &Settings) -> Verdict {
    let about = Subject::Asked;
    let mut evaluation = Evaluation::new(settings, about);
    let mut permitted = false;
    let mut relaying = false;
    for (rules, of) in settings.waiting() {
        match evaluation.stage(rules, of) {
            Ruling::Refuse(reply) => return refusal(reply),
            Ruling::Discard => return Verdict::Discard,
            Ruling::Permit(_) | Ruling::Dunno => {}
        }
        if let (Some(_), Some(later)) =
            (evaluation.defer_if_reject.take(), &evaluation.defer_if_permit)
        {
            return Verdict::Defer(later.clone());
        }
    }
    for rules in [&settings.relay, &settings.recipient] {
        match evaluation.stage(rules, What::Recipient) {
            Ruling::Refuse(reply) => return refusal(reply),
            Ruling::Discard => return Verdict::Discard,
            Ruling::Permit(by) => {
                permitted = true;
                relaying |= by == By::Client || settings.guarded;
            }
            Ruling::Dunno => {}
        }
    }
    let relaying = relaying && (about.class() == RecipientClass::Other || about.routed());
    match (evaluation.defer_if_permit, evaluation.defer_if_reject) {
        // Nothing can follow that isn't "later".
        (Some(later), Some(_)) => Verdict::Defer(later),
        // The verdict can't grant relaying and keep a deferral, but it can say what both together
        // come to.
        (Some(later), None) if relaying => Verdict::Defer(later),
        (Some(later), None) => Verdict::DeferIfPermit(later),
        (None, _) if relaying => Verdict::AllowRelay,
        (None, Some(later)) => Verdict::DeferIfReject(later),
        (None, None) if permitted => Verdict::Accept,
        (None, None) => Verdict::NoOpinion,
    }
}

struct Evaluation<'a> {
    settings: &'a Settings,
    about: Subject,
    /// Whether somebody vouches for the sender has been asked.
    sender_checked: bool,
    defer_if_permit: Option<Reply>,
    defer_if_reject: Option<Reply>,
}

impl<'a> Evaluation<'a> {
    fn new(settings: &'a Settings, about: Subject) -> Self {
        let (defer_if_permit, defer_if_reject) = (None, None);
        Self { settings, about, sender_checked: false, defer_if_permit, defer_if_reject }
    }

    /// A list of the settings, with what goes without saying at its end.
    fn stage(&mut self, rules: &[Rule], of: What) -> Ruling {
        let step = self.list(rules, of, false, 0);
        let unlisted = of == What::Sender
            && self.settings.reject_unlisted_sender
            && !self.sender_checked
            && matches!(step, Ruling::Dunno | Ruling::Permit(_));
        match unlisted.then(|| self.unlisted_sender(false)) {
            None | Some(Ruling::Dunno) => step,
            Some(refused) => refused,
        }
    }

    /// Whether there is an envelope: at MAIL and later, and where nobody is asked early.
    fn in_transaction(&self) -> bool {
        self.about != Subject::Nobody || transaction::exists()
    }

    /// The sender; none is the null sender, or that there is no envelope.
    fn sender(&self) -> Option<MailAddress> {
        if self.in_transaction() { transaction::sender() } else { None }
    }

    /// Whether the client declared SMTPUTF8.
    fn utf8(&self) -> bool {
        self.in_transaction() && transaction::utf8()
    }

    /// `warn`: a refusal is only told to the log.
    fn list(&mut self, rules: &[Rule], of: What, warn: bool, depth: u8) -> Ruling {
        for rule in rules {
            match self.rule(&rule.restriction, of, warn || rule.warn, depth) {
                Ruling::Dunno
                    if self.defer_if_permit.is_some() && self.defer_if_reject.is_some() =>
                {
                    break;
                }
                Ruling::Dunno => {}
                step => return step,
            }
        }
        Ruling::Dunno
    }

    fn rule(&mut self, restriction: &Restriction, of: What, warn: bool, depth: u8) -> Ruling {
        let about = self.about;
        match restriction {
            Restriction::Permit => Ruling::Permit(By::Rule),
            Restriction::Reject => self.reject(of, warn, 554, "5.7.1", "Access denied"),
            Restriction::Defer => self.reject(of, warn, 450, "4.3.2", "Try again later"),
            Restriction::DeferIfPermit => {
                self.defer_if_permit(of, warn, "4.7.0", "defer_if_permit requested")
            }
            Restriction::DeferIfReject => {
                self.defer_if_reject(of, "4.7.0", "defer_if_reject requested")
            }
            Restriction::PermitMynetworks => permit_if(session::trusted(), By::Client),
            Restriction::PermitSaslAuthenticated => {
                permit_if(session::login().is_some(), By::Client)
            }
            Restriction::PermitTlsAllClientcerts if proven::is_verified() => {
                Ruling::Permit(By::Client)
            }
            Restriction::PermitTlsClientcerts | Restriction::PermitTlsAllClientcerts => {
                self.listed_certificate(of, warn)
            }
            Restriction::PermitAuthDestination => {
                permit_if(self.is_ours().unwrap_or(false), By::Rule)
            }
            Restriction::RejectUnauthDestination => self.unauth_destination(warn, 554),
            Restriction::DeferUnauthDestination => self.unauth_destination(warn, 454),
            Restriction::RejectUnknownClientHostname => match client_name() {
                Some(_) => Ruling::Dunno,
                None => self.no_hostname(warn, "4.7.25", "hostname"),
            },
            Restriction::RejectUnknownReverseClientHostname => {
                match session::reverse_name().unwrap_or_default() {
                    Some(_) => Ruling::Dunno,
                    None => self.no_hostname(warn, "4.7.1", "reverse hostname"),
                }
            }
            Restriction::RejectInvalidHeloHostname
            | Restriction::RejectNonFqdnHeloHostname
            | Restriction::RejectUnknownHeloHostname => self.helo(restriction, warn),
            Restriction::RejectNonFqdnSender => {
                self.non_fqdn_address(self.sender(), What::Sender, warn)
            }
            Restriction::RejectNonFqdnRecipient => {
                self.non_fqdn_address(about.address(), What::Recipient, warn)
            }
            Restriction::RejectUnknownSenderDomain => {
                self.unknown_domain(self.sender(), What::Sender, warn)
            }
            Restriction::RejectUnlistedSender => self.unlisted_sender(warn),
            Restriction::SenderLoginMismatch(logins) => self.sender_login(*logins, warn),
            Restriction::RejectUnknownRecipientDomain => match about.class() {
                RecipientClass::Relay | RecipientClass::Other => {
                    self.unknown_domain(about.address(), What::Recipient, warn)
                }
                // What ends here need not be in the DNS.
                _ => Ruling::Dunno,
            },
            Restriction::RejectUnlistedRecipient => {
                self.unlisted(What::Recipient, about.class(), || about.listed(), warn)
            }
            Restriction::RejectUnauthPipelining => {
                if session::fact("smtp.unauth-pipelining").is_none() {
                    return Ruling::Dunno;
                }
                let why = "Improper use of SMTP command pipelining";
                self.reject(of, warn, 503, "5.5.0", why)
            }
            Restriction::RejectMultiRecipientBounce => {
                let one = u32::from(matches!(of, What::Data | What::EndOfData));
                let bounce = self.in_transaction() && self.sender().is_none();
                if bounce && transaction::recipient_count() > one {
                    return self.reject(of, warn, 550, "5.5.3", "Multi-recipient bounce");
                }
                Ruling::Dunno
            }
            Restriction::Access(key, table) => self.access(*key, table, warn, depth),
        }
    }

    /// What a reply is about, as it stands in its angle brackets.
    fn name(&self, of: What) -> String {
        let address = |address: Option<MailAddress>| {
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        match of {
            What::Client => {
                let name = client_name();
                format!("{}[{}]", name.as_deref().unwrap_or(NO_NAME), session::client_address())
            }
            What::Ccert => session::fact("tls.client-subject").unwrap_or_default(),
            What::Sasl => session::login().unwrap_or_default(),
            What::Helo => session::helo().unwrap_or_default(),
            What::Sender => address(self.sender()),
            What::Recipient => address(self.about.address()),
            What::Data => "DATA".to_owned(),
            What::EndOfData => "END-OF-MESSAGE".to_owned(),
        }
    }

    fn worded(&self, of: What, code: u16, status: &str, why: &str) -> Reply {
        reply(code, status, format!("<{}>: {} rejected: {why}", self.name(of), of.class()))
    }

    fn reject(&mut self, of: What, warn: bool, code: u16, status: &str, why: &str) -> Ruling {
        let reply = self.worded(of, code, status, why);
        self.refuse(reply, warn)
    }

    fn refuse(&mut self, reply: Reply, warn: bool) -> Ruling {
        if warn {
            let status = reply.status.as_deref().unwrap_or_default();
            log::warn(format!("reject_warning: {} {status} {}", reply.code, reply.text));
            return Ruling::Dunno;
        }
        match self.defer_if_reject.take() {
            Some(later) if reply.code >= 500 => Ruling::Refuse(later),
            kept => {
                self.defer_if_reject = kept;
                Ruling::Refuse(reply)
            }
        }
    }

    fn defer_if_permit(&mut self, of: What, warn: bool, status: &str, why: &str) -> Ruling {
        let reply = self.worded(of, 450, status, why);
        if warn {
            return self.refuse(reply, warn);
        }
        self.defer_if_permit.get_or_insert(reply);
        Ruling::Dunno
    }

    /// It refuses nothing by itself, so that there is nothing to turn into a warning.
    fn defer_if_reject(&mut self, of: What, status: &str, why: &str) -> Ruling {
        if self.defer_if_reject.is_none() {
            self.defer_if_reject = Some(self.worded(of, 450, status, why));
        }
        Ruling::Dunno
    }

    /// Whether the recipient is one that everyone may send to. None: there is no recipient.
    fn is_ours(&self) -> Option<bool> {
        self.about.address()?;
        Some(self.about.class() != RecipientClass::Other && !self.about.routed())
    }

    fn unauth_destination(&mut self, warn: bool, code: u16) -> Ruling {
        if self.is_ours().unwrap_or(true) {
            return Ruling::Dunno;
        }
        let denied = format!("<{}>: Relay access denied", self.name(What::Recipient));
        self.refuse(reply(code, "5.7.1", denied), warn)
    }

    fn no_hostname(&mut self, warn: bool, status: &str, what: &str) -> Ruling {
        let text = format!(
            "Client host rejected: cannot find your {what}, [{}]",
            session::client_address()
        );
        self.refuse(reply(450, status, text), warn)
    }

    fn helo(&mut self, restriction: &Restriction, warn: bool) -> Ruling {
        let Some(helo) = session::helo() else { return Ruling::Dunno };
        let of = What::Helo;
        if helo.starts_with('[') {
            if is_address_literal(&helo) {
                return Ruling::Dunno;
            }
            return self.reject(of, warn, 501, "5.5.2", "invalid ip address");
        }
        let name = without_final_dot(&helo);
        match restriction {
            Restriction::RejectInvalidHeloHostname => {
                if is_hostname(name, false) || is_address(name) {
                    return Ruling::Dunno;
                }
                self.reject(of, warn, 501, "5.5.2", "Invalid name")
            }
            Restriction::RejectNonFqdnHeloHostname => {
                if is_fqdn(name, self.utf8()) {
                    return Ruling::Dunno;
                }
                self.reject(of, warn, 504, "5.5.2", "need fully-qualified hostname")
            }
            // Nothing that isn't a host name is asked for; a final dot makes it none.
            _ if !is_hostname(&helo, self.utf8()) => {
                self.reject(of, warn, 450, "4.7.1", "Host not found")
            }
            _ => match known::host(&helo) {
                Known::Yes | Known::NullMx => Ruling::Dunno,
                Known::No => self.reject(of, warn, 450, "4.7.1", "Host not found"),
                Known::Later => self.defer_if_permit(of, warn, "4.7.1", "Host not found"),
                Known::NotAsked(why) => misconfigured(&why),
            },
        }
    }

    fn non_fqdn_address(&mut self, address: Option<MailAddress>, of: What, warn: bool) -> Ruling {
        let Some(address) = address else { return Ruling::Dunno };
        let literal = address.domain.starts_with('[') && address.domain.ends_with(']');
        if literal || is_fqdn(without_final_dot(&address.domain), true) {
            return Ruling::Dunno;
        }
        self.reject(of, warn, 504, "5.5.2", "need fully-qualified address")
    }

    fn unknown_domain(&mut self, address: Option<MailAddress>, of: What, warn: bool) -> Ruling {
        let Some(MailAddress { domain, .. }) = address else { return Ruling::Dunno };
        if domain.starts_with('[') && domain.ends_with(']') {
            return Ruling::Dunno;
        }
        let class =
            if of == What::Sender { transaction::sender_class() } else { Some(self.about.class()) };
        if let Some(
            RecipientClass::Local | RecipientClass::VirtualAlias | RecipientClass::VirtualMailbox,
        ) = class
        {
            // Ours, so it is known.
            return Ruling::Dunno;
        }
        let (status, null_mx) = if of == What::Sender {
            ("4.1.8", (550, "5.7.27"))
        } else {
            ("4.1.2", (556, "5.1.10"))
        };
        match known::mail_domain(&domain) {
            Known::Yes => Ruling::Dunno,
            Known::No => self.reject(of, warn, 450, status, "Domain not found"),
            Known::Later => self.defer_if_permit(of, warn, status, "Domain not found"),
            Known::NullMx => {
                let why = format!("Domain {domain} does not accept mail (nullMX)");
                self.reject(of, warn, null_mx.0, null_mx.1, &why)
            }
            Known::NotAsked(why) => misconfigured(&why),
        }
    }

    fn unlisted_sender(&mut self, warn: bool) -> Ruling {
        if self.sender().is_none() {
            return Ruling::Dunno;
        }
        self.sender_checked |= !warn;
        let class = transaction::sender_class().unwrap_or(RecipientClass::Other);
        self.unlisted(What::Sender, class, transaction::sender_listed, warn)
    }

    fn unlisted(
        &mut self,
        of: What,
        class: RecipientClass,
        listed: impl FnOnce() -> Result<bool, Failure>,
        warn: bool,
    ) -> Ruling {
        let table = match class {
            RecipientClass::Local => "local recipient",
            RecipientClass::VirtualAlias => "virtual alias",
            RecipientClass::VirtualMailbox => "virtual mailbox",
            RecipientClass::Relay => "relay recipient",
            RecipientClass::Other => return Ruling::Dunno,
        };
        let status = match (of, class) {
            (What::Sender, RecipientClass::VirtualAlias) => "5.1.7",
            (What::Sender, _) => "5.1.0",
            _ => "5.1.1",
        };
        match listed() {
            Ok(true) => Ruling::Dunno,
            Ok(false) => {
                self.reject(of, warn, 550, status, &format!("User unknown in {table} table"))
            }
            Err(failure) => self.lookup_failure(of, &failure.reason),
        }
    }

    /// Nobody can say now: never turned into a warning.
    fn lookup_failure(&self, of: What, why: &str) -> Ruling {
        let name = self.name(of);
        log::warn(format!("<{name}>: {}: {why}", of.class()));
        Ruling::Refuse(reply(451, "4.3.0", format!("<{name}>: Temporary lookup failure")))
    }
}

/// The client's verified name; none if it has none, or if the DNS can't say now.
fn client_name() -> Option<String> {
    session::client_name().unwrap_or_default()
}

/// The operator's settings or tables are at fault: told to the log, and never turned into a
/// warning.
fn misconfigured(why: &str) -> Ruling {
    log::warn(why);
    Ruling::Refuse(server_error())
}

fn permit_if(yes: bool, by: By) -> Ruling {
    if yes { Ruling::Permit(by) } else { Ruling::Dunno }
}
