//! Smuggling: whatever stands in a message, and however its commands are written, one message goes
//! in and one comes out, whole, in octets that no server can read otherwise.

use std::time::Duration;

use facteur_tests::{Client, Facteur, Machine, Mail, Postfix, Sink, Site, crlf, machine_within};

const SENDER: &str = "somebody@example.org";
const RECIPIENT: &str = "x@via.ecp.fr";
const INNER: &str = "192.0.2.66:25";
/// Some thousand messages.
const LONG: Duration = Duration::from_secs(120);

/// What some server took for the end of a line.
const LINE_ENDS: [&str; 8] = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\n\n", "\r\n\0", "\r\0\n"];
/// What some server took for a line with a dot alone.
const DOTS: [&str; 7] = [".", "..", ". ", " .", "\t.", "\0.", ".\0"];

/// Each dot between each two line ends, but for the one that is the end of data.
fn sequences() -> Vec<String> {
    let mut all = Vec::new();
    for before in LINE_ENDS {
        for dot in DOTS {
            for after in LINE_ENDS {
                all.push(format!("{before}{dot}{after}"));
            }
        }
    }
    all.retain(|sequence| !sequence.contains("\r\n.\r\n"));
    all
}

/// A message with the sequence in it. What follows would be a second one for a server that ends
/// the first there.
fn smuggling(sequence: &str) -> String {
    let first = "Subject: first\r\n\r\nhello";
    let second = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<x@via.ecp.fr>\r\nDATA\r\nSubject: \
                  second\r\n\r\nsmuggled\r\n";
    format!("{first}{sequence}{second}")
}

/// Sends one message with each sequence, waiting for each reply.
fn one_by_one(client: &mut Client) -> usize {
    let all = sequences();
    for sequence in &all {
        client.envelope(SENDER, &[RECIPIENT]);
        client.write(format!("{}.\r\n", smuggling(sequence)).as_bytes());
        let reply = client.reply();
        assert_eq!(reply.code, 250, "{sequence:?}: {reply}");
        // The commands inside are content, so nothing more is answered before this.
        assert_eq!(client.send("NOOP"), "250 2.0.0 Ok", "{sequence:?}");
    }
    all.len()
}

/// The same with all of it in one write, before the first reply, and by chunks that end within the
/// sequence, which may hold the end of data as well.
fn ahead_and_in_chunks(client: &mut Client) -> usize {
    let envelope = format!("MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\n");
    let all = sequences();
    for sequence in &all {
        let content = smuggling(sequence);
        client.write(format!("{envelope}DATA\r\n{content}.\r\nNOOP\r\n").as_bytes());
        let codes: Vec<u16> = (0..5).map(|_| client.reply().code).collect();
        assert_eq!(codes, [250, 250, 354, 250, 250], "{sequence:?}");
    }
    let counted: Vec<_> = all.into_iter().chain(["\r\n.\r\n".to_owned()]).collect();
    for sequence in &counted {
        let content = smuggling(sequence);
        let (start, end) = content.split_at(content.find(sequence.as_str()).unwrap() + 1);
        let chunks = format!("BDAT {}\r\n{start}BDAT {} LAST\r\n{end}", start.len(), end.len());
        client.write(format!("{envelope}{chunks}NOOP\r\n").as_bytes());
        let codes: Vec<u16> = (0..5).map(|_| client.reply().code).collect();
        assert_eq!(codes, [250; 5], "{sequence:?}");
    }
    2 * counted.len() - 1
}

/// So many came, each whole; and nothing else until whatever is sent after them.
fn must_be_whole(sink: &Sink, count: usize, client: &mut Client, facteur: &Facteur) {
    facteur.wait_until_empty();
    client.deliver(
        SENDER,
        &[RECIPIENT],
        &crlf("Subject: first\n\nMAIL FROM:<evil@example.org>\nsmuggled\n"),
    );
    let mails = sink.mail(count + 1);
    println!("{count} sequences, {} messages", mails.len() - 1);
    mails.iter().for_each(must_be_one);
}

fn must_be_one(mail: &Mail) {
    let text = mail.text();
    assert_eq!((mail.sender.as_str(), &*mail.recipients), (SENDER, &[RECIPIENT.to_owned()][..]));
    assert_eq!(mail.header("Subject").as_deref(), Some("first"), "{text:?}");
    let whole = text.contains("MAIL FROM:<evil@example.org>") && text.contains("smuggled");
    assert!(whole, "cut off: {text:?}");
    let bare = text.replace("\r\n", "").contains(['\r', '\n']);
    assert!(!bare, "a bare CR or LF went on: {text:?}");
}

/// The next hop of the site, which hands all on to [`INNER`].
fn zen(machine: &Machine) -> Facteur {
    let config = format!(
        r#"
hostname = "zen.via.ecp.fr"
[[listen]]
address = "{}"
[domains]
relay = ["via.ecp.fr"]
[dns]
servers = ["127.0.0.1"]
[spool]
path = "/var/spool/zen"
[tables.transport]
inline = {{ "via.ecp.fr" = "smtp:[192.0.2.66]" }}
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["transport"]
[plugin.grants]
lookup = ["transport"]
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["reject_unauth_destination"]
"#,
        Site::address("zen.via.ecp.fr")
    );
    Facteur::start(machine, &machine.write("/etc/zen/facteur.toml", &config))
}

#[test]
fn nothing_is_smuggled_through_two_of_us() {
    machine_within(LONG, |machine| {
        let site = Site::new(machine);
        let sink = Sink::start(INNER);
        let _zen = zen(machine);
        let facteur = site.sulfura();
        let mut client = site.stranger();
        let count = one_by_one(&mut client) + ahead_and_in_chunks(&mut client);
        must_be_whole(&sink, count, &mut client, &facteur);
    });
}

/// Postfix 3.7 is a server that can be smuggled through.
#[test]
fn nothing_is_smuggled_through_us_and_postfix() {
    machine_within(LONG, |machine| {
        let site = Site::new(machine);
        let sink = Sink::start(INNER);
        let main = "myhostname = zen.via.ecp.fr\nmydestination =\nmynetworks = 127.0.0.0/8\n\
                    relay_domains = via.ecp.fr\nrelayhost = [192.0.2.66]\n";
        let _zen = Postfix::start(machine, "zen", Site::address("zen.via.ecp.fr"), main, "");
        let facteur = site.sulfura();
        let mut client = site.stranger();
        let count = one_by_one(&mut client);
        must_be_whole(&sink, count, &mut client, &facteur);
    });
}

/// Envelopes with a command in them, for a server that ends lines elsewhere than we do. Whatever is
/// made of each, nothing of it may come out as a line of its own.
#[test]
fn no_command_hides_in_an_envelope() {
    const HIDDEN: [&str; 6] = ["\r", "\0", "\r\0", "\u{b}", "\u{85}", "\u{2028}"];
    machine_within(LONG, |machine| {
        let site = Site::new(machine);
        let sink = Sink::start(Site::address("zen.via.ecp.fr"));
        let facteur = site.sulfura();
        let mut count = 0;
        for end in HIDDEN {
            let evil = format!("{end}RCPT TO:<evil@via.ecp.fr>{end}");
            let lines = [
                format!("MAIL FROM:<\"a{evil}\"@example.org> SMTPUTF8"),
                format!("MAIL FROM:<a@example.org> ENVID=a{evil} SMTPUTF8"),
                format!("MAIL FROM:<a@example.org>{evil}"),
                format!("RCPT TO:<\"x{evil}\"@via.ecp.fr>"),
                format!("RCPT TO:<x@via.ecp.fr> ORCPT=rfc822;x{evil}"),
                format!("RCPT TO:<x@via.ecp.fr> ORCPT=utf-8;x+0D+0ARCPT{evil}"),
                format!("EHLO a{evil}"),
                format!("NOOP {evil}"),
            ];
            for line in &lines {
                let mut client = site.stranger();
                let mail =
                    if line.starts_with("MAIL") { line } else { "MAIL FROM:<a@example.org>" };
                client.send(mail);
                if !line.starts_with("MAIL") {
                    client.send(line);
                }
                client.send("RCPT TO:<x@via.ecp.fr>");
                if client.send("DATA").code == 354 {
                    assert_eq!(client.content(b"Subject: one\r\n\r\n").code, 250, "{line:?}");
                    count += 1;
                }
            }
        }
        facteur.wait_until_empty();
        println!("{count} messages");
        for mail in sink.mail(count) {
            let said = mail.arguments.join("|");
            assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
            assert!(!mail.recipients.contains(&"evil@via.ecp.fr".to_owned()), "{mail:?}");
        }
    });
}

/// Chunks whose length isn't what it seems: what they hold is never taken for commands.
#[test]
fn a_chunk_that_is_refused_is_no_command() {
    machine_within(LONG, |machine| {
        let site = Site::new(machine);
        let sink = Sink::start(Site::address("zen.via.ecp.fr"));
        let facteur = site.sulfura();
        let evil =
            "MAIL FROM:<evil@example.org>\r\nRCPT TO:<x@via.ecp.fr>\r\nBDAT 4 LAST\r\nx\r\n\r\n";
        let length = evil.len();
        let sizes = [
            format!("BDAT {length}"),
            format!("BDAT {length} LAST"),
            format!("BDAT {length} FIRST"),
            format!("BDAT {length} LAST LAST"),
            format!("BDAT +{length}"),
            format!("BDAT -{length}"),
            format!("BDAT {length}.0"),
            format!("BDAT 0x{length:x}"),
            format!("BDAT 18446744073709551616{length}"),
            "BDAT".to_owned(),
            "BDAT 4294967296".to_owned(),
            "BDAT 18446744073709551615".to_owned(),
        ];
        let envelopes = [
            "",
            "MAIL FROM:<a@example.org>\r\n",
            "MAIL FROM:<a@example.org>\r\nRCPT TO:<nobody@far.example>\r\n",
        ];
        for size in &sizes {
            for envelope in envelopes {
                let mut client = site.stranger();
                client.write(format!("{envelope}{size}\r\n{evil}QUIT\r\n").as_bytes());
                client.end_of_input();
                while let Ok(reply) = client.try_reply() {
                    assert!(!reply.text.contains("queued"), "{envelope:?} {size}: {reply}");
                }
            }
        }
        facteur.wait_until_empty();
        assert_eq!(sink.count(), 0);
    });
}
