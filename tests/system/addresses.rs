//! One form of an address inside: domains in both of their forms, extensions, case.

use facteur_tests::{Client, Facteur, Machine, letter, machine, maildir};

const CONFIG: &str = r#"
hostname = "gateway.test"
[[listen]]
address = "127.0.0.1:25"
[domains]
origin = "local.test"
local = ["local.test"]
virtual-alias = ["alias.test"]
virtual-mailbox = ["xn--bcher-kva.test", "all.test"]
delimiter = "+"
[mailboxes]
users = "table:users"
path = "/var/mail/{user}/"
owner = "louen"
[dns]
servers = ["127.0.0.1"]
[spool]
path = "/var/spool/facteur"
reserve = "16MiB"
[policy]
cache = "/var/spool/compiled"
[tables.users]
file = "/etc/addresses/users"
[tables.access]
file = "/etc/addresses/access"
[tables.virtual]
file = "/etc/addresses/virtual"
[tables.routes]
file = "/etc/addresses/routes"
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["check_recipient_access table:access", "reject_unauth_destination"]
[plugin.grants]
lookup = ["access"]
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
virtual = ["virtual"]
[plugin.grants]
lookup = ["virtual"]
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["routes"]
[plugin.grants]
lookup = ["routes"]
"#;

const TABLES: [(&str, &str); 4] = [
    ("users", "louen x\nxavier@xn--bcher-kva.test x\ngone@xn--bcher-kva.test x\n@all.test x\n"),
    ("access", "no@XN--BCHER-KVA.test REJECT not this one\nlouen@local.test DUNNO seen\n"),
    ("virtual", "louen@alias.test louen@local.test\nteam@alias.test secret@local.test\n"),
    ("routes", "gone@xn--bcher-kva.test error:5.1.2 moved away\n"),
];

fn start(machine: &Machine) -> (Facteur, Client) {
    for (name, text) in TABLES {
        machine.write(&format!("/etc/addresses/{name}"), text);
    }
    let config = machine.write("/etc/addresses/facteur.toml", CONFIG);
    let facteur = Facteur::start(machine, &config);
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    (facteur, client)
}

#[test]
fn a_domain_means_the_same_in_both_of_its_forms() {
    machine(|machine| {
        let (_facteur, mut client) = start(machine);
        for (parameter, domain) in [("", "xn--bcher-kva.test"), (" SMTPUTF8", "bücher.test")] {
            client.expect(&format!("MAIL FROM:<s@sender.test>{parameter}"), 250);
            let refused = client.expect(&format!("RCPT TO:<no@{domain}>"), 554).to_string();
            assert!(refused.contains(&format!("<no@{domain}>: ")), "{refused}");
            assert!(refused.contains("not this one"), "{refused}");
            let refused = client.expect(&format!("RCPT TO:<unknown@{domain}>"), 550).to_string();
            assert!(refused.contains(&format!("<unknown@{domain}>: ")), "{refused}");
            let refused = client.expect(&format!("RCPT TO:<gone@{domain}>"), 550).to_string();
            assert!(refused.contains(&format!("<gone@{domain}>: ")), "{refused}");
            assert!(refused.contains("moved away"), "{refused}");
            client.expect(&format!("RCPT TO:<xavier@{domain}>"), 250);
            client.expect("RSET", 250);
        }
    });
}

#[test]
fn no_utf8_comes_into_an_ascii_dialogue_or_message() {
    machine(|machine| {
        let (_facteur, mut client) = start(machine);
        client.expect("EHLO münchen.test", 250);
        client.expect("MAIL FROM:<é@sender.test>", 553);
        client.deliver("s@xn--mnchen-3ya.test", &["xavier@xn--bcher-kva.test"], &letter("ascii"));
        let mail = &maildir("/var/mail/xavier", 1)[0];
        assert!(mail.content.is_ascii(), "{}", mail.text());
        assert_eq!(mail.sender, "s@xn--mnchen-3ya.test");
        assert_eq!(mail.recipients, ["xavier@xn--bcher-kva.test"]);
        assert_eq!(mail.header("X-Original-To").unwrap(), "xavier@xn--bcher-kva.test");
        let received = mail.header("Received").unwrap();
        assert!(received.contains("from xn--mnchen-3ya.test ("), "{received}");
        assert!(received.contains("for <xavier@xn--bcher-kva.test>"), "{received}");
    });
}

#[test]
fn an_extension_leads_to_its_user() {
    machine(|machine| {
        let (_facteur, mut client) = start(machine);
        // A virtual table carries it on.
        let to = ["louen+tag@local.test", "louen+virtual@alias.test"];
        for to in to {
            client.deliver("s@sender.test", &[to], &letter(to));
        }
        let mails = maildir("/var/mail/louen", 2);
        let mut delivered: Vec<_> =
            mails.iter().flat_map(|mail| mail.recipients.iter().map(String::as_str)).collect();
        delivered.sort_unstable();
        assert_eq!(delivered, ["louen+tag@local.test", "louen+virtual@local.test"]);

        client.expect("MAIL FROM:<s@sender.test>", 250);
        for to in ["+louen@local.test", "postmaster+louen@local.test"] {
            client.expect(&format!("RCPT TO:<{to}>"), 550);
        }
        // A stranger isn't shown what an alias stands for.
        let refused = client.expect("RCPT TO:<team+x@alias.test>", 550).to_string();
        assert!(
            refused.contains("<team+x@alias.test>") && !refused.contains("secret"),
            "{refused}"
        );
    });
}

#[test]
fn a_domain_in_the_users_table_is_all_its_users() {
    machine(|machine| {
        let (_facteur, mut client) = start(machine);
        client.deliver("s@sender.test", &["anyone+x@all.test"], &letter("all"));
        assert_eq!(maildir("/var/mail/anyone", 1)[0].recipients, ["anyone+x@all.test"]);
    });
}

#[test]
fn a_mailbox_that_is_named_twice_in_different_case_gets_one_copy() {
    machine(|machine| {
        let (facteur, mut client) = start(machine);
        let to = ["louen@local.test", "LOUEN@local.test", "Louen@LOCAL.test"];
        client.deliver("s@sender.test", &to, &letter("once"));
        facteur.wait_until_empty();
        maildir("/var/mail/louen", 1);
    });
}
