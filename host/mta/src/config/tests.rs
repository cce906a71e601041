//! Whole files: what they mean, and what is said about those that are wrong.

mod failing;
mod lent;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use facteur_policy::{Class, Isolation, OnError};

use super::*;
use crate::tables::Tables;

/// The least that a file must say.
const LEAST: &str = "hostname = \"mail.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\n";

fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(Path::new("/etc/facteur/facteur.toml"), text)
}

/// The errors of a file that says the least and this, a line each, without the name of the file.
fn errors(text: &str) -> Vec<String> {
    let errors = parse(&format!("{LEAST}{text}")).expect_err("this should be wrong");
    errors.iter().map(|error| error.one_line().replace("/etc/facteur/facteur.toml:", "")).collect()
}

/// The single error of a file that says the least and this.
fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.into_iter().next().unwrap_or_default()
}

fn trusted(config: &Config, address: &str) -> bool {
    config.networks.contains(address.parse::<IpAddr>().unwrap())
}

#[test]
fn the_defaults_are_postfixs() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.hostname, "mail.example.org");
    assert_eq!(config.domains.origin(), "mail.example.org");
    assert_eq!(config.domains.class("mail.example.org"), Class::Local);
    assert_eq!(config.domains.class("localhost"), Class::Local);
    assert_eq!(config.domains.class("example.org"), Class::Other);
    assert!(
        trusted(&config, "127.8.8.8") && trusted(&config, "::1") && !trusted(&config, "192.0.2.1")
    );
    assert_eq!(config.message_size(), 10_240_000);
    let limits = &config.listen[0].limits;
    assert_eq!((limits.recipients, limits.line, limits.errors), (1_000, 2_048, 20));
    assert_eq!(limits.timeout, Duration::from_mins(5));
    let queue = &config.queue;
    assert_eq!((queue.minimal_backoff.as_secs(), queue.maximal_backoff.as_secs()), (300, 4_000));
    assert_eq!((queue.lifetime.as_secs(), queue.bounce_lifetime.as_secs()), (432_000, 432_000));
    assert_eq!((queue.destination_concurrency, queue.destination_concurrency_limit), (5, 20));
    assert_eq!((queue.recipients_per_delivery, queue.hop_count, queue.active), (50, 50, 20_000));
    assert_eq!(config.smtp.helo, "mail.example.org");
    assert_eq!(config.smtp.timeouts.data_done, Duration::from_mins(10));
    assert_eq!(config.spool.path, Path::new("/var/spool/facteur"));
    assert_eq!(config.admin.socket, Path::new("/var/spool/facteur/admin.sock"));
    assert_eq!(config.policy.cache, Path::new("/var/spool/facteur/compiled"));
    assert_eq!(config.mailboxes.path.of("louen", "x"), Some("/var/mail/louen/".into()));
    assert_eq!((config.log.format, config.log.level), (LogFormat::Text, tracing::Level::INFO));
}

#[test]
fn everything_can_be_said() {
    let config = parse(
        r#"
        hostname = "Mail.EXAMPLE.org"
        [[listen]]
        address = "[::]:587"
        chain = ["mine"]
        bare-newline = "reject"
        limits = { message-size = "1MiB", recipients = 200, line = 1024, errors = 5, connections = 10, timeout = "1m" }
        [domains]
        origin = "Bücher.example"
        local = ["xn--bcher-kva.example"]
        virtual-alias = ["a.example"]
        virtual-mailbox = ["b.example"]
        relay = [".a.example"]
        [mailboxes]
        users = "table:people"
        path = "mail/{domain}/{user}/"
        owner = "vmail"
        [dns]
        servers = ["192.0.2.53", "[2001:db8::53]:5353"]
        timeout = 2
        [spool]
        path = "../spool"
        reserve = "64MiB"
        [networks]
        trusted = []
        [queue]
        minimal-backoff = "1m"
        maximal-backoff = "1h"
        lifetime = "1d"
        bounce-lifetime = "12h"
        destination-concurrency = 1
        destination-concurrency-limit = 2
        recipients-per-delivery = 100
        hop-count = 25
        active = 1000
        [smtp]
        helo = "bücher.example"
        source = ["192.0.2.1", "2001:db8::1"]
        idle-connection = "5s"
        timeouts = { connect = "10s", data-init = 60 }
        [admin]
        socket = "/run/facteur.sock"
        [log]
        format = "json"
        level = "debug"
        [policy]
        cache = "cache"
        sandboxes = 64
        memory = "8MiB"
        call-timeout = "5s"
        call-cpu = "100ms"
        [tables]
        people = { inline = { Louen = "", "x y" = "z" } }
        net = { file = "net.cidr", format = "cidr" }
        [[plugin]]
        name = "mine"
        component = "mine.wasm"
        settings = { list = ["a", 1, 1.5, true], when = 2026-01-01, deep = { x = {} } }
        early = true
        isolation = "shared"
        concurrency = 20
        timeout = "1s"
        memory = "1MiB"
        cpu = "50ms"
        on-error = "reject"
        grants = { dns = true, relay = true, lookup = ["net"], include = ["lists/", "../x/./y"] }
        [[plugin]]
        name = "restrictions"
        component = "builtin:restrictions"
        "#,
    )
    .unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    assert_eq!(config.hostname, "mail.example.org");
    assert_eq!(
        (config.listen[0].name.as_str(), config.listen[0].address.port()),
        ("[::]:587", 587)
    );
    assert_eq!(config.listen[0].chain, ["mine"]);
    assert_eq!(config.message_size(), 1 << 20);
    assert_eq!(config.domains.origin(), "bücher.example");
    assert_eq!(config.domains.class("bücher.example"), Class::Local);
    assert_eq!(config.domains.class("a.example"), Class::VirtualAlias);
    assert_eq!(config.domains.class("sub.a.example"), Class::Relay);
    assert_eq!(config.mailboxes.users, Users::Table("people".into()));
    assert_eq!(
        config.mailboxes.path.of("louen", "b.example"),
        Some("/etc/facteur/mail/b.example/louen/".into())
    );
    assert_eq!(
        config.dns.servers,
        ["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:5353".parse().unwrap()]
    );
    assert_eq!(config.spool.path, Path::new("/etc/spool"));
    assert!(!trusted(&config, "127.0.0.1"));
    assert_eq!(config.smtp.helo, "xn--bcher-kva.example");
    assert_eq!(config.smtp.source_ipv6, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(config.smtp.timeouts.data_init, Duration::from_mins(1));
    assert_eq!(
        config.tables["people"],
        TableSource::Inline(vec![("louen".into(), String::new()), ("x y".into(), "z".into())])
    );
    let net = TableSource::File { path: "/etc/facteur/net.cidr".into(), format: Format::Cidr };
    assert_eq!(config.tables["net"], net);
    let mine = config.plugin("mine").unwrap();
    assert_eq!(mine.component, Component::File("/etc/facteur/mine.wasm".into()));
    let settings: serde_json::Value = serde_json::from_str(&mine.settings).unwrap();
    let expected = serde_json::json!({ "list": ["a", 1, 1.5, true], "when": "2026-01-01", "deep": { "x": {} } });
    assert_eq!(settings, expected);
    assert_eq!(
        (mine.limits.memory, mine.limits.timeout, mine.limits.cpu.as_millis()),
        (1 << 20, Duration::from_secs(1), 50)
    );
    assert_eq!((mine.early, mine.on_error), (true, OnError::Reject));
    assert_eq!((mine.isolation, mine.limits.concurrency), (Isolation::Shared, Some(20)));
    assert_eq!(mine.grants.include, [Path::new("/etc/facteur/lists"), Path::new("/etc/x/y")]);
    let other = config.plugin("restrictions").unwrap();
    assert_eq!((other.limits.memory, other.limits.timeout), (8 << 20, Duration::from_secs(5)));
    assert_eq!((other.settings.as_str(), other.on_error), ("{}", OnError::Defer));
    assert_eq!(other.grants, facteur_policy::Grants::default());
}

#[test]
fn an_error_shows_place_and_mend() {
    let errors =
        parse(&format!("{LEAST}[queue]\nlifetime = \"5 days\"\nhopcount = 50\n")).unwrap_err();
    assert_eq!(
        render(&errors, false),
        "  × `queue.lifetime` can't be \"5 days\"
   ╭─[/etc/facteur/facteur.toml:5:12]
 4 │ [queue]
 5 │ lifetime = \"5 days\"
   ·            ────┬───
   ·                ╰── not valid
 6 │ hopcount = 50
   ╰────
  help: write it like 5d, 1h, 30m, 300s or 500ms

  × unknown key `hopcount` in [queue]
   ╭─[/etc/facteur/facteur.toml:6:1]
 5 │ lifetime = \"5 days\"
 6 │ hopcount = 50
   · ────┬───
   ·     ╰── not known here
   ╰────
  help: did you mean `hop-count`?

"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"
[domain]
[[listen]]
adress = "127.0.0.1:25"
chain = ["restriction", "restrictions", "restrictions"]
[[listen]]
address = "localhost:25"
limits = { recipients = 5, message_size = 1 }
[domains]
relay = ["a.example", 7, "b c"]
local = ["A.example"]
[mailboxes]
users = "table:people"
path = "/var/mail/{usr}/"
owner = "root"
[[plugin]]
name = "restrictions"
component = "builtin:restriction"
isolation = "share"
on-error = "dunno"
[plugin.grants]
deliver-to = ["ticket"]
lookup = ["alias"]
relay = "yes"
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
settings = { x = inf }
[tables.aliases]
file = "aliases"
format = "alias"
[tables.both]
file = "x"
inline = {}
[tables.none]
"#;
    let errors = parse(text).unwrap_err();
    let told: Vec<String> = errors
        .iter()
        .map(|error| error.one_line().replace("/etc/facteur/facteur.toml:", ""))
        .collect();
    let expected = [
        "1:1: `hostname` is missing in the file (add hostname = \"mail.example.org\")",
        "2:2: unknown key `domain` (did you mean `domains`?)",
        "3:1: `address` is missing in [listen] (add address = \"0.0.0.0:25\")",
        "4:1: unknown key `adress` in [listen] (did you mean `address`?)",
        "5:10: there is no plugin \"restriction\" (did you mean \"restrictions\"?)",
        "5:41: the plugin \"restrictions\" is twice in the chain (a chain asks a plugin once: take \
         one of them out)",
        "7:11: `listen.address` can't be \"localhost:25\" (write an IP address and a port, such \
         as \"0.0.0.0:25\" or \"[::]:25\")",
        "8:25: `listen.limits.recipients` is out of bounds (from 100 to 100000)",
        "8:28: unknown key `message_size` in [listen.limits] (did you mean `message-size`?)",
        "10:10: \"a.example\" is listed twice: in `local` and in `relay` (a domain is of one \
         class: keep it in one list, once)",
        "10:23: `domains.relay` is an integer (write a string: \"…\")",
        "10:26: `domains.relay` can't be \"b c\" (write a domain such as \"example.org\", \
         or \".example.org\" for its subdomains)",
        "13:9: there is no table \"people\" (these are there: aliases, both, none)",
        "14:8: `mailboxes.path` can't be \"/var/mail/{usr}/\" (the placeholders are {user} and \
         {domain})",
        "15:9: mailboxes can't belong to root (name a user made for it, such as \"vmail\": mail is \
         never written as root)",
        "18:13: there is no built-in plugin \"restriction\" (these are built in: restrictions, \
         aliases, transport-map, clamav, header-checks, greylist, dnsbl, rate-limit)",
        "19:13: `plugin.isolation` can't be \"share\" (did you mean \"shared\"?)",
        "20:12: a plugin that fails can't count as one without an opinion (\"defer\" (try later) \
         or \"reject\": otherwise a crash would let through what the plugin is there to stop. For \
         a plugin that only inspects content, fail-open = true says that)",
        "22:14: the grant `deliver-to` can't be given (take it out: mail isn't delivered to \
         commands and files; such a result of an alias bounces singly)",
        "23:11: there is no table \"alias\" (did you mean \"aliases\"?)",
        "24:9: `plugin.grants.relay` is a string (write true or false)",
        "25:1: two plugins are named \"restrictions\" (give each plugin a name of its own)",
        "28:18: `plugin.settings.x` has no form in JSON (write a number)",
        "31:10: `tables.aliases.format` can't be \"alias\" (did you mean \"aliases\"?)",
        "33:8: a table is in a file or inline, not both (take one of them out)",
        "35:1: `file` is missing in [tables.none] (add file = \"PATH\", or inline = { … })",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!(told, expected);
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn candidates_stand_in_for_what_is_in_force() {
    let plugin = |name: &str, more: &str| {
        format!("[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\n{more}\n")
    };
    let old = plugin("old", "");
    let config =
        parse(&format!("{LEAST}{old}{}", plugin("new", "instead-of = \"old\"\nshare = 10")))
            .unwrap();
    assert_eq!(
        (config.plugins[1].share, config.plugins[1].instead_of.as_deref()),
        (10, Some("old"))
    );
    let config = parse(&format!("{LEAST}{}", plugin("new", "mode = \"shadow\""))).unwrap();
    assert_eq!(
        (config.plugins[0].mode, config.plugins[0].share),
        (facteur_policy::Mode::Shadow, 100)
    );
    assert_eq!(config.plugins[0].limits.timeout, Duration::from_secs(1));
    for (more, expected) in [
        ("share = 10", "a plugin that decides is asked in every session"),
        ("mode = \"shadow\"\ninstead-of = \"old\"", "takes nobody's place"),
        ("instead-of = \"new\"", "can't take its own place"),
        ("instead-of = \"odl\"", "there is no plugin \"odl\""),
        ("mode = \"shadow\"\nshare = 0", "out of bounds"),
    ] {
        let told = error(&format!("{old}{}", plugin("new", more)));
        assert!(told.contains(expected), "{told}");
    }
    let two = format!("{old}{}", plugin("new", "instead-of = \"old\""));
    let told = error(&format!("{two}{}", plugin("newer", "instead-of = \"new\"")));
    assert!(told.contains("which has none of its own"), "{told}");
    let told = error(&format!("chain = [\"new\"]\n{two}"));
    assert!(told.contains("takes another plugin's place"), "{told}");
}

#[test]
fn single_slips() {
    for (text, expected) in [
        (
            "[queue]\nminimal-backoff = \"2h\"\nmaximal-backoff = \"1h\"",
            "`maximal-backoff` is shorter",
        ),
        (
            "[queue]\ndestination-concurrency = 30\ndestination-concurrency-limit = 20",
            "is below where it begins",
        ),
        ("[queue]\nlifetime = 0", "`queue.lifetime` is out of bounds (from 1ms to 100d)"),
        ("[smtp]\nsource = [\"192.0.2.1\", \"192.0.2.2\"]", "two source addresses of one family"),
        ("[networks]\ntrusted = [\"192.0.2.1/24\"]", "did you mean \"192.0.2.0/24\"?"),
        ("[log]\nlevel = \"warning\"", "did you mean \"warn\"?"),
        ("[mailboxes]\npath = \"/var/mail/{user}\"", "end it in a slash"),
        ("[mailboxes]\npath = \"/var/mail/\"", "put {user} into it"),
        ("[mailboxes]\nusers = \"passwd\"", "write \"system\", \"table:NAME\" or \"any\""),
        ("[mailboxes]\nusers = \"any\"", "with users = \"any\" the mailbox has to be named"),
        (
            "[mailboxes]\nusers = \"any\"\npath = \"/x/{user}/\"",
            "take {user} out of it: every name is a user",
        ),
        ("[mailboxes]\nrelay-users = \"any\"", "write \"table:NAME\""),
        ("[tables.x]\ninline = { a = \"1\", A = \"2\" }", "the key \"a\" is there twice"),
        ("[tables.x]\ninline = {}\nformat = \"cidr\"", "an inline table has no format"),
        ("[[plugin]]\nname = \"x y\"\ncomponent = \"x.wasm\"", "`plugin.name` can't be \"x y\""),
        ("[[listen]]\naddress = \"127.0.0.1:25\"", "two listeners have the address 127.0.0.1:25"),
        ("[domains]\nrelay = \"x.example\"", "`domains.relay` is a string (write a list: [ … ])"),
        ("[policy]\nmemory = \"1GiB\"", "`policy.memory` is out of bounds (from 64KiB to 64MiB)"),
    ] {
        let told = error(text);
        assert!(told.contains(expected), "{text}\n{told}");
    }
    let told = parse("hostname = \"x\"").unwrap_err();
    assert_eq!(told[0].to_string(), "there is nothing to listen on");
}

#[test]
fn what_is_no_toml_is_told_alone() {
    let errors = parse("hostname = mail\n[queue\nx = 1\n").unwrap_err();
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(
        errors.iter().all(|error| error.to_string().starts_with("this is no TOML")),
        "{errors:?}"
    );
    assert!(
        errors[0].one_line().starts_with("/etc/facteur/facteur.toml:1:12: "),
        "{}",
        errors[0].one_line()
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let errors = Config::load(Path::new("/nonexistent/facteur.toml")).unwrap_err();
    assert!(
        errors[0].to_string().starts_with("/nonexistent/facteur.toml: No such file"),
        "{}",
        errors[0]
    );
    let shown = render(&errors, false);
    for part in ["/nonexistent/facteur.toml", "--config FILE", "`facteur demo`"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn the_first_start_is_right() {
    let config = Config::parse(Path::new("/tmp/demo/facteur.toml"), &demo())
        .unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    assert_eq!(config.listen[0].chain, ["restrictions", "aliases", "transport-map"]);
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:2525");
    assert_eq!(config.spool.path, Path::new("/tmp/demo/spool"));
    assert_eq!(config.mailboxes.path.of("you", "localhost"), Some("/tmp/demo/mail/you/".into()));
    let owner = rustix::process::geteuid().is_root().then_some("nobody");
    assert_eq!(config.mailboxes.owner.as_deref(), owner);
    let (tables, errors) = Tables::open(&config.tables, None);
    assert_eq!(errors, []);
    assert_eq!(tables.find("aliases", &["Root"]).unwrap().unwrap().value, "you");
    assert!(tables.find("users", &["you"]).unwrap().is_some());
}

#[test]
fn a_real_site_is_right() {
    let folder = tempfile::tempdir().unwrap();
    macro_rules! copy {
        ($($name:literal)*) => {
            $(std::fs::write(folder.path().join($name), include_str!(concat!("../../../../tests/site/", $name))).unwrap();)*
        };
    }
    copy!("facteur.toml" "satellite.toml" "aliases" "transport.via" "transport.monassoce" "virtual.monassoce" "virtual.satellite");
    let load = |name| {
        Config::load(&folder.path().join(name))
            .unwrap_or_else(|errors| panic!("{}", render(&errors, false)))
    };

    let config = load("facteur.toml");
    let class = |domain| config.domains.class(domain);
    assert_eq!(config.domains.origin(), "via.ecp.fr");
    for (domain, expected) in [
        ("sulfura.via.ecp.fr", Class::Local),
        ("localhost.localdomain", Class::Local),
        ("elfic.net", Class::VirtualAlias),
        ("via.ecp.fr", Class::Relay),
        ("sub.via.ecp.fr", Class::Relay),
        ("gala-centrale.com", Class::Relay),
        ("student.ecp.fr", Class::Other),
        ("sub.elfic.net", Class::Other),
    ] {
        assert_eq!(class(domain), expected, "{domain}");
    }
    for (address, expected) in [
        ("138.195.128.9", true),
        ("138.195.130.127", true),
        ("138.195.130.128", false),
        ("138.195.130.146", true),
        ("88.191.250.2", true),
        ("2002:8ac3:802d:1242:21c:c0ff:fe44:90a0", true),
        ("2002:8ac3:4000::1", false),
        ("203.0.113.25", false),
    ] {
        assert_eq!(trusted(&config, address), expected, "{address}");
    }
    assert_eq!(config.listen.len(), 3);
    assert_eq!(config.listen[2].chain, ["aliases", "transport-map", "restrictions"]);
    let restrictions = config.plugin("restrictions").unwrap();
    assert!(restrictions.grants.relay && !restrictions.grants.dns);
    let (tables, errors) = Tables::open(&config.tables, None);
    assert_eq!(errors, []);
    let value =
        |table: &str, key: &str| tables.find(table, &[key]).unwrap().map(|found| found.value);
    assert_eq!(
        value("aliases", "Bureau").as_deref(),
        Some("president, tresorier,\tsecretaire@student.ecp.fr")
    );
    assert_eq!(
        value("transport-monassoce", "lepi.org").as_deref(),
        Some("smtp:[mail.lepi.org]:2525")
    );
    assert_eq!(value("virtual-monassoce", "@elfic.net").as_deref(), Some("contact@elfic.net"));

    let satellite = load("satellite.toml");
    assert_eq!(satellite.domains.class("zephyr.via.ecp.fr"), Class::Other);
    let (tables, errors) = Tables::open(&satellite.tables, None);
    assert_eq!(errors, []);
    assert_eq!(
        tables.find("virtual", &["root@zephyr.via.ecp.fr"]).unwrap().unwrap().value,
        "admin@via.ecp.fr"
    );
}
