//! From an address to its next hop.

use facteur_plugin::{Address, Answer, Failure, RecipientClass, Route, Scope, domain, lookup};

use crate::entry::Entry;
use crate::next_hop::NextHops;
use crate::settings::Settings;

/// What the tables and the relay host say about this address.
///
/// # Errors
/// A table can't be asked, or what it says can't be followed: the recipient waits, and the reason
/// names the entry.
pub fn answer(
    settings: &Settings,
    address: &Address,
    class: RecipientClass,
) -> Result<Answer, Failure> {
    if class == RecipientClass::VirtualAlias {
        // The class is the domain's.
        return Ok(Answer::NoOpinion(Scope::Domain));
    }
    // A table may hold an entry for any other address of the domain, so that only the operator can
    // vouch for the whole of it.
    let scope = if settings.domains_only { Scope::Domain } else { Scope::Recipient };
    let keys = if settings.tables.is_empty() { Vec::new() } else { keys(settings, address) };
    let found = lookup::find_in(&settings.tables, &keys)
        .map_err(|error| Failure::from(error).during("transport tables"))?;
    let entry = match &found {
        None => Entry::Default,
        Some(found) => Entry::parse(&found.value).map_err(|why| {
            let key = keys.get(found.key as usize).map_or("", String::as_str);
            Failure::transient(format!("transport table, entry for \"{key}\": {why}"))
        })?,
    };
    let mailbox = matches!(class, RecipientClass::Local | RecipientClass::VirtualMailbox);
    Ok(match entry {
        Entry::Default if mailbox => Answer::NoOpinion(scope),
        Entry::Default => match &settings.relayhost {
            Some(relay) => smtp(Some(relay.clone()), scope),
            // Said by the table: no later plugin is asked. Otherwise there is nothing to say.
            None if found.is_some() => smtp(None, scope),
            None => Answer::NoOpinion(scope),
        },
        Entry::To(_) if mailbox => to("maildir", scope),
        Entry::To(hop) => smtp(Some(hop), scope),
        Entry::Smtp(hop) => smtp(hop, scope),
        Entry::Maildir => to("maildir", scope),
        Entry::Discard => to("discard", scope),
        Entry::Error(reply) => Answer::Error((reply, scope)),
    })
}

/// transport(5): the address, without its extension, the domain, its parents with a leading dot,
/// the wildcard.
fn keys(settings: &Settings, address: &Address) -> Vec<String> {
    let mut keys = Vec::with_capacity(8);
    if !settings.domains_only {
        keys.push(address.to_string());
        if let Some(user) = lookup::user(&address.local) {
            keys.push(format!("{user}@{}", address.domain));
        }
    }
    keys.push(address.domain.clone());
    keys.extend(domain::parents(&address.domain).map(|parent| format!(".{parent}")));
    keys.push("*".to_owned());
    keys
}

fn smtp(hop: Option<NextHops>, scope: Scope) -> Answer {
    let (host, port, no_mx) = hop.map_or((None, None, false), NextHops::into_route);
    Answer::Route(Route {
        transport: "smtp".to_owned(),
        host,
        port,
        no_mx,
        tls: None,
        source: None,
        scope,
    })
}

fn to(transport: &str, scope: Scope) -> Answer {
    let transport = transport.to_owned();
    Answer::Route(Route {
        transport,
        host: None,
        port: None,
        no_mx: false,
        tls: None,
        source: None,
        scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_plugin::testing::Host;

    fn host(table: &[(&str, &str)]) -> Host {
        Host::new().delimiter('+').table("transport", table)
    }

    fn ask(
        settings: &Settings,
        table: &[(&str, &str)],
        address: (&str, &str),
        class: RecipientClass,
    ) -> Answer {
        let address = Address::new(address.0, address.1);
        host(table).run(|| answer(settings, &address, class)).unwrap()
    }

    fn site() -> (Settings, Vec<(&'static str, &'static str)>) {
        let table = vec![
            ("via.ecp.fr", "smtp:[zen.via.ecp.fr]"),
            ("student.ecp.fr", "smtp:student-mx.ecp.fr:25"),
            ("lepi.org", "smtp:[mail.lepi.org]:2525"),
            ("gala-centrale.com", "error:5.1.2 this domain has moved"),
            (".below.org", "relay:"),
            ("user@below.org", "discard:"),
            ("here.org", ":"),
        ];
        (Settings { tables: vec!["transport".into()], ..Settings::default() }, table)
    }

    fn route(answer: Answer) -> (String, Option<String>, Option<u16>, bool) {
        match answer {
            Answer::Route(route) => (route.transport, route.host, route.port, route.no_mx),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_site_is_routed() {
        let (settings, table) = site();
        let ask = |local, domain, class| ask(&settings, &table, (local, domain), class);
        let relay = RecipientClass::Relay;
        assert_eq!(
            route(ask("x", "via.ecp.fr", relay)),
            ("smtp".into(), Some("zen.via.ecp.fr".into()), None, true)
        );
        assert_eq!(ask("x", "sub.via.ecp.fr", relay), Answer::NoOpinion(Scope::Recipient));
        assert_eq!(
            route(ask("x", "student.ecp.fr", RecipientClass::Other)),
            ("smtp".into(), Some("student-mx.ecp.fr".into()), Some(25), false)
        );
        let Answer::Error((reply, _)) = ask("x", "gala-centrale.com", relay) else { panic!() };
        assert_eq!(reply, Reply::new(550, "5.1.2", "this domain has moved"));
    }

    use facteur_plugin::Reply;

    #[test]
    fn keys_go_from_the_address_to_the_wildcard() {
        let address = Address::new("user+foo", "a.b.org");
        let keys = host(&[]).run(|| keys(&Settings::default(), &address));
        assert_eq!(keys, ["user+foo@a.b.org", "user@a.b.org", "a.b.org", ".b.org", ".org", "*"]);
    }

    #[test]
    fn subdomains_need_the_dot() {
        let (settings, table) = site();
        let ask = |local, domain| ask(&settings, &table, (local, domain), RecipientClass::Other);
        assert_eq!(ask("x", "below.org"), Answer::NoOpinion(Scope::Recipient));
        assert_eq!(route(ask("x", "a.below.org")), ("smtp".into(), None, None, false));
        assert_eq!(route(ask("user", "below.org")).0, "discard");
    }

    #[test]
    fn the_relay_host_is_for_other_servers_only() {
        let relayhost = NextHops::parse("[relay.org]:587").ok();
        let (settings, table) = site();
        let settings = Settings { relayhost, ..settings };
        let ask = |domain, class| ask(&settings, &table, ("x", domain), class);
        let expected = ("smtp".to_owned(), Some("relay.org".to_owned()), Some(587), true);
        assert_eq!(route(ask("elsewhere.org", RecipientClass::Other)), expected);
        assert_eq!(route(ask("elsewhere.org", RecipientClass::Relay)), expected);
        assert_eq!(route(ask("here.org", RecipientClass::Other)), expected);
        assert_eq!(
            ask("elsewhere.org", RecipientClass::Local),
            Answer::NoOpinion(Scope::Recipient)
        );
        assert_eq!(
            ask("elsewhere.org", RecipientClass::VirtualMailbox),
            Answer::NoOpinion(Scope::Recipient)
        );
        assert_eq!(ask("lepi.org", RecipientClass::VirtualAlias), Answer::NoOpinion(Scope::Domain));
        // A transport without a next hop goes to the domain itself.
        assert_eq!(route(ask("a.below.org", RecipientClass::Other)).1, None);
    }

    #[test]
    fn an_entry_that_cant_be_followed_makes_it_wait() {
        let settings = Settings { tables: vec!["transport".into()], ..Settings::default() };
        let address = Address::new("x", "y.org");
        let ask = || answer(&settings, &address, RecipientClass::Other);
        let failure = host(&[("y.org", "uucp:there")]).run(ask).unwrap_err();
        assert!(
            failure.transient
                && failure.reason.contains("\"y.org\"")
                && failure.reason.contains("\"uucp\"")
        );
    }
}
