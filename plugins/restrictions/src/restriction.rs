//! The restrictions by their names in `main.cf`.

use serde::{Deserialize, Serialize};

use crate::texts::What;

/// One restriction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restriction {
    Permit,
    Reject,
    Defer,
    DeferIfPermit,
    DeferIfReject,
    PermitMynetworks,
    PermitSaslAuthenticated,
    PermitTlsClientcerts,
    PermitTlsAllClientcerts,
    PermitAuthDestination,
    RejectUnauthDestination,
    DeferUnauthDestination,
    RejectUnknownClientHostname,
    RejectUnknownReverseClientHostname,
    RejectInvalidHeloHostname,
    RejectNonFqdnHeloHostname,
    RejectUnknownHeloHostname,
    RejectNonFqdnSender,
    RejectUnknownSenderDomain,
    RejectUnlistedSender,
    SenderLoginMismatch(Logins),
    RejectNonFqdnRecipient,
    RejectUnknownRecipientDomain,
    RejectUnlistedRecipient,
    RejectMultiRecipientBounce,
    RejectUnauthPipelining,
    /// `check_…_access` and its table.
    Access(Key, String),
}

/// Whom a `reject_…_sender_login_mismatch` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Logins {
    /// Everybody: who logged in sends as what it owns, and who didn't, as what nobody owns.
    All,
    /// The same, but what nobody owns is everybody's.
    Known,
    /// Those who logged in.
    Authenticated,
    /// Those who didn't.
    Unauthenticated,
}

/// What an access table is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    Client,
    /// The client's certificate, by its fingerprint, then by that of its key.
    Ccert,
    /// The login.
    Sasl,
    Helo,
    Sender,
    Recipient,
}

impl Key {
    /// What a refusal by such a table is about.
    pub fn what(self) -> What {
        match self {
            Self::Client => What::Client,
            Self::Ccert => What::Ccert,
            Self::Sasl => What::Sasl,
            Self::Helo => What::Helo,
            Self::Sender => What::Sender,
            Self::Recipient => What::Recipient,
        }
    }
}

/// A restriction in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `warn_if_reject` stands before it: a refusal is told to the log only.
    pub warn: bool,
    pub restriction: Restriction,
}

/// The names. The first of several for one restriction is its proper one; the others are older, or
/// `facteur`'s own.
const NAMES: &[(&str, Restriction)] = &[
    ("permit", Restriction::Permit),
    ("reject", Restriction::Reject),
    ("defer", Restriction::Defer),
    ("defer_if_permit", Restriction::DeferIfPermit),
    ("defer_if_reject", Restriction::DeferIfReject),
    ("permit_mynetworks", Restriction::PermitMynetworks),
    ("permit_trusted", Restriction::PermitMynetworks),
    ("permit_sasl_authenticated", Restriction::PermitSaslAuthenticated),
    ("permit_tls_clientcerts", Restriction::PermitTlsClientcerts),
    ("permit_tls_all_clientcerts", Restriction::PermitTlsAllClientcerts),
    ("permit_auth_destination", Restriction::PermitAuthDestination),
    ("reject_unauth_destination", Restriction::RejectUnauthDestination),
    ("defer_unauth_destination", Restriction::DeferUnauthDestination),
    ("reject_unknown_client_hostname", Restriction::RejectUnknownClientHostname),
    ("reject_unknown_client", Restriction::RejectUnknownClientHostname),
    ("reject_unknown_reverse_client_hostname", Restriction::RejectUnknownReverseClientHostname),
    ("reject_invalid_helo_hostname", Restriction::RejectInvalidHeloHostname),
    ("reject_invalid_hostname", Restriction::RejectInvalidHeloHostname),
    ("reject_non_fqdn_helo_hostname", Restriction::RejectNonFqdnHeloHostname),
    ("reject_non_fqdn_hostname", Restriction::RejectNonFqdnHeloHostname),
    ("reject_unknown_helo_hostname", Restriction::RejectUnknownHeloHostname),
    ("reject_unknown_hostname", Restriction::RejectUnknownHeloHostname),
    ("reject_non_fqdn_sender", Restriction::RejectNonFqdnSender),
    ("reject_unknown_sender_domain", Restriction::RejectUnknownSenderDomain),
    ("reject_unknown_address", Restriction::RejectUnknownSenderDomain),
    ("reject_unlisted_sender", Restriction::RejectUnlistedSender),
    ("reject_sender_login_mismatch", Restriction::SenderLoginMismatch(Logins::All)),
    ("reject_known_sender_login_mismatch", Restriction::SenderLoginMismatch(Logins::Known)),
    (
        "reject_authenticated_sender_login_mismatch",
        Restriction::SenderLoginMismatch(Logins::Authenticated),
    ),
    (
        "reject_unauthenticated_sender_login_mismatch",
        Restriction::SenderLoginMismatch(Logins::Unauthenticated),
    ),
    ("reject_non_fqdn_recipient", Restriction::RejectNonFqdnRecipient),
    ("reject_unknown_recipient_domain", Restriction::RejectUnknownRecipientDomain),
    ("reject_unlisted_recipient", Restriction::RejectUnlistedRecipient),
    ("check_recipient_maps", Restriction::RejectUnlistedRecipient),
    ("reject_multi_recipient_bounce", Restriction::RejectMultiRecipientBounce),
    ("reject_unauth_pipelining", Restriction::RejectUnauthPipelining),
];

const TABLES: &[(&str, Key)] = &[
    ("check_client_access", Key::Client),
    ("check_ccert_access", Key::Ccert),
    ("check_sasl_access", Key::Sasl),
    ("check_helo_access", Key::Helo),
    ("check_sender_access", Key::Sender),
    ("check_recipient_access", Key::Recipient),
];

const WARN_IF_REJECT: &str = "warn_if_reject";

/// What a table's name may begin with.
const TABLE: &str = "table:";

impl Restriction {
    /// Its name.
    pub fn name(&self) -> &'static str {
        if let Self::Access(key, _) = self {
            return TABLES.iter().find(|(_, its)| its == key).map_or("", |(name, _)| name);
        }
        NAMES.iter().find(|(_, its)| its == self).map_or("", |(name, _)| name)
    }

    /// The table that it asks.
    pub fn table(&self) -> Option<&str> {
        if let Self::Access(_, table) = self { Some(table) } else { None }
    }

    /// Whether what it says depends on the recipient.
    pub fn asks_recipient(&self) -> bool {
        matches!(
            self,
            Self::PermitAuthDestination
                | Self::RejectUnauthDestination
                | Self::DeferUnauthDestination
                | Self::RejectNonFqdnRecipient
                | Self::RejectUnknownRecipientDomain
                | Self::RejectUnlistedRecipient
                | Self::RejectMultiRecipientBounce
                | Self::Access(Key::Recipient, _)
        )
    }

    /// Whether it needs the grant `dns`. A client's name comes with the session.
    pub fn asks_dns(&self) -> bool {
        matches!(
            self,
            Self::RejectUnknownHeloHostname
                | Self::RejectUnknownSenderDomain
                | Self::RejectUnknownRecipientDomain
        )
    }
}

/// Reads a list as `main.cf` has it: names and tables, parted by white space and commas. `bare` is
/// what a table alone is asked about.
///
/// # Errors
/// What is wrong, naming the restriction, and what to do.
pub fn parse<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    bare: Option<Key>,
) -> Result<Vec<Rule>, String> {
    let words = texts.into_iter().flat_map(|text| text.split([',', ' ', '\t', '\r', '\n']));
    let mut words = words.filter(|word| !word.is_empty());
    let mut rules = Vec::new();
    let mut warn = false;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(WARN_IF_REJECT) {
            warn = true;
            continue;
        }
        let restriction = if let Some((name, key)) =
            TABLES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))
        {
            let table = words
                .next()
                .ok_or_else(|| format!("{name} needs a table: write \"{name} table:NAME\""))?;
            Restriction::Access(*key, table_name(table)?)
        } else if word.contains(':') {
            let key = bare.ok_or_else(|| {
                format!("write check_client_access (or another check_…_access) before {word}")
            })?;
            Restriction::Access(key, table_name(word)?)
        } else {
            let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            known.map(|(_, restriction)| restriction.clone()).ok_or_else(|| unknown(word))?
        };
        rules.push(Rule { warn: std::mem::take(&mut warn), restriction });
    }
    if warn {
        return Err(format!("{WARN_IF_REJECT} needs a restriction after it"));
    }
    Ok(rules)
}

fn table_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix(TABLE).unwrap_or(text);
    if name.is_empty() || name.contains([':', '/']) {
        return Err(format!(
            "{text} is not a table's name: describe the file as [tables.NAME] and write table:NAME"
        ));
    }
    Ok(name.to_owned())
}

fn unknown(word: &str) -> String {
    if UNSUPPORTED.contains(&word) {
        return format!(
            "the restriction {word} is not supported; remove it, or write a plugin that does it"
        );
    }
    let all = NAMES.iter().map(|(name, _)| *name).chain(TABLES.iter().map(|(name, _)| *name));
    let nearest = all
        .map(|name| (strsim::levenshtein(name, word), name))
        .min()
        .filter(|(far, _)| *far * 3 <= word.len());
    match nearest {
        Some((_, name)) => format!("there is no restriction {word}; did you mean {name}?"),
        None => format!("there is no restriction {word}"),
    }
}

/// Postfix's others: they are right names, so that the operator is told it's us.
const UNSUPPORTED: &[&str] = &[
    "check_client_a_access",
    "check_client_mx_access",
    "check_client_ns_access",
    "check_etrn_access",
    "check_helo_a_access",
    "check_helo_mx_access",
    "check_helo_ns_access",
    "check_policy_service",
    "check_recipient_a_access",
    "check_recipient_mx_access",
    "check_recipient_ns_access",
    "check_relay_domains",
    "check_reverse_client_hostname_access",
    "check_reverse_client_hostname_a_access",
    "check_reverse_client_hostname_mx_access",
    "check_reverse_client_hostname_ns_access",
    "check_sender_a_access",
    "check_sender_mx_access",
    "check_sender_ns_access",
    "permit_dnswl_client",
    "permit_inet_interfaces",
    "permit_mx_backup",
    "permit_naked_ip_address",
    "permit_rhswl_client",
    "reject_maps_rbl",
    "reject_plaintext_session",
    "reject_rbl",
    "reject_rbl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_recipient",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "reject_unverified_recipient",
    "reject_unverified_sender",
    "sleep",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(warn: bool, restriction: Restriction) -> Rule {
        Rule { warn, restriction }
    }

    #[test]
    fn a_list_is_read_as_in_main_cf() {
        let list = [
            "permit_mynetworks, warn_if_reject  reject_unknown_client",
            "check_sender_access",
            "table:x,REJECT",
        ];
        assert_eq!(
            parse(list, None).unwrap(),
            [
                rule(false, Restriction::PermitMynetworks),
                rule(true, Restriction::RejectUnknownClientHostname),
                rule(false, Restriction::Access(Key::Sender, "x".into())),
                rule(false, Restriction::Reject),
            ]
        );
        assert_eq!(
            parse(["table:x", "check_helo_access y"], Some(Key::Recipient)).unwrap(),
            [
                rule(false, Restriction::Access(Key::Recipient, "x".into())),
                rule(false, Restriction::Access(Key::Helo, "y".into())),
            ]
        );
        assert_eq!(parse([], None).unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |text| parse([text], None).unwrap_err();
        assert_eq!(
            told("permit_mynetwork"),
            "there is no restriction permit_mynetwork; did you mean permit_mynetworks?"
        );
        assert_eq!(told("xyzzy"), "there is no restriction xyzzy");
        assert!(
            told("reject_rbl_client zen.example")
                .starts_with("the restriction reject_rbl_client is not supported")
        );
        assert!(told("check_client_access").contains("table:NAME"));
        assert!(told("check_client_access hash:/etc/postfix/x").contains("[tables.NAME]"));
        assert!(told("table:x").contains("check_client_access"));
        assert!(told("warn_if_reject").contains("needs a restriction"));
    }

    #[test]
    fn each_has_its_proper_name() {
        for (name, restriction) in NAMES {
            let proper = restriction.name();
            assert_eq!(parse([proper], None).unwrap(), parse([*name], None).unwrap());
            assert!(!UNSUPPORTED.contains(name));
        }
        assert_eq!(Restriction::Access(Key::Helo, String::new()).name(), "check_helo_access");
        assert_eq!(Restriction::PermitMynetworks.name(), "permit_mynetworks");
    }
}
