//! Content plugins in the real program: what they edit arrives, octet by octet, and what they
//! decide is what happens.

use std::path::PathBuf;
use std::time::Duration;

use facteur_tests::{
    Clamd, Client, Facteur, Machine, Mail, Reply, Sink, crlf, letter, machine, machine_within,
    maildir, probe_plugin, run_facteur, until,
};

const HOST: &str = "mx.example.net";
const SERVER: &str = "192.0.2.1:25";
const NEXT: &str = "192.0.2.66:25";
const FROM: &str = "203.0.113.25";
const SENDER: &str = "somebody@example.org";
const LOUEN: &str = "louen@example.net";
const THERE: &str = "x@there.test";

/// A server for louen, with a next hop for there.test, and these sections and plugins.
fn configure(machine: &Machine, more: &str) -> PathBuf {
    let config = format!(
        r#"
hostname = "{HOST}"
[[listen]]
address = "{SERVER}"
limits = {{ message-size = "60MB" }}
[domains]
local = ["example.net"]
relay = ["there.test"]
[dns]
servers = ["127.0.0.1"]
[mailboxes]
users = "table:users"
owner = "louen"
path = "/var/mail/{{user}}/"
[tables.users]
inline = {{ louen = "", admin = "" }}
[tables.transport]
inline = {{ "there.test" = "smtp:[192.0.2.66]" }}
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["transport"]
[plugin.grants]
lookup = ["transport"]
{more}
"#
    );
    machine.write("/etc/facteur/facteur.toml", &config)
}

/// The server, with what is around it.
fn start(machine: &Machine, more: &str) -> Facteur {
    machine.addresses(&["192.0.2.1", "192.0.2.66", FROM]);
    Facteur::start(machine, &configure(machine, more))
}

/// The probe, with words for `content`.
fn probe(name: &str, words: &str) -> String {
    let path = probe_plugin().display().to_string();
    format!(
        "[[plugin]]\nname = \"{name}\"\ncomponent = \"{path}\"\ntimeout = \"60s\"\ncpu = \"30s\"\n\
         [plugin.settings]\ncontent = {words}\n"
    )
}

fn client() -> Client {
    let mut client = Client::connect(FROM, SERVER);
    client.ehlo();
    client
}

fn send(to: &[&str], content: &[u8]) -> Reply {
    let mut client = client();
    client.envelope(SENDER, to);
    client.content(content)
}

/// The mail without the `Received:` of this server, which must be its first header.
fn below_received(mail: &Mail) -> Vec<u8> {
    let text = &mail.content;
    assert!(text.starts_with(b"Received: from "), "{}", mail.text());
    let end = (0..text.len())
        .find(|&at| {
            text[at..].starts_with(b"\r\n") && !matches!(text.get(at + 2), Some(b' ' | b'\t'))
        })
        .unwrap();
    assert!(text[..end].windows(HOST.len()).any(|part| part == HOST.as_bytes()), "{}", mail.text());
    text[end + 2..].to_vec()
}

/// All octets above 127, odd folding and spacing, and a signature that any change would break. It
/// has what is added to local mail that lacks it.
fn original(size: usize) -> Vec<u8> {
    let mut content = b"DKIM-Signature: v=1;\r\n\tb=abc \r\n  def\r\nFrom: a@sender.test\r\n\
        Date: Fri, 13 Nov 2026 15:00:00 +0100\r\nMessage-ID: <1@sender.test>\r\n\
        subject:  odd\r\nX-Raw: "
        .to_vec();
    content.extend(0x80..=0xff_u8);
    content.extend_from_slice(b"\r\nReceived: elsewhere\r\n\r\n");
    let mut number = 0_u64;
    while content.len() < size {
        number += 1;
        content.extend_from_slice(
            format!("{number} {:016x} x\r\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .as_bytes(),
        );
    }
    content
}

fn replaced(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = content.windows(from.len()).position(|part| part == from).expect("it is in there");
    [&content[..at], to, &content[at + from.len()..]].concat()
}

#[test]
fn edits_arrive_and_all_else_keeps_its_octets() {
    machine(|machine| {
        let facteur = start(machine, "");
        let sink = Sink::start(NEXT);
        let mut count = 0;
        let mut arrives = |plugins: &str, content: &[u8]| {
            configure(machine, plugins);
            facteur.run(&["reload"]).success();
            assert_eq!(send(&[THERE], content).code, 250, "{plugins}");
            count += 1;
            below_received(&sink.mail(count)[count - 1])
        };
        // Bodies in memory and in files.
        for size in [1_000, 200_000] {
            let content = original(size);
            assert!(arrives("", &content) == content, "without a plugin");
            assert!(arrives(&probe("p", "\"no-opinion\""), &content) == content, "without an edit");
            // Before all else: what was received stays as it is stored.
            let top = [b"X-Two: 2\r\nX-One: 1\r\n", &content[..]].concat();
            let two = probe("a", "\"insert-header:X-One: 1\"")
                + &probe("b", "\"insert-header:X-Two: 2\"");
            assert!(arrives(&two, &content) == top, "on top");
            // Anywhere.
            let replace = probe("p", r#"["replace-header:Subject: plain", "add-header:X-End: e"]"#);
            let expected = replaced(&content, b"subject:  odd\r\n", b"Subject: plain\r\n");
            let expected = replaced(&expected, b"elsewhere\r\n", b"elsewhere\r\nX-End: e\r\n");
            assert!(arrives(&replace, &content) == expected, "in the middle");
            let remove = probe("p", r#""remove-headers:x-raw""#);
            let raw: Vec<u8> =
                [b"X-Raw: ".to_vec(), (0x80..=0xff).collect(), b"\r\n".to_vec()].concat();
            assert!(arrives(&remove, &content) == replaced(&content, &raw, b""), "taken out");
            // The body.
            let end = content.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
            let mapped = content[end..].iter().map(|&byte| if byte == b'x' { b'y' } else { byte });
            let expected: Vec<u8> = content[..end].iter().copied().chain(mapped).collect();
            assert!(arrives(&probe("p", "\"map-body\""), &content) == expected, "another body");
        }
        facteur.wait_until_empty();
        assert_eq!(
            std::fs::read_dir("/var/spool/facteur/bodies").unwrap().count(),
            0,
            "bodies are left behind"
        );
    });
}

#[test]
fn the_envelope_is_what_plugins_make_of_it() {
    machine(|machine| {
        let facteur = start(machine, "");
        let sink = Sink::start(NEXT);
        let with = |words: &str| {
            configure(machine, &probe("p", words));
            facteur.run(&["reload"]).success();
        };
        with(
            r#"["set-sender:other@example.net", "remove-recipient:louen@example.net", "add-recipient:y@there.test"]"#,
        );
        assert_eq!(send(&[LOUEN, THERE], &letter("one")).code, 250);
        let mail = &sink.mail(1)[0];
        assert_eq!(
            (mail.sender.as_str(), mail.sorted_recipients()),
            ("other@example.net", vec![THERE, "y@there.test"])
        );
        with("\"redirect:z@there.test\"");
        assert_eq!(send(&[LOUEN], &letter("two")).code, 250);
        assert_eq!(sink.mail(2)[1].recipients, ["z@there.test"]);
        with("\"discard\"");
        assert_eq!(send(&[LOUEN, THERE], &letter("three")), "250 2.0.0 Ok");
        with("\"remove-recipient:louen@example.net\"");
        assert_eq!(send(&[LOUEN], &letter("four")), "250 2.0.0 Ok");
        with("\"reject\"");
        assert_eq!(send(&[LOUEN], &letter("five")), "550 5.7.1 rejected at content");
        facteur.wait_until_empty();
        assert_eq!(sink.count(), 2);
        assert!(!std::path::Path::new("/var/mail/louen").exists(), "louen got mail");
    });
}

#[test]
fn a_message_in_quarantine_is_told_apart_and_released_alone() {
    machine(|machine| {
        let facteur = start(machine, &probe("p", r#"["hold", "quarantine:it looks odd"]"#));
        let mut quarantined = client();
        let id = quarantined.deliver(SENDER, &[LOUEN], &letter("odd"));
        configure(machine, &probe("p", r#""hold""#));
        facteur.run(&["reload"]).success();
        client().deliver(SENDER, &["admin@example.net"], &letter("held"));
        let listed = facteur.queue(&["list"]);
        let line = listed.lines().find(|line| line.contains(&id)).unwrap();
        assert!(line.contains("quarantine") && line.contains("it looks odd"), "{listed}");
        assert!(listed.contains("hold") && listed.contains("probed"), "{listed}");
        let shown = facteur.queue(&["show", &id]);
        assert!(shown.contains("in quarantine: it looks odd"), "{shown}");
        facteur.queue(&["release", "--all"]);
        maildir("/var/mail/admin", 1);
        let left = until("one message in the queue", || {
            Some(facteur.queued()).filter(|all| all.len() == 1)
        });
        assert_eq!(
            (left[0].id.as_str(), left[0].recipients[0].state.as_str()),
            (id.as_str(), "quarantine")
        );
        facteur.queue(&["release", &id]);
        maildir("/var/mail/louen", 1)[0].must_be(&letter("odd"), HOST);
        facteur.wait_until_empty();
    });
}

/// header-checks with this table.
fn header_checks(machine: &Machine) -> String {
    machine.write(
        "/etc/facteur/header-checks",
        "/^subject: .*cheap (pills|watches)/ REJECT 5.7.1 no $1 here\n\
         /^x-secret:/ IGNORE\n\
         /^x-mailer: bad/ REPLACE X-Mailer: none of your business\n\
         /^to: you@/ PREPEND X-To-You: yes\n\
         /^subject: wait/ HOLD somebody should look\n\
         /^subject: gone/ DISCARD\n\
         /^subject: elsewhere/ REDIRECT admin@example.net\n\
         /^subject: filtered/ FILTER smtp:[192.0.2.9]\n",
    );
    "[tables.header-checks]\nfile = \"header-checks\"\nformat = \"regexp\"\n[[plugin]]\nname \
     = \"header-checks\"\n\
     component = \"builtin:header-checks\"\n[plugin.settings]\ntables = [\"header-checks\"]\n\
     [plugin.grants]\n\
     lookup = [\"header-checks\"]\n"
        .to_owned()
}

#[test]
fn headers_are_checked_as_the_table_says() {
    machine(|machine| {
        let checks = header_checks(machine);
        let facteur = start(machine, &checks);
        assert_eq!(send(&[LOUEN], &letter("Very\r\n\tcheap PILLS")), "550 5.7.1 no pills here");
        assert_eq!(send(&[LOUEN], &letter("filtered")), "451 4.3.5 Policy error, try again later");
        facteur.wait_for_log("FILTER can't be done");
        assert_eq!(send(&[LOUEN], &letter("gone")), "250 2.0.0 Ok");
        assert_eq!(send(&[LOUEN], &letter("elsewhere")).code, 250);
        maildir("/var/mail/admin", 1)[0]
            .header("Subject")
            .filter(|subject| subject == "elsewhere")
            .unwrap();
        let text = crlf(
            "From: me\nX-Secret: 1\nTo: you@example.org\nX-Mailer: bad\nX-Secret: 2\nSubject: \
             fine\n\nX-Secret: in the body\n",
        );
        assert_eq!(send(&[LOUEN], &text).code, 250);
        let mail = maildir("/var/mail/louen", 1).remove(0);
        let expected = "From: me\nX-To-You: yes\nTo: you@example.org\nX-Mailer: none of your \
         business\nSubject: fine\n\n\
                        X-Secret: in the body\n";
        assert!(mail.text().ends_with(expected), "{}", mail.text());
        assert!(
            !mail.text().contains("X-Secret: 1") && !mail.text().contains("X-Secret: 2"),
            "{}",
            mail.text()
        );
        facteur.wait_until_empty();
        let id = client().deliver(SENDER, &[LOUEN], &letter("wait"));
        let queued = facteur.queued();
        assert_eq!(
            (queued[0].id.as_str(), queued[0].reason.as_deref()),
            (id.as_str(), Some("somebody should look"))
        );
    });
}

fn clamav(clamd: &str, more: &str) -> String {
    format!(
        "[scanners.av]\nclamd = [\"{clamd}\"]\nmessage-size = \"60MB\"\n[[plugin]]\nname \
         = \"clamav\"\n\
         component = \"builtin:clamav\"\ntimeout = \"60s\"\n{more}\n[plugin.settings]\nscanner \
         = \"av\"\n[plugin.grants]\n\
         scanner = [\"av\"]\n"
    )
}

#[test]
fn a_large_message_passes_scanner_and_edits_and_is_never_held_whole() {
    machine_within(Duration::from_mins(3), |machine| {
        let clamd = Clamd::start(machine, "clamd", "StreamMaxLength 100M");
        let plugins =
            header_checks(machine) + &clamav(&clamd.socket(), "") + &probe("p", "\"map-body\"");
        let facteur = start(machine, &plugins);
        let text = |lines: usize| {
            crlf(&format!(
                "To: you@example.org\nX-Secret: 1\n\n{}",
                "harmless x and long\n".repeat(lines)
            ))
        };
        assert_eq!(send(&[LOUEN], &text(10)).code, 250);
        maildir("/var/mail/louen", 1);
        let before = facteur.memory("VmHWM");
        let large = text(50_000_000 / 21);
        assert_eq!(send(&["admin@example.net"], &large).code, 250);
        let mail = maildir("/var/mail/admin", 1).remove(0);
        let expected = text(50_000_000 / 21);
        let expected = String::from_utf8(expected)
            .unwrap()
            .replace("X-Secret: 1\r\n", "")
            .replace(" x and", " y and");
        let expected = format!("X-To-You: yes\n{}", expected.replace("\r\n", "\n"));
        assert!(
            mail.content.ends_with(expected.as_bytes()),
            "{}",
            String::from_utf8_lossy(&mail.content[..1000])
        );
        let grown = facteur.memory("VmHWM").saturating_sub(before);
        assert!(grown < 40 << 10, "{grown} KiB more for a message of 50 MB");
        // A virus at the end of it is found.
        let infected = [&large[..], Clamd::virus().as_bytes(), b"\r\n"].concat();
        assert_eq!(
            send(&[LOUEN], &infected),
            "554 5.7.1 virus Eicar-Test-Signature.UNOFFICIAL found"
        );
        facteur.wait_until_empty();
    });
}

#[test]
fn a_content_plugin_fails_open_only_where_the_operator_says_so() {
    machine(|machine| {
        let config = configure(machine, &clamav("/nowhere/clamd.sock", ""));
        let checked = run_facteur(&config, &["check"]);
        assert!(checked.code == 0 && !checked.err.contains("fail-open"), "{checked:?}");
        let facteur = start(machine, &clamav("/nowhere/clamd.sock", ""));
        assert_eq!(send(&[LOUEN], &letter("one")), "451 4.3.5 Policy error, try again later");
        configure(machine, &clamav("/nowhere/clamd.sock", "fail-open = true"));
        let checked = run_facteur(&config, &["check"]);
        assert!(checked.code == 0 && checked.err.contains("fail-open"), "{checked:?}");
        facteur.run(&["reload"]).success();
        assert_eq!(send(&[LOUEN], &letter("two")).code, 250);
        facteur.wait_for_log("fail-open");
        maildir("/var/mail/louen", 1)[0].must_be(&letter("two"), HOST);
        let wrong = probe("p", "\"no-opinion\"").replace("timeout", "fail-open = true\ntimeout");
        configure(machine, &wrong);
        let checked = run_facteur(&config, &["check"]);
        assert!(
            checked.code != 0 && checked.err.contains("whose only hook is on-content"),
            "{checked:?}"
        );
    });
}
