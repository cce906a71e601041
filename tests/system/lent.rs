//! What plugins are lent by name, by the real program from real peers. The plugin is the probe,
//! which tells the client what it heard.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use facteur_tests::{
    Clamd, Client, Dns, Facteur, Machine, Reply, SmtpSink, letter, machine, machine_within,
    probe_plugin, run_facteur, until,
};

const SERVER: &str = "192.0.2.1:25";
const FROM: &str = "203.0.113.25";
const ADDRESSES: [&str; 2] = ["192.0.2.1", FROM];

/// A server that asks the probe this at the end of each message, with these grants and sections.
fn asking(machine: &Machine, question: &str, grants: &str, sections: &str) -> Facteur {
    Facteur::start(machine, &configuration(machine, question, grants, sections))
}

fn configuration(machine: &Machine, question: &str, grants: &str, sections: &str) -> PathBuf {
    machine.write(
        "/etc/facteur/facteur.toml",
        &format!(
            r#"
hostname = "mx.example.net"
[[listen]]
address = "{SERVER}"
limits = {{ message-size = "60MB" }}
[domains]
local = ["example.net"]
relay = ["good.test", "bad.test"]
[dns]
servers = ["127.0.0.1"]
[mailboxes]
users = "table:users"
owner = "louen"
[tables.users]
inline = {{ louen = "" }}
{sections}
[[plugin]]
name = "probe"
component = "{}"
timeout = "60s"
[plugin.settings]
end-of-data = "lent:{question}"
[plugin.grants]
{grants}
"#,
            probe_plugin().display()
        ),
    )
}

/// What the probe hears about a message.
fn told(content: &[u8]) -> String {
    let mut client = Client::connect(FROM, SERVER);
    client.ehlo();
    client.envelope("somebody@example.org", &["louen@example.net"]);
    let Reply { code, text } = client.content(content);
    assert_eq!(code, 550, "{text}");
    text.strip_prefix("5.7.1 ").unwrap_or(&text).to_owned()
}

fn with(body: &str) -> Vec<u8> {
    [&letter("something")[..], body.as_bytes(), b"\r\n"].concat()
}

#[test]
fn clamd_finds_a_virus_and_nothing_else() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let first = Clamd::start(machine, "clamd-one", "StreamMaxLength 1M");
        let mut second = Clamd::start(
            machine,
            "clamd-two",
            "TCPAddr 127.0.0.1\nTCPSocket 3310\nStreamMaxLength 1M",
        );
        let scanners = format!(
            "[scanners.local]\nclamd = [\"{}\"]\n[scanners.two]\nclamd = \
             [\"/nowhere/clamd.sock\", \"localhost:3310\"]\n",
            first.socket()
        );
        let found = "Ok(Outcome::Infected(\"Eicar-Test-Signature.UNOFFICIAL\"))";
        let facteur = asking(machine, "scan local", "scanner = [\"local\"]", &scanners);
        for name in ["local", "two"] {
            configuration(
                machine,
                &format!("scan {name}"),
                &format!("scanner = [\"{name}\"]"),
                &scanners,
            );
            facteur.run(&["reload"]).success();
            for _ in 0..3 {
                assert_eq!(told(&with("harmless")), "Ok(Outcome::Clean)");
                assert_eq!(told(&with(&Clamd::virus())), found);
            }
            // clamd says that it is too much and hangs up while the message is still coming.
            assert_eq!(told(&with(&"harmless\r\n".repeat(300_000))), "Err(Error::TooLarge)");
            assert_eq!(told(&with("harmless")), "Ok(Outcome::Clean)");
        }
        second.kill();
        let answer = told(&with("harmless"));
        assert!(
            answer.starts_with("Err(Error::Unavailable(") && answer.contains("localhost:3310: "),
            "{answer}"
        );
    });
}

#[test]
fn a_large_message_is_scanned_and_never_held_whole() {
    machine_within(Duration::from_mins(2), |machine| {
        machine.addresses(&ADDRESSES);
        let clamd = Clamd::start(machine, "clamd", "StreamMaxLength 100M");
        let scanners =
            format!("[scanners.av]\nclamd = [\"{}\"]\nmessage-size = \"60MB\"\n", clamd.socket());
        let facteur = asking(machine, "scan av", "scanner = [\"av\"]", &scanners);
        assert_eq!(told(&with("harmless")), "Ok(Outcome::Clean)");
        let before = facteur.memory("VmHWM");
        let mut large = with(&"harmless and long\r\n".repeat(50_000_000 / 19));
        assert_eq!(told(&large), "Ok(Outcome::Clean)");
        large.extend_from_slice(Clamd::virus().as_bytes());
        large.extend_from_slice(b"\r\n");
        assert!(told(&large).contains("Infected"));
        // The kernel counts in batches for each thread, so that it may seem to be less.
        let grown = facteur.memory("VmHWM").saturating_sub(before);
        assert!(grown < 16 << 10, "{grown} KiB more for messages of 50 MB");
    });
}

#[test]
fn counters_outlive_a_restart_where_the_operator_says_so() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let stores = "[counters.kept]\ndurable = true\n[counters.volatile]\n";
        let ask = |store: &str| {
            configuration(
                machine,
                &format!("add {store} a 1 1000000"),
                &format!("counters = [\"{store}\"]"),
                stores,
            )
        };
        let mut facteur = Facteur::start(machine, &ask("kept"));
        assert_eq!(told(&letter("one")), "Ok(1)");
        assert_eq!(told(&letter("two")), "Ok(2)");
        ask("volatile");
        facteur.run(&["reload"]).success();
        assert_eq!(told(&letter("three")), "Ok(1)");
        facteur.stop();
        facteur.restart();
        assert_eq!(told(&letter("four")), "Ok(1)");
        ask("kept");
        facteur.run(&["reload"]).success();
        assert_eq!(told(&letter("five")), "Ok(3)");
        // What is on the disk outlives a crash, too.
        let written = |name: &str| {
            std::fs::read(format!("/var/spool/facteur/counters.sqlite{name}")).unwrap_or_default()
        };
        let is_written = |key: &str| {
            ["", "-wal"]
                .iter()
                .any(|name| written(name).windows(key.len()).any(|part| part == key.as_bytes()))
        };
        configuration(machine, "add kept crash 7 1000000", "counters = [\"kept\"]", stores);
        facteur.run(&["reload"]).success();
        assert_eq!(told(&letter("six")), "Ok(7)");
        until("the counter on the disk", || is_written("c:crash").then_some(()));
        facteur.kill();
        facteur.restart();
        assert_eq!(told(&letter("seven")), "Ok(14)");
    });
}

#[test]
fn the_next_hop_is_asked_about_an_address_and_not_asked_again() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        machine.addresses(&["192.0.2.66", "192.0.2.67"]);
        let _dns = Dns::start(
            "127.0.0.1",
            "good.test MX 10 mx.good.test\nmx.good.test A 192.0.2.66\nbad.test MX 10 mx.bad.test\n\
             mx.bad.test A 192.0.2.67\n",
        );
        let good = SmtpSink::start(machine, "good", "192.0.2.66:25", &[]);
        let bad = SmtpSink::start(machine, "bad", "192.0.2.67:25", &["-f", "RCPT"]);
        let facteur = asking(machine, "verify a@good.test", "verify = true", "");
        assert_eq!(told(&letter("one")), "Ok(Outcome::Deliverable)");
        drop(good);
        assert_eq!(told(&letter("two")), "Ok(Outcome::Deliverable)");
        configuration(machine, "verify a@bad.test", "verify = true", "");
        facteur.run(&["reload"]).success();
        for _ in 0..2 {
            let answer = told(&letter("three"));
            assert!(
                answer.starts_with("Ok(Outcome::Undeliverable(")
                    && answer.contains("mx.bad.test[192.0.2.67]"),
                "{answer}"
            );
        }
        drop(bad);
        // What nobody can tell.
        configuration(machine, "verify b@good.test", "verify = true", "");
        facteur.run(&["reload"]).success();
        let answer = told(&letter("four"));
        assert!(
            answer.starts_with("Ok(Outcome::Unknown(") && answer.contains("Connection refused"),
            "{answer}"
        );
    });
}

#[test]
fn folders_and_services_are_what_the_operator_says() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let seen = machine.open_folder("seen");
        machine.write("/etc/facteur/lists/a", "hello");
        let socket = seen.join("service.sock");
        let service = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in service.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                stream.get_mut().write_all(line.to_uppercase().as_bytes()).unwrap();
            }
        });
        let sections = format!(
            "[folders.lists]\npath = \"lists\"\n[folders.seen]\npath = \"/var/spool/seen\"\n\
             [services.upper]\naddress = \"{}\"\n",
            socket.display()
        );
        let grants = "files = [\"lists\"]\nfiles-write = [\"seen\"]\nconnect = [\"upper\"]";
        let facteur = asking(machine, "read lists a 1 9", grants, &sections);
        let answer = |question: &str| {
            configuration(machine, question, grants, &sections);
            facteur.run(&["reload"]).success();
            told(&letter("something"))
        };
        assert_eq!(told(&letter("something")), "Ok((4, \"ello\"))");
        assert_eq!(answer("write seen b new"), "Ok(())");
        assert_eq!(std::fs::read_to_string(seen.join("b")).unwrap(), "new");
        assert_eq!(answer("list seen "), "Ok([\"b\"])");
        assert_eq!(answer("talk upper hello"), "Ok(\"HELLO\\n\")");
        let refused = answer("write lists a forged");
        assert!(
            refused.starts_with("Err(Error::NotGranted(") && refused.contains("files-write"),
            "{refused}"
        );
        assert_eq!(std::fs::read_to_string("/etc/facteur/lists/a").unwrap(), "hello");
        let config = configuration(
            machine,
            "read lists a 1 9",
            grants,
            &sections.replace("\"lists\"", "\"nowhere\""),
        );
        let checked = run_facteur(&config, &["check"]);
        assert!(
            checked.code != 0
                && checked.err.contains("folder \"lists\": /etc/facteur/nowhere is no folder"),
            "{checked:?}"
        );
    });
}
