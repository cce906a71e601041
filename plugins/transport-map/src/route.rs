//! From an address to its next hop.

use facteur_plugin::lookup::{self, Manner};
use facteur_plugin::{During, Failure, NextHop, RecipientClass, Refusal, Route, Scope, recipient};

use crate::entry::Entry;
use crate::next_hop::NextHops;
use crate::settings::Settings;

/// What the tables and the relay host say about the recipient.
///
/// # Errors
/// A table can't be asked, or what it says can't be followed: the recipient waits, and the reason
/// names the entry.
pub fn next_hop(settings: &Settings) -> Result<NextHop, Failure> {
    let class = recipient::address_class();
    if class == RecipientClass::VirtualAlias {
        // The class is the domain's.
        return Ok(NextHop::NoOpinion(Scope::Domain));
    }
    // A table may hold an entry for any other address of the domain, so that only the operator can
    // vouch for the whole of it.
    let (scope, keys) = if settings.domains_only {
        (Scope::Domain, Manner::Domain)
    } else {
        (Scope::Recipient, Manner::Transport)
    };
    let found = lookup::find_recipient(&settings.tables, keys).during("transport tables")?;
    let entry = match &found {
        None => Entry::Default,
        Some(found) => Entry::parse(&found.value).map_err(|why| {
            let address = recipient::address();
            Failure::transient(format!("transport tables, entry for {address}: {why}"))
        })?,
    };
    let mailbox = matches!(class, RecipientClass::Local | RecipientClass::VirtualMailbox);
    Ok(match entry {
        Entry::Default if mailbox => NextHop::NoOpinion(scope),
        Entry::Default => match &settings.relayhost {
            Some(relay) => smtp(Some(relay.clone()), scope),
            // Said by the table: no later plugin is asked. Otherwise there is nothing to say.
            None if found.is_some() => smtp(None, scope),
            None => NextHop::NoOpinion(scope),
        },
        Entry::To(_) if mailbox => to("maildir", scope),
        Entry::To(hop) => smtp(Some(hop), scope),
        Entry::Smtp(hop) => smtp(hop, scope),
        Entry::Maildir => to("maildir", scope),
        Entry::Discard => to("discard", scope),
        Entry::Error(reply) => NextHop::Fail(Refusal { reply, scope }),
    })
}

fn smtp(hop: Option<NextHops>, scope: Scope) -> NextHop {
    let (host, port, no_mx) = hop.map_or((None, None, false), NextHops::into_route);
    NextHop::Send(Route { host, port, no_mx, ..by("smtp", scope) })
}

fn to(transport: &str, scope: Scope) -> NextHop {
    NextHop::Send(by(transport, scope))
}

/// By this transport, as usual.
fn by(transport: &str, scope: Scope) -> Route {
    Route {
        transport: transport.to_owned(),
        host: None,
        port: None,
        no_mx: false,
        tls: None,
        source: None,
        options: Vec::new(),
        scope,
    }
}

#[cfg(test)]
mod tests {
    use facteur_plugin::Reply;
    use facteur_plugin::testing::Host;

    use super::*;

    fn host(table: &[(&str, &str)]) -> Host {
        Host::new().delimiter('+').table("transport", table)
    }

    fn ask(
        settings: &Settings,
        table: &[(&str, &str)],
        address: (&str, &str),
        class: RecipientClass,
    ) -> NextHop {
        let host = host(table).recipient(&format!("{}@{}", address.0, address.1), class);
        host.run(|| next_hop(settings)).unwrap()
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

    fn route(answer: NextHop) -> (String, Option<String>, Option<u16>, bool) {
        match answer {
            NextHop::Send(route) => (route.transport, route.host, route.port, route.no_mx),
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
        assert_eq!(ask("x", "sub.via.ecp.fr", relay), NextHop::NoOpinion(Scope::Recipient));
        assert_eq!(
            route(ask("x", "student.ecp.fr", RecipientClass::Other)),
            ("smtp".into(), Some("student-mx.ecp.fr".into()), Some(25), false)
        );
        let NextHop::Fail(Refusal { reply, .. }) = ask("x", "gala-centrale.com", relay) else {
            panic!()
        };
        assert_eq!(reply, Reply::new(550, "5.1.2", "this domain has moved"));
    }

    #[test]
    fn subdomains_need_the_dot() {
        let (settings, table) = site();
        let ask = |local, domain| ask(&settings, &table, (local, domain), RecipientClass::Other);
        assert_eq!(ask("x", "below.org"), NextHop::NoOpinion(Scope::Recipient));
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
            NextHop::NoOpinion(Scope::Recipient)
        );
        assert_eq!(
            ask("elsewhere.org", RecipientClass::VirtualMailbox),
            NextHop::NoOpinion(Scope::Recipient)
        );
        assert_eq!(
            ask("lepi.org", RecipientClass::VirtualAlias),
            NextHop::NoOpinion(Scope::Domain)
        );
        // A transport without a next hop goes to the domain itself.
        assert_eq!(route(ask("a.below.org", RecipientClass::Other)).1, None);
    }

    #[test]
    fn an_entry_that_cant_be_followed_makes_it_wait() {
        let settings = Settings { tables: vec!["transport".into()], ..Settings::default() };
        let host = host(&[("y.org", "uucp:there")]).recipient("x@y.org", RecipientClass::Other);
        let failure = host.run(|| next_hop(&settings)).unwrap_err();
        assert!(
            failure.transient
                && failure.reason.contains("x@y.org")
                && failure.reason.contains("\"uucp\"")
        );
    }
}
