//! The built-in plugins that keep junk out, by the real program: greylist, dnsbl, rate-limit.

use std::path::PathBuf;

use facteur_tests::{Client, Dns, Facteur, Machine, Reply, machine, run_facteur};

const SERVER: &str = "192.0.2.1:25";
const STRANGER: &str = "203.0.113.25";
const NEIGHBOUR: &str = "203.0.113.77";
const OTHER: &str = "198.51.100.25";
const TRUSTED: &str = "192.0.2.2";
const ADDRESSES: [&str; 5] = ["192.0.2.1", STRANGER, NEIGHBOUR, OTHER, TRUSTED];

/// A server with this plugin before the usual restrictions.
fn configuration(machine: &Machine, plugin: &str, settings: &str, grants: &str) -> PathBuf {
    let (settings, sections) = settings.split_once("---\n").unwrap_or((settings, ""));
    machine.write(
        "/etc/facteur/facteur.toml",
        &format!(
            r#"
hostname = "mx.example.net"
[[listen]]
address = "{SERVER}"
[domains]
local = ["example.net"]
[networks]
trusted = ["{TRUSTED}/32"]
[dns]
servers = ["127.0.0.1"]
[mailboxes]
users = "table:users"
owner = "louen"
[tables.users]
inline = {{ louen = "", admin = "" }}
[counters.kept]
durable = true
{sections}
[[plugin]]
name = "{plugin}"
component = "builtin:{plugin}"
[plugin.settings]
{settings}
[plugin.grants]
{grants}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["reject_unauth_destination"]
"#
        ),
    )
}

/// What a client hears at RCPT, in a session of its own.
fn asked(client: &str, sender: &str, recipient: &str) -> Reply {
    let mut client = Client::connect(client, SERVER);
    client.expect("EHLO mail.sender.test", 250);
    client.expect(&format!("MAIL FROM:<{sender}>"), 250);
    client.send(&format!("RCPT TO:<{recipient}>"))
}

fn reload(machine: &Machine, facteur: &Facteur, plugin: &str, settings: &str, grants: &str) {
    configuration(machine, plugin, settings, grants);
    facteur.run(&["reload"]).success();
}

#[test]
fn a_stranger_is_let_in_who_comes_back() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let exempt = "---\n[tables.clients]\ninline = { \"198.51.100\" = \"\" }\n\
         [tables.recipients]\ninline = { \"admin@\" = \"\" }\n";
        let settings = |more: &str| {
            format!(
                "store = \"kept\"\nexempt-clients = [\"clients\"]\nexempt-recipients = \
                 [\"recipients\"]\n{more}\n{exempt}"
            )
        };
        let grants = "counters = [\"kept\"]\nlookup = [\"clients\", \"recipients\"]";
        let mut facteur = Facteur::start(
            machine,
            &configuration(machine, "greylist", &settings("delay = \"1h\""), grants),
        );
        let told = "450 4.2.0 <louen@example.net>: Recipient address rejected: Greylisted, please \
         try again in 3600 seconds";
        assert_eq!(asked(STRANGER, "a@sender.test", "louen@example.net"), told);
        let again = asked(STRANGER, "a@sender.test", "louen@example.net");
        assert!(again.code == 450 && again.text.contains("Greylisted"), "{again}");
        // Those who needn't wait, and those whom others refuse.
        for (client, recipient, code) in [
            (TRUSTED, "louen@example.net", 250),
            (OTHER, "louen@example.net", 250),
            (STRANGER, "admin@example.net", 250),
            (STRANGER, "nobody@example.net", 550),
            (STRANGER, "louen@elsewhere.test", 554),
        ] {
            let heard = asked(client, "a@sender.test", recipient);
            assert_eq!(heard.code, code, "{client} to {recipient}: {heard}");
        }
        // It has waited for long enough when the operator says so; its neighbour counts as the
        // same.
        reload(machine, &facteur, "greylist", &settings("delay = \"1ms\""), grants);
        assert_eq!(asked(NEIGHBOUR, "a@sender.test", "louen@example.net").code, 250);
        assert_eq!(asked(STRANGER, "b@sender.test", "louen@example.net").code, 450);
        // What it knows outlives a restart.
        facteur.stop();
        facteur.restart();
        assert_eq!(asked(STRANGER, "a@sender.test", "louen@example.net").code, 250);
        // One success is enough for a network here.
        reload(machine, &facteur, "greylist", &settings("delay = \"1ms\"\nauto-allow = 1"), grants);
        assert_eq!(asked(STRANGER, "c@sender.test", "louen@example.net").code, 250);
    });
}

#[test]
fn a_listed_client_is_refused_with_the_reason() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let dns = Dns::start(
            "127.0.0.1",
            "25.113.0.203.bl.test A 127.0.0.3\n25.113.0.203.bl.test TXT \"see \
             https://bl.test/203.0.113.25\"\n\
             77.113.0.203.bl.test A 127.0.0.10\n25.113.0.203.good.test A 127.0.0.2\n\
             bad.test.domains.test A 127.0.1.2\n25.100.51.198.broken.test SERVFAIL\n",
        );
        let settings = "client = [\"bl.test=127.0.0.[2..9]\"]\n";
        let facteur =
            Facteur::start(machine, &configuration(machine, "dnsbl", settings, "dns = true"));
        let ask = |client: &str, sender: &str| asked(client, sender, "louen@example.net");
        let told = "554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using \
         bl.test; see https://bl.test/203.0.113.25";
        assert_eq!(ask(STRANGER, "a@sender.test"), told);
        assert_eq!(ask(NEIGHBOUR, "a@sender.test").code, 250);
        assert_eq!(ask(OTHER, "a@sender.test").code, 250);
        let before = dns.asked().len();
        assert_eq!(ask(TRUSTED, "a@sender.test").code, 250);
        assert!(
            !dns.asked()[before..].iter().any(|name| name.contains("bl.test")),
            "{:?}",
            dns.asked()
        );
        // Others vouch for it, and its sender has a name of its own.
        let settings = "threshold = 2\nclient = [\"bl.test*2\", \"good.test*-1\"]\nsender = \
         [\"domains.test*2\"]\n";
        reload(machine, &facteur, "dnsbl", settings, "dns = true");
        assert_eq!(ask(STRANGER, "a@sender.test").code, 250);
        assert_eq!(
            ask(STRANGER, "a@bad.test"),
            "554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using bl.test; see \
             https://bl.test/203.0.113.25"
        );
        assert_eq!(
            ask(OTHER, "a@bad.test"),
            "554 5.7.1 Service unavailable; Sender address [a@bad.test] blocked using domains.test"
        );
        // What a list that fails means.
        for (failure, code) in [("ignore", 250), ("defer", 450)] {
            let settings = format!("client = [\"broken.test\"]\non-failure = \"{failure}\"\n");
            reload(machine, &facteur, "dnsbl", &settings, "dns = true");
            assert_eq!(ask(OTHER, "a@sender.test").code, code);
            assert_eq!(ask(STRANGER, "a@sender.test").code, 250);
        }
        facteur.wait_for_log(
            "broken.test says nothing about 25.100.51.198.broken.test: server failure",
        );
    });
}

#[test]
fn ipv6_is_looked_up_by_its_nibbles() {
    machine(|machine| {
        machine.addresses(&["2001:db8::1", "2001:db8::25", "2001:db8::26"]);
        let _dns = Dns::start(
            "127.0.0.1",
            "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test A 127.0.0.3\n",
        );
        let config = configuration(machine, "dnsbl", "client = [\"bl.test\"]", "dns = true");
        let text = std::fs::read_to_string(&config).unwrap().replace(SERVER, "[2001:db8::1]:25");
        let _facteur = Facteur::start(machine, &machine.write("/etc/facteur/facteur.toml", &text));
        for (from, code) in [("2001:db8::25", 554), ("2001:db8::26", 250)] {
            let mut client = Client::connect(from, "[2001:db8::1]:25");
            client.ehlo();
            client.expect("MAIL FROM:<a@sender.test>", 250);
            client.expect("RCPT TO:<louen@example.net>", code);
        }
    });
}

#[test]
fn what_is_over_the_limit_waits() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let grants = "counters = [\"kept\"]\nlookup = [\"free\"]";
        let with = |rule: &str| {
            format!(
                "store = \"kept\"\nrules = [{{ limit = 2, per = \"1d\", {rule} }}]\n---\n\
                 [tables.free]\ninline = {{ \"198.51.100.25\" = \"\" }}\n"
            )
        };
        let rule = "key = \"client\", exempt = [\"free\"]";
        let facteur =
            Facteur::start(machine, &configuration(machine, "rate-limit", &with(rule), grants));
        let ask = |client: &str, sender: &str, recipient: &str| asked(client, sender, recipient);
        // A message that is refused counts, and so does one that nobody finished.
        assert_eq!(ask(STRANGER, "a@sender.test", "nobody@example.net").code, 550);
        assert_eq!(ask(STRANGER, "a@sender.test", "louen@example.net").code, 250);
        let told = ask(STRANGER, "b@sender.test", "louen@example.net");
        assert!(
            told.code == 450
                && told.text.starts_with(
                    "4.7.1 <203.0.113.25>: Rate limit exceeded: more than 2 messages in 1d; try \
                     again in 43"
                ),
            "{told}"
        );
        for client in [NEIGHBOUR, OTHER, TRUSTED] {
            for _ in 0..2 {
                assert_eq!(ask(client, "a@sender.test", "louen@example.net").code, 250);
            }
        }
        assert_eq!(ask(NEIGHBOUR, "a@sender.test", "louen@example.net").code, 450);
        for client in [OTHER, TRUSTED] {
            assert_eq!(ask(client, "a@sender.test", "louen@example.net").code, 250);
        }
        // Recipients, of a whole network, trusted or not.
        let rule = "key = \"client-network\", count = \"recipients\", action = \"reject\", \
         exempt-trusted = false";
        reload(machine, &facteur, "rate-limit", &with(rule), grants);
        let mut client = Client::connect(TRUSTED, SERVER);
        client.ehlo();
        client.expect("MAIL FROM:<>", 250);
        client.expect("RCPT TO:<louen@example.net>", 250);
        client.expect("RCPT TO:<admin@example.net>", 250);
        client.expect("RCPT TO:<louen@example.net>", 550);
        // A sender has no limit of its own where there is none.
        reload(machine, &facteur, "rate-limit", &with("key = \"sender-domain\""), grants);
        for _ in 0..3 {
            assert_eq!(ask(STRANGER, "", "louen@example.net").code, 250);
        }
        assert_eq!(ask(STRANGER, "a@one.test", "louen@example.net").code, 250);
        assert_eq!(ask(NEIGHBOUR, "b@One.test", "louen@example.net").code, 250);
        assert_eq!(ask(OTHER, "c@one.test", "louen@example.net").code, 450);
        assert_eq!(ask(OTHER, "c@two.test", "louen@example.net").code, 250);
        reload(machine, &facteur, "rate-limit", &with("key = \"recipient\""), grants);
        for code in [250, 250, 450] {
            assert_eq!(ask(STRANGER, "", "louen@example.net").code, code);
        }
        assert_eq!(ask(STRANGER, "", "admin@example.net").code, 250);
    });
}

#[test]
fn a_missing_grant_is_told_before_the_first_mail() {
    machine(|machine| {
        for (plugin, settings, told) in [
            ("greylist", "store = \"kept\"", "counters = [\"kept\"]"),
            ("greylist", "store = \"gone\"", "counters = [\"gone\"]"),
            ("dnsbl", "client = [\"bl.test\"]", "dns = true"),
            (
                "rate-limit",
                "store = \"kept\"\nrules = [{ key = \"client\", limit = 1, per = \"1h\" }]",
                "counters = ",
            ),
        ] {
            let config = configuration(machine, plugin, settings, "");
            let checked = run_facteur(&config, &["check"]);
            let said = checked.err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(checked.code != 0 && said.contains(told), "{plugin}: {told}: {checked:?}");
        }
    });
}
