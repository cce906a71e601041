//! What was decided and why, and what would be: explain, try, shadow, record and replay, read as a
//! person reads them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use facteur_tests::{Client, Facteur, Machine, Sink, letter, machine, probe_plugin, until};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const SERVER: &str = "192.0.2.1:25";
const STRANGER: &str = "203.0.113.25";
const FRIEND: &str = "198.51.100.7";
const ADDRESSES: [&str; 4] = ["192.0.2.1", STRANGER, FRIEND, "198.51.100.25"];

/// A server with the policy that ships, and these plugins after it.
fn configuration(machine: &Machine, name: &str, recipient: &str, plugins: &str) -> PathBuf {
    machine.write(
        &format!("/etc/facteur/{name}.toml"),
        &format!(
            r#"
hostname = "mx.example.net"
[[listen]]
address = "{SERVER}"
[domains]
local = ["example.net"]
virtual-alias = ["alias.test"]
relay = ["next.test"]
[networks]
trusted = ["198.51.100.0/24"]
[mailboxes]
users = "table:users"
owner = "louen"
[counters.seen]
[tables.users]
inline = {{ louen = "", admin = "" }}
[tables.aliases]
inline = {{ "sales@alias.test" = "louen@example.net, admin@example.net", "gone@alias.test" = "nobody@example.net" }}
[tables.senders]
inline = {{ "spam.test" = "REJECT no spam, please", "slow@ham.test" = "DEFER come back later", "held@ham.test" = "HOLD looked at" }}
[tables.routes]
inline = {{ "next.test" = "relay:[198.51.100.25]", "dead.next.test" = "error:5.1.2 the domain is no more" }}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
helo = ["reject_invalid_helo_hostname"]
sender = ["check_sender_access senders"]
recipient = {recipient}
[plugin.grants]
relay = true
lookup = ["senders"]
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
virtual = ["aliases"]
[plugin.grants]
lookup = ["aliases"]
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["routes"]
[plugin.grants]
lookup = ["routes"]
{plugins}
"#
        ),
    )
}

const USUAL: &str = r#"["permit_mynetworks", "reject_unauth_destination"]"#;

fn probe(name: &str, more: &str, settings: &str) -> String {
    let component = probe_plugin();
    format!(
        "[[plugin]]\nname = \"{name}\"\ncomponent = \"{}\"\n{more}\n[plugin.settings]\n{settings}\n\
         [plugin.grants]\ncounters = [\"seen\"]\n",
        component.display()
    )
}

/// The name of the session that this line of the log is about.
fn session(log: &str, line: &str) -> String {
    let line = log
        .lines()
        .find(|one| one.contains(line))
        .unwrap_or_else(|| panic!("no {line:?} in {log}"));
    let (_, rest) =
        line.split_once("session=\"").unwrap_or_else(|| panic!("no session in {line:?}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// The text without what differs from run to run.
fn timeless(text: &str) -> String {
    let line = |line: &str| {
        let cut = line.rfind("  (").filter(|_| line.ends_with(" ms)"));
        let line = cut.map_or(line, |cut| &line[..cut]);
        // The moment before the first two spaces.
        let dated = line.as_bytes().get(4) == Some(&b'-') && line.as_bytes().get(7) == Some(&b'-');
        if dated {
            line.get(19..).unwrap_or_default().trim_start().to_owned()
        } else {
            line.to_owned()
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_story_is_told_of_mail_and_of_refusals() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let next = Sink::start("198.51.100.25:25");
        let facteur = Facteur::start(machine, &configuration(machine, "facteur", USUAL, ""));
        let mut client = Client::connect(STRANGER, SERVER);
        client.ehlo();
        client.expect("MAIL FROM:<a@ham.test>", 250);
        client.expect("RCPT TO:<x@elsewhere.test>", 554);
        client.expect("RCPT TO:<x@next.test>", 250);
        client.expect("DATA", 354);
        let id = client.content(&letter("one")).queue_id().to_owned();
        next.one();
        client.expect("MAIL FROM:<a@spam.test>", 250);
        client.expect("RCPT TO:<louen@example.net>", 554);
        client.expect("QUIT", 221);
        facteur.wait_until_empty();
        facteur.wait_for_log("no spam");
        let name = session(&facteur.log(), "no spam");
        until("the session to be over", || {
            facteur.run(&["explain", &name]).success().contains("left by the client").then_some(())
        });
        assert_eq!(
            timeless(&facteur.run(&["explain", &id]).success()),
            format!(
                "\
session {name}, client {STRANGER} at {SERVER}, helo client.example.net
  from <a@ham.test>
  RCPT <x@elsewhere.test>: refused: 554 5.7.1 <x@elsewhere.test>: Relay access denied
    restrictions  helo                   no opinion
    restrictions  mail                   no opinion
    restrictions  rcpt x@elsewhere.test  reject 554 5.7.1 <x@elsewhere.test>: Relay access denied
  RCPT <x@next.test>: accepted
    restrictions   rcpt x@next.test       no opinion
    aliases        alias x@next.test      no opinion
    transport-map  transport x@next.test  smtp to [198.51.100.25]:25
  DATA: accepted
  end of data: accepted
  => 250 2.0.0 Ok: queued as {id}

{id} to <x@next.test>
  => sent (198.51.100.25[198.51.100.25]:25): 250 2.0.0 taken"
            )
        );
        let refused = facteur.run(&["explain", &name]).success();
        assert!(
            refused.contains(
                "reject 554 5.7.1 <a@spam.test>: Sender address rejected: no spam, please"
            ),
            "{refused}"
        );
        let json = facteur.run(&["explain", "--json", &id]).success();
        let kinds: Vec<String> = json.lines().map(|line| field(line, "kind")).collect();
        assert_eq!(kinds, ["envelope", "delivery"]);
        let unknown = facteur.run(&["explain", "6FEE36C37B"]);
        assert_eq!(unknown.code, 1);
        assert!(unknown.err.contains("nothing is known of 6FEE36C37B"), "{}", unknown.err);
    });
}

fn field(json: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value[name].as_str().unwrap_or_default().to_owned()
}

/// What the host decided, in order: of a record in JSON.
fn verdicts(record: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(record).unwrap();
    let steps = value["steps"].as_array().unwrap();
    let host =
        steps.iter().filter(|step| step["plugin"].is_null() && step["question"] != "next hop");
    host.map(|step| step["answer"].as_str().unwrap().to_owned()).collect()
}

#[derive(Debug, Clone)]
struct Envelope {
    client: &'static str,
    helo: &'static str,
    sender: &'static str,
    recipients: Vec<&'static str>,
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let senders =
        ["", "a@ham.test", "b@spam.test", "slow@ham.test", "held@ham.test", "louen@example.net"];
    let recipients = [
        "louen@example.net",
        "nobody@example.net",
        "sales@alias.test",
        "gone@alias.test",
        "none@alias.test",
        "x@next.test",
        "x@dead.next.test",
        "x@elsewhere.test",
        "postmaster",
        "a%b@next.test",
        "often@next.test",
    ];
    (
        prop::sample::select(vec![STRANGER, FRIEND]),
        prop::sample::select(vec!["client.test", "bad_.", "[203.0.113.25]", "localhost"]),
        prop::sample::select(senders.to_vec()),
        prop::collection::vec(prop::sample::select(recipients.to_vec()), 1..5),
    )
        .prop_map(|(client, helo, sender, recipients)| Envelope {
            client,
            helo,
            sender,
            recipients,
        })
}

/// What the server says to the envelope, command by command, in the words of a record.
fn held(envelope: &Envelope, content: &[u8]) -> Vec<String> {
    let mut client = Client::connect(envelope.client, SERVER);
    let mut said = Vec::new();
    let mut decided = |reply: facteur_tests::Reply| {
        let yes = matches!(reply.code, 250 | 354);
        said.push(if yes { "accepted".to_owned() } else { format!("refused: {reply}") });
        yes
    };
    client.expect(&format!("EHLO {}", envelope.helo), 250);
    client.expect(&format!("MAIL FROM:<{}>", envelope.sender), 250);
    for to in &envelope.recipients {
        decided(client.send(&format!("RCPT TO:<{to}>")));
    }
    if decided(client.send("DATA")) {
        decided(client.content(content));
    }
    said
}

#[test]
fn what_is_tried_is_what_happens() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _next = Sink::start("198.51.100.25:25");
        // It counts who writes, and refuses the third time: what a simulation would change if it
        // moved a counter.
        let counting = probe("counting", "", "data = \"rate:seen 3\"");
        let facteur = Facteur::start(machine, &configuration(machine, "facteur", USUAL, &counting));
        let content = letter("one");
        let file = machine.write("/etc/facteur/letter.eml", &String::from_utf8_lossy(&content));
        let cases = if std::env::var_os("FACTEUR_TEST_LONG").is_some() { 500 } else { 150 };
        let mut runner = TestRunner::new_with_rng(
            Config { cases, failure_persistence: None, ..Config::default() },
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        runner
            .run(&envelopes(), |envelope| {
                let mut arguments =
                    vec!["try", "--json", "--client", envelope.client, "--helo", envelope.helo];
                arguments.extend(["--from", envelope.sender]);
                for to in &envelope.recipients {
                    arguments.extend(["--to", to]);
                }
                let file = file.to_str().unwrap();
                arguments.push(file);
                let tried = verdicts(&facteur.run(&arguments).success());
                prop_assert_eq!(
                    &tried,
                    &verdicts(&facteur.run(&arguments).success()),
                    "a simulation changed something"
                );
                prop_assert_eq!(tried, held(&envelope, &content));
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn a_simulation_reads_like_explain_and_leaves_nothing() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let facteur = Facteur::start(machine, &configuration(machine, "facteur", USUAL, ""));
        let file =
            machine.write("/etc/facteur/letter.eml", &String::from_utf8_lossy(&letter("one")));
        let arguments =
            ["try", "--client", STRANGER, "--from", "held@ham.test", "--to", "sales@alias.test"];
        let told = facteur.run(&[&arguments[..], &[file.to_str().unwrap()]].concat()).success();
        assert_eq!(
            timeless(&told),
            format!(
                "\
session try, client {STRANGER} at {SERVER}, helo client.example
  from <held@ham.test>
  RCPT <sales@alias.test>: accepted
    restrictions   helo                         no opinion
    restrictions   mail                         no opinion; hold: <held@ham.test>: Sender address \
    looked at
    restrictions   rcpt sales@alias.test        no opinion
    aliases        alias sales@alias.test       stands for louen@example.net, admin@example.net
    aliases        alias louen@example.net      no opinion
    aliases        alias admin@example.net      no opinion
    transport-map  transport louen@example.net  no opinion
    transport-map  transport admin@example.net  no opinion
  DATA: accepted
  end of data: accepted
  next hop <louen@example.net>: maildir
    transport-map  transport louen@example.net  no opinion
  next hop <admin@example.net>: maildir
    transport-map  transport admin@example.net  no opinion
  => accepted for <louen@example.net>, <admin@example.net>; held: <held@ham.test>: Sender address \
  looked at"
            )
        );
        assert_eq!(facteur.queued().len(), 0);
        let list = facteur.run(&["plugin", "list", "--json"]).success();
        let calls =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["calls"].as_u64();
        assert!(
            list.lines().count() == 3 && list.lines().all(|line| calls(line) == Some(0)),
            "{list}"
        );
        // Nobody has to run for it.
        let mut facteur = facteur;
        facteur.stop();
        let told = facteur.run(&arguments);
        assert!(told.err.contains("no server runs"), "{}", told.err);
        assert!(told.out.contains("RCPT <sales@alias.test>: accepted"), "{}", told.out);
    });
}

#[test]
fn the_shadow_is_told_of_and_changes_nothing() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let shadow = probe("strict", "mode = \"shadow\"", "rcpt = \"reject\"\ndata = \"hold\"");
        let facteur = Facteur::start(machine, &configuration(machine, "facteur", USUAL, &shadow));
        let mut client = Client::connect(STRANGER, SERVER);
        client.ehlo();
        let id = client.deliver("a@ham.test", &["louen@example.net"], &letter("one"));
        let told = facteur.run(&["explain", &id]).success();
        assert!(told.contains("in the shadow: reject 550 5.7.1 rejected at rcpt"), "{told}");
        assert!(told.contains("in the shadow: no opinion; hold:"), "{told}");
        facteur.wait_until_empty();
    });
}

#[test]
fn a_candidate_takes_its_share_of_the_sessions() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let old = probe("old", "", "");
        let new = probe("new", "instead-of = \"old\"\nshare = 30", "rcpt = \"reject\"");
        let facteur = Facteur::start(
            machine,
            &configuration(machine, "facteur", USUAL, &format!("{old}{new}")),
        );
        let mut refused = 0;
        for _ in 0..200 {
            let mut client = Client::connect(STRANGER, SERVER);
            client.ehlo();
            client.expect("MAIL FROM:<a@ham.test>", 250);
            // A session is one or the other to its end.
            let first = client.send("RCPT TO:<louen@example.net>").code;
            assert_eq!(client.send("RCPT TO:<louen@example.net>").code, first);
            refused += u32::from(first == 550);
        }
        // 60 are expected; a coin that falls so would be further off once in a million times.
        assert!((30..=90).contains(&refused), "{refused} of 200");
        drop(facteur);
    });
}

#[test]
fn what_was_recorded_is_played_again_to_other_plugins() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _next = Sink::start("198.51.100.25:25");
        let counting = probe("counting", "", "data = \"rate:seen 30\"");
        let config = configuration(machine, "facteur", USUAL, &counting);
        let facteur = Facteur::start(machine, &config);
        let mut recordings = 0;
        let mut recording = |extra: &[&str], name: &str| {
            let path = format!("/var/spool/{name}");
            let mut arguments =
                vec!["record".to_owned(), path.clone(), "--sessions".into(), "4".into()];
            arguments.extend(extra.iter().map(|&one| one.to_owned()));
            let config = config.clone();
            let recorder = std::thread::spawn(move || {
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                facteur_tests::run_facteur(&config, &arguments)
            });
            // The first session after the recording has begun is recorded.
            recordings += 1;
            until("the recording to begin", || {
                (facteur.log().matches("sessions are being recorded").count() == recordings)
                    .then_some(())
            });
            let content = letter("one");
            for (client, sender, to) in [
                (STRANGER, "a@ham.test", vec!["louen@example.net", "x@elsewhere.test"]),
                (STRANGER, "b@spam.test", vec!["louen@example.net"]),
                (FRIEND, "a@ham.test", vec!["x@elsewhere.test", "sales@alias.test"]),
                (STRANGER, "a@ham.test", vec!["x@dead.next.test", "x@next.test"]),
            ] {
                held(&Envelope { client, helo: "client.test", sender, recipients: to }, &content);
            }
            let ended = recorder.join().unwrap();
            assert!(ended.err.contains("4 sessions"), "{}{}", ended.out, ended.err);
            path
        };
        // Whatever stood there, and whoever could read it.
        let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        machine.write("/var/spool/sessions.jsonl", "of before");
        let plain = recording(&[], "sessions.jsonl");
        let redacted = recording(&["--redact", "--content", "whole"], "redacted.jsonl");
        assert_eq!(
            (mode(&plain), mode(&redacted)),
            (0o600, 0o600),
            "others may read what was sent"
        );
        let text = std::fs::read_to_string(&redacted).unwrap();
        assert!(
            !text.contains("louen@") && !text.contains("sales@") && text.contains("@example.net"),
            "{text}"
        );

        // The same configuration decides the same, without the server, its tables and its counters.
        drop(facteur);
        let replay = |with: &PathBuf, file: &str| {
            facteur_tests::run_facteur(&config, &["replay", "--with", with.to_str().unwrap(), file])
        };
        for file in [&plain, &redacted] {
            let same = replay(&config, file);
            assert_eq!(
                (same.code, same.out.trim()),
                (0, "4 sessions, 21 verdicts: 0 changed"),
                "{}",
                same.err
            );
        }
        // Another one doesn't.
        let strict =
            configuration(machine, "strict", r#"["reject_unauth_destination"]"#, &counting);
        let changed = replay(&strict, &plain);
        assert_eq!(changed.code, 1, "{}{}", changed.out, changed.err);
        for line in [
            "  RCPT TO:<x@elsewhere.test>\n    was: accepted\n    now: refused: 554 5.7.1 \
             <x@elsewhere.test>: Relay access denied\n",
            "restrictions at rcpt: reject 554 5.7.1 <x@elsewhere.test>: Relay access denied\n",
            "4 sessions, 21 verdicts: 2 changed (1 stricter, 0 laxer, 1 other)\n",
        ] {
            assert!(changed.out.contains(line), "{line}\nis not in\n{}", changed.out);
        }
        let broken = replay(&PathBuf::from("/nowhere.toml"), &plain);
        assert_eq!(broken.code, 2);
    });
}
