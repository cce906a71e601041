//! Headers: a filter sees what the reader sees, and what is stored and sent on agrees with it. The
//! reference is Postfix, octet by octet.

use facteur_tests::{Client, Facteur, Machine, Mail, Postfix, Sink, crlf, machine, maildir};

const OURS: &str = "192.0.2.1";
const POSTFIX: &str = "192.0.2.2";
const STRANGER: &str = "192.0.2.9";

/// A relay that hands all on to `hop`, with header checks that reject what is `forbidden`.
fn facteur(machine: &Machine, hop: &str) -> Facteur {
    let config = format!(
        r#"
hostname = "ours.example.org"
[[listen]]
address = "{OURS}:25"
[domains]
relay = ["example.net"]
local = ["ours.example.org"]
[mailboxes]
users = "system"
path = "/var/mail/{{user}}/"
[tables.transport]
inline = {{ "example.net" = "smtp:[{hop}]" }}
[tables.header-checks]
format = "regexp"
file = "/etc/facteur/header_checks"
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
[[plugin]]
name = "header-checks"
component = "builtin:header-checks"
[plugin.settings]
tables = ["header-checks"]
[plugin.grants]
lookup = ["header-checks"]
"#
    );
    machine.write("/etc/facteur/header_checks", "/forbidden$/ REJECT\n");
    Facteur::start(machine, &machine.write("/etc/facteur/facteur.toml", &config))
}

/// The same without the checks.
fn postfix(machine: &Machine, hop: &str) -> Postfix {
    let main = format!(
        "myhostname = postfix.example.org\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         relay_domains = example.net\nrelayhost = [{hop}]\nsmtp_line_length_limit = 998\n"
    );
    Postfix::start(machine, "postfix", &format!("{POSTFIX}:25"), &main, "")
}

/// Sends each content to a recipient of its own; gives what comes out at the sink, in this order,
/// below the `Received:` of the server.
fn through(sink: &Sink, server: &str, from: &str, contents: &[&str]) -> Vec<String> {
    let mut client = Client::connect(from, &format!("{server}:25"));
    client.ehlo();
    for (number, content) in contents.iter().enumerate() {
        let to = format!("x{number:02}@example.net");
        client.deliver("a@client.example.com", &[&to], &crlf(content));
    }
    let mut mails = sink.mail(contents.len());
    mails.sort_by(|a, b| a.recipients.cmp(&b.recipients));
    mails.iter().map(below_received).collect()
}

fn below_received(mail: &Mail) -> String {
    let text = mail.text();
    let mut end = 0;
    for (number, line) in text.split_inclusive("\r\n").enumerate() {
        if number > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        end += line.len();
    }
    text[end..].replace("\r\n", "\n")
}

const FULL: &str = "From: a@client.example.com\nDate: Thu, 26 Nov 2026 10:00:00 +0000\n\
                    Message-ID: <1@client.example.com>\n";

#[test]
fn headers_end_where_they_end_for_postfix() {
    machine(|machine| {
        machine.addresses(&[OURS, POSTFIX, STRANGER, "192.0.2.66", "192.0.2.67"]);
        let (ours, theirs) = (Sink::start("192.0.2.66:25"), Sink::start("192.0.2.67:25"));
        let facteur = facteur(machine, "192.0.2.66");
        let _postfix = postfix(machine, "192.0.2.67");
        let long = format!("{}: x\nSubject: y\n\nb\n", "N".repeat(900));
        let contents = [
            "From a@client.test Thu Nov 26 10:00:00 2026\nSubject: a\n\nbody\n",
            ">From a@client.test Thu Nov 26 10:00:00 2026\nFrom b\nSubject: a\n\nbody\n",
            "From a\n folded\nSubject: a\n\nbody\n",
            ">>>From a@client.test\nfrom b\n>FROM c\nSubject: a\n\nbody\n",
            "From\ta\nSubject: a\n\nbody\n",
            "From \nSubject: a\n\nbody\n",
            "> From a\nSubject: a\n\nbody\n",
            "From : a@client.test\nSubject: a\n\nbody\n",
            "From a\n\nSubject: body\n",
            "From a\nhello\nSubject: body\n",
            "From: a@client.test\nFrom b\nSubject: a\n\nbody\n",
            "Subject:\n\tfolded\n \n\t\nTo: b\n\nbody\n",
            "Subject : a\n (b)\nTo\t: c\n\nbody\n",
            "Bcc: b\n\nSubject: body\n",
            "Bcc:\n b\n\tc\n\nbody\n",
            "X-Bcc: b\nBcc-X: c\nSubject: a\n\nbody\n",
            "Subject: a\n.\nTo: b\n\nbody\n",
            "Subject: a\n\u{feff}To: b\n\nbody\n",
            "\u{feff}Subject: a\nTo: b\n\nbody\n",
            ":\nSubject: a\n\nbody\n",
            "Subject: a\nTo; b\nCc: c\n\nbody\n",
            "hello\nSubject: world\n",
            " folded first\nSubject: a\n\nbody\n",
            "Subject: a\nno header\nTo: b\n\nbody\n",
            "Subject: a\nFrom x y\nTo: b\n\nbody\n",
            "Subject: a\n \nTo: b\n\nbody\n",
            "Subject: a\nOld \t: b\n: c\nTo: d\n\nbody\n",
            "Subject: a\nX\u{e9}: b\nTo: d\n\nbody\n",
            "Subject: a\nX\u{c}: b\nTo: d\n\nbody\n",
            "Subject: only headers\n",
            "\nbody\n",
            "\n",
            "",
            "Bcc: b,\n c\nSubject: a\nBCC : d\nresent-bcc: e\nReturn-Path: <f>\n\
             Content-Length: 3\n\nBcc: body\n",
            "Bcc: b\nhello\n",
            "Bcc: b\n",
            &long,
        ];
        let sent = |sink, server| through(sink, server, STRANGER, &contents);
        let (ours, theirs) = (sent(&ours, OURS), sent(&theirs, POSTFIX));
        for ((content, ours), theirs) in contents.iter().zip(&ours).zip(&theirs) {
            assert_eq!(ours, theirs, "{content:?}");
        }
        facteur.wait_until_empty();
    });
}

/// Postfix cuts a header off at a NUL.
#[test]
fn nul_goes_through() {
    machine(|machine| {
        machine.addresses(&[OURS, STRANGER, "192.0.2.66"]);
        let sink = Sink::start("192.0.2.66:25");
        let _facteur = facteur(machine, "192.0.2.66");
        let contents = ["Subject: a\0b\n\nbo\0dy\n", "Subject: a\n\nX\0: y\nTo: b\n\nbody\n"];
        assert_eq!(through(&sink, OURS, STRANGER, &contents), contents);
    });
}

#[test]
fn a_filter_sees_what_the_reader_sees() {
    machine(|machine| {
        machine.addresses(&[OURS, STRANGER, "192.0.2.66"]);
        let _sink = Sink::start("192.0.2.66:25");
        let _facteur = facteur(machine, "192.0.2.66");
        let mut client = Client::connect(STRANGER, &format!("{OURS}:25"));
        client.ehlo();
        let mut send = |content: &str| {
            client.envelope("a@client.example.com", &["x@example.net"]);
            client.content(&crlf(content)).to_string()
        };
        let rejected = "550 5.7.1 message content rejected";
        let subject = "Subject: forbidden\n\nbody\n";
        assert_eq!(send(subject), rejected);
        assert_eq!(send(&format!("From a@client.test Thu Nov 26\n{subject}")), rejected);
        // Far into the headers, behind many of them and behind a long one, and at the end of it.
        let many = "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n";
        assert_eq!(send(&format!("{}{subject}", many.repeat(14_000))), rejected);
        let long = format!("X: {}", "y\n\t".repeat(200_000));
        assert_eq!(send(&format!("{long}z\n{subject}")), rejected);
        assert_eq!(send(&format!("{long}forbidden\n\nbody\n")), rejected);
        let large = "552 5.3.4 Error: message headers too big";
        assert_eq!(send(&format!("{}\nbody\n", many.repeat(15_000))), large);
        let few = "552 5.3.4 Error: too many message headers";
        assert_eq!(send(&format!("{}\nbody\n", "X: y\n".repeat(30_001))), few);
        // The session is in step. What is no header for the reader is none for the filter.
        assert!(send(&format!("hello\n{subject}")).starts_with("250 "));
    });
}

#[test]
fn local_mail_gets_the_headers_that_it_lacks_and_others_keep_theirs() {
    machine(|machine| {
        machine.addresses(&[OURS, POSTFIX, STRANGER, "192.0.2.66", "192.0.2.67"]);
        let (ours, theirs) = (Sink::start("192.0.2.66:25"), Sink::start("192.0.2.67:25"));
        let _facteur = facteur(machine, "192.0.2.66");
        let _postfix = postfix(machine, "192.0.2.67");
        let contents = [
            "Subject: a\n\nbody\n".to_owned(),
            "hello\n".to_owned(),
            "Subject: a\n".to_owned(),
            String::new(),
            format!("{FULL}\nbody\n"),
            format!("{FULL}Resent-To: b@example.net\n\nbody\n"),
            format!(
                "{FULL}Resent-To: b@example.net\nResent-Date: Thu, 26 Nov 2026 11:00:00 +0000\n\nbody\n"
            ),
            "FROM: a@client.example.com\nDate:\n\nbody\n".to_owned(),
        ];
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        // Their values differ by the moment.
        let comparable = |text: &String| {
            let line = |line: &str| match line.split_once(": ") {
                Some((name, value)) if !value.starts_with("<1@") => match &*name.to_lowercase() {
                    "message-id" | "resent-message-id" => format!("{}: <>", name.to_lowercase()),
                    "date" | "resent-date" => format!("{name}: now"),
                    _ => line.to_owned(),
                },
                _ => line.to_owned(),
            };
            text.lines().map(line).collect::<Vec<_>>()
        };
        let local = |sink, server| through(sink, server, server, &contents);
        let (our_mail, their_mail) = (local(&ours, OURS), local(&theirs, POSTFIX));
        for ((content, ours), theirs) in contents.iter().zip(&our_mail).zip(&their_mail) {
            assert_eq!(comparable(ours), comparable(theirs), "{content:?}");
        }
        let mut client = Client::connect(STRANGER, &format!("{OURS}:25"));
        client.ehlo();
        client.deliver("a@client.example.com", &["x@example.net"], &crlf("Subject: far\n\nx\n"));
        let mail = ours.mail(contents.len() + 1);
        let far = mail.iter().map(below_received).find(|text| text.contains("far"));
        assert_eq!(far.as_deref(), Some("Subject: far\n\nx\n"));
    });
}

#[test]
fn a_loop_is_seen_however_long_the_headers_are() {
    machine(|machine| {
        machine.addresses(&[OURS, STRANGER, "192.0.2.66"]);
        let sink = Sink::start("192.0.2.66:25");
        let facteur = facteur(machine, "192.0.2.66");
        let mut client = Client::connect(STRANGER, &format!("{OURS}:25"));
        client.ehlo();
        let pad = "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n";
        let hops = format!("{}{}\nbody\n", pad.repeat(10_000), "Received: x\n".repeat(51));
        client.envelope("a@client.example.com", &["x@example.net"]);
        assert_eq!(client.content(&crlf(&hops)), "554 5.4.6 Error: too many hops");
        let to = "louen@ours.example.org";
        let back = format!("{}Delivered-To: {to}\n\nbody\n", pad.repeat(10_000));
        client.envelope("", &[to]);
        let refusal = format!("554 5.4.6 mail forwarding loop for {to}");
        assert_eq!(client.content(&crlf(&back)), refusal.as_str());
        client.deliver("", &[to], &crlf(&format!("{pad}\nDelivered-To: {to}\n")));
        maildir("/var/mail/louen", 1);
        // Where it loops for one alone, the others get it.
        client.deliver("", &[to, "x@example.net"], &crlf(&back));
        facteur.wait_until_empty();
        assert_eq!(sink.one().recipients, ["x@example.net"]);
        maildir("/var/mail/louen", 1);
    });
}
