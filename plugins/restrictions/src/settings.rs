//! The settings, and what is kept of them.

use facteur_plugin::settings::Hook;
use serde::{Deserialize, Serialize};

use crate::restriction::{Key, Restriction, Rule, parse};
use crate::texts::What;

/// As the operator writes them: lists of restrictions as in `main.cf`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Written {
    /// `smtpd_client_restrictions`
    client: List,
    /// `smtpd_helo_restrictions`
    helo: List,
    /// `smtpd_sender_restrictions`
    sender: List,
    /// `smtpd_relay_restrictions`
    relay: List,
    /// `smtpd_recipient_restrictions`
    recipient: List,
    /// `smtpd_data_restrictions`
    data: List,
    /// `smtpd_end_of_data_restrictions`
    end_of_data: List,
    /// `relay_clientcerts`
    relay_clientcerts: Tables,
    /// `smtpd_sender_login_maps`
    sender_logins: Tables,
    /// `smtpd_reject_unlisted_sender`
    reject_unlisted_sender: bool,
}

type List = Vec<String>;
/// Tables by their names; where several have an entry, an earlier key beats an earlier table.
type Tables = Vec<String>;

/// As they are kept.
#[derive(Debug, Serialize, Deserialize, Default)]
pub struct Settings {
    pub client: Vec<Rule>,
    pub helo: Vec<Rule>,
    pub sender: Vec<Rule>,
    pub relay: Vec<Rule>,
    pub recipient: Vec<Rule>,
    pub data: Vec<Rule>,
    pub end_of_data: Vec<Rule>,
    /// `relay` or `recipient` refuses what nobody permits. Only then a permit that isn't about the
    /// client itself may grant relaying: Postfix doesn't even start without such a list.
    pub guarded: bool,
    /// The fingerprints of certificates, or of their keys, whose owners may relay.
    pub relay_clientcerts: Tables,
    /// Which logins own a sender address.
    pub sender_logins: Tables,
    /// `reject_unlisted_sender` stands at the end of `sender`, whatever that permits.
    pub reject_unlisted_sender: bool,
}

impl Settings {
    /// From the host.
    ///
    /// # Errors
    /// A text for the operator that names the setting.
    pub fn read() -> Result<Self, String> {
        Self::check(facteur_plugin::settings::read()?)
    }

    fn check(written: Written) -> Result<Self, String> {
        let list = |setting: &str, texts: List, bare| {
            parse(texts.iter().map(String::as_str), bare)
                .map_err(|why| format!("setting \"{setting}\": {why}"))
        };
        let relay = list("relay", written.relay, Some(Key::Recipient))?;
        let recipient = list("recipient", written.recipient, Some(Key::Recipient))?;
        let settings = Self {
            client: list("client", written.client, Some(Key::Client))?,
            helo: list("helo", written.helo, Some(Key::Helo))?,
            sender: list("sender", written.sender, Some(Key::Sender))?,
            data: list("data", written.data, None)?,
            end_of_data: list("end-of-data", written.end_of_data, None)?,
            guarded: refuses_strangers(&relay) || refuses_strangers(&recipient),
            relay,
            recipient,
            relay_clientcerts: written.relay_clientcerts,
            sender_logins: written.sender_logins,
            reject_unlisted_sender: written.reject_unlisted_sender,
        };
        for (setting, rule) in settings.rules() {
            settings
                .equipped(&rule.restriction)
                .map_err(|why| format!("setting \"{setting}\": {why}"))?;
        }
        Ok(settings)
    }

    /// Whether the tables are named that a restriction asks besides its own.
    ///
    /// # Errors
    /// What to name.
    pub fn equipped(&self, restriction: &Restriction) -> Result<(), String> {
        let (tables, setting) = match restriction {
            Restriction::PermitTlsClientcerts => (&self.relay_clientcerts, "relay-clientcerts"),
            Restriction::SenderLoginMismatch(_) => (&self.sender_logins, "sender-logins"),
            _ => return Ok(()),
        };
        if tables.is_empty() {
            return Err(format!(
                "{} asks the tables of the setting \"{setting}\": name them",
                restriction.name()
            ));
        }
        Ok(())
    }

    /// The tables that aren't a restriction's own, each with the name of its setting.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let lists = [
            ("relay-clientcerts", &self.relay_clientcerts),
            ("sender-logins", &self.sender_logins),
        ];
        lists.into_iter().flat_map(|(setting, list)| list.iter().map(move |it| (setting, &**it)))
    }

    /// The hooks that have nothing to do: no list.
    pub fn idle(&self) -> impl Iterator<Item = Hook> {
        let at_rcpt =
            self.relay.is_empty() && self.recipient.is_empty() && self.waiting().next().is_none();
        let idle = [
            (Hook::OnConnect, self.client.is_empty()),
            (Hook::OnHelo, self.helo.is_empty()),
            (Hook::OnMail, self.sender.is_empty() && !self.reject_unlisted_sender),
            (Hook::OnRcpt, at_rcpt),
            (Hook::OnData, self.data.is_empty()),
            (Hook::OnEndOfData, self.end_of_data.is_empty()),
        ];
        idle.into_iter().filter(|(_, idle)| *idle).map(|(hook, _)| hook)
    }

    /// The lists of earlier stages that wait for RCPT, where Postfix asks all of them: the first
    /// that says something about recipients, and those after it. The others are asked once a
    /// transaction.
    pub fn waiting(&self) -> impl Iterator<Item = (&[Rule], What)> {
        let lists =
            [(&self.client, What::Client), (&self.helo, What::Helo), (&self.sender, What::Sender)];
        let once = |rules: &[Rule]| !rules.iter().any(|rule| rule.restriction.asks_recipient());
        let lists = lists.into_iter().map(|(rules, of)| (&rules[..], of));
        lists.skip_while(move |(rules, _)| once(rules))
    }

    /// Every rule, with the name of its setting.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, &Rule)> {
        let lists = [
            ("client", &self.client),
            ("helo", &self.helo),
            ("sender", &self.sender),
            ("relay", &self.relay),
            ("recipient", &self.recipient),
            ("data", &self.data),
            ("end-of-data", &self.end_of_data),
        ];
        lists.into_iter().flat_map(|(setting, list)| list.iter().map(move |rule| (setting, rule)))
    }
}

/// Whether the list has what Postfix asks for: something that refuses, in force, and not behind a
/// `permit` for everyone.
fn refuses_strangers(rules: &[Rule]) -> bool {
    let reached = rules.iter().take_while(|rule| rule.restriction != Restriction::Permit);
    reached.filter(|rule| !rule.warn).any(|rule| {
        matches!(
            rule.restriction,
            Restriction::RejectUnauthDestination
                | Restriction::DeferUnauthDestination
                | Restriction::Reject
                | Restriction::Defer
                | Restriction::DeferIfPermit
        )
    })
}

/// The settings of a JSON text.
#[cfg(test)]
pub fn of(json: &str) -> Result<Settings, String> {
    Settings::check(facteur_plugin::settings::parse(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stages_with_a_list_are_asked() {
        assert_eq!(of("{}").unwrap().idle().count(), 6);
        let settings = of(r#"{"relay": ["reject"], "end-of-data": ["permit"]}"#).unwrap();
        let idle: Vec<Hook> = settings.idle().collect();
        assert_eq!(idle, [Hook::OnConnect, Hook::OnHelo, Hook::OnMail, Hook::OnData]);
    }

    #[test]
    fn what_is_about_recipients_waits_for_them() {
        let waiting =
            |json: &str| of(json).unwrap().waiting().map(|(_, of)| of).collect::<Vec<_>>();
        assert_eq!(
            waiting(r#"{"client": ["reject"], "recipient": ["reject_unauth_destination"]}"#),
            []
        );
        let json = r#"{"client": ["reject"], "helo": ["check_recipient_access t"]}"#;
        assert_eq!(waiting(json), [What::Helo, What::Sender]);
        assert!(!of(json).unwrap().idle().any(|hook| hook == Hook::OnRcpt));
    }

    #[test]
    fn an_error_names_the_setting() {
        let told = of(r#"{"helo": ["reject_invalid_helo"]}"#).unwrap_err();
        assert!(
            told.starts_with("setting \"helo\": there is no restriction reject_invalid_helo"),
            "{told}"
        );
        assert!(of(r#"{"recipients": []}"#).unwrap_err().contains("recipients"));
    }

    #[test]
    fn a_restriction_that_asks_tables_wants_them_named() {
        for (restriction, setting) in [
            ("permit_tls_clientcerts", "relay-clientcerts"),
            ("reject_sender_login_mismatch", "sender-logins"),
            ("reject_known_sender_login_mismatch", "sender-logins"),
        ] {
            let told = of(&format!(r#"{{"sender": ["{restriction}"]}}"#)).unwrap_err();
            assert_eq!(
                told,
                format!(
                    "setting \"sender\": {restriction} asks the tables of the setting \
                     \"{setting}\": name them"
                )
            );
            let named = format!(r#"{{"sender": ["{restriction}"], "{setting}": ["t"]}}"#);
            assert_eq!(of(&named).unwrap().tables().collect::<Vec<_>>(), [(setting, "t")]);
        }
        of(r#"{"recipient": ["permit_tls_all_clientcerts"]}"#).unwrap();
    }

    #[test]
    fn a_guard_counts_only_where_it_is_in_force() {
        let guarded = |list: &str| of(&format!(r#"{{"recipient": ["{list}"]}}"#)).unwrap().guarded;
        assert!(guarded("permit_mynetworks reject_unauth_destination"));
        assert!(guarded("check_sender_access table:x, reject"));
        assert!(!guarded("permit_mynetworks"));
        assert!(!guarded("permit, reject_unauth_destination"));
        assert!(!guarded("warn_if_reject reject_unauth_destination"));
    }
}
