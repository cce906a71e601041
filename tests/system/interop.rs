//! Other programs that send mail, and Postfix on either side.

use std::collections::BTreeSet;
use std::process::Command;

use facteur_tests::{
    Client, Dns, Facteur, GATEWAY, Gateway, Machine, Mail, Postfix, SmtpSink, crlf, machine,
    output_of, peer,
};

/// A smtp-sink where all mail ends.
const HOP: &str = "127.0.0.3:25";
const POSTFIX: &str = "127.0.0.2:25";

/// Facteur, which sends everything to this next hop.
fn gateway(machine: &Machine, hop: &str) -> (Dns, Facteur) {
    let dns = Dns::start("127.0.0.1", "");
    let config = Gateway { routes: &[("*", hop)], ..Gateway::default() }.write(machine, "interop");
    (dns, Facteur::start(machine, &config))
}

/// Eight-bit text and octets that are no text, the longest lines there may be, and dots where they
/// hurt.
fn awkward() -> Vec<u8> {
    // With the header fields that Postfix would add.
    let mut content = crlf(
        "Date: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-Id: <1@sender.test>\nFrom: a@sender.test\n",
    );
    content.extend_from_slice(&crlf("To: b@hop.test\nSubject: awkward\nMIME-Version: 1.0\n"));
    content.extend_from_slice(&crlf(
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n",
    ));
    content.extend_from_slice("Été, être, œuf\r\n".as_bytes());
    content.extend_from_slice(b"octets: \x80\x81\xfe\xff\xe9\r\n");
    // RFC 5321 section 4.5.3.1.6: 1,000 octets with CRLF.
    content.extend_from_slice(&[&[b'x'; 998][..], b"\r\n"].concat());
    content.extend_from_slice(&[b".", &[b'y'; 997][..], b"\r\n"].concat());
    content.extend_from_slice(
        b".\r\n..\r\n...\r\n.QUIT\r\n\r\n.\r\n\r\nFrom here on\r\n trailing blanks   \r\n\t\r\n\
         last\r\n",
    );
    content
}

/// Sends it as it is.
fn send(to: &str, sender: &str, recipient: &str, content: &[u8]) {
    let mut client = Client::connect("127.0.0.1", to);
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{sender}> BODY=8BITMIME"), 250);
    client.expect(&format!("RCPT TO:<{recipient}>"), 250);
    client.expect("DATA", 354);
    assert_eq!(client.content(content).code, 250);
}

fn must_have_come(mail: &Mail) {
    assert_eq!(
        (mail.sender.as_str(), &*mail.recipients),
        ("a@sender.test", &["b@hop.test".to_owned()][..])
    );
}

#[test]
fn swaks_gets_mail_through() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let (_dns, facteur) = gateway(machine, "smtp:[127.0.0.3]:25");
        let body = "Gruß an alle\\n.dot\\n..\\nlast";
        let mut swaks = Command::new(peer("swaks"));
        swaks.args([
            "--server",
            "127.0.0.1",
            "--from",
            "a@sender.test",
            "--to",
            "b@hop.test,c@hop.test",
        ]);
        swaks.args(["--header", "Subject: by swaks", "--body", body]);
        output_of(&mut swaks).success();
        let mail = sink.one();
        assert_eq!(mail.sorted_recipients(), ["b@hop.test", "c@hop.test"]);
        assert_eq!(mail.header("Subject").unwrap(), "by swaks");
        let text = mail.text();
        assert!(text.contains("\nGruß an alle\n.dot\n..\nlast\n"), "{text}");
        assert!(mail.header("Received").unwrap().contains(GATEWAY), "{text}");
        facteur.wait_until_empty();
    });
}

#[test]
fn smtplib_gets_mail_through() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let (_dns, facteur) = gateway(machine, "smtp:[127.0.0.3]:25");
        let file = machine.folder().join("awkward.eml");
        std::fs::write(&file, awkward()).expect("the folder is the test's");
        let script = "
import smtplib, sys
with smtplib.SMTP('127.0.0.1') as smtp:
    smtp.ehlo('smtplib.test')
    for keyword in ('pipelining', 'size', '8bitmime', 'enhancedstatuscodes', 'dsn', 'smtputf8'):
        assert smtp.has_extn(keyword), keyword
    refused = smtp.sendmail('a@sender.test', ['b@hop.test'], open(sys.argv[1], 'rb').read(), \
    ['BODY=8BITMIME'])
    assert not refused, refused
    try:
        smtp.sendmail('a@sender.test', ['ghost@local.test'], b'Subject: x\\r\\n\\r\\nx\\r\\n')
        raise AssertionError('taken for nobody')
    except smtplib.SMTPRecipientsRefused as error:
        assert error.recipients['ghost@local.test'][0] == 550, error
";
        output_of(Command::new("python3").arg("-c").arg(script).arg(&file)).success();
        let mail = sink.one();
        must_have_come(&mail);
        mail.must_be(&awkward(), GATEWAY);
        facteur.wait_until_empty();
    });
}

#[test]
fn smtp_source_gets_mail_through() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let (_dns, facteur) = gateway(machine, "smtp:[127.0.0.3]:25");
        let source = |options: &[&str]| {
            let mut source = Command::new(peer("smtp-source"));
            source.args(["-N", "-f", "a@sender.test", "-t", "box@hop.test", "-s", "4", "-m", "20"]);
            output_of(source.args(options).arg("127.0.0.1:25")).success();
        };
        // Many messages a connection, one a connection, several recipients a message.
        source(&["-d", "-S", "kept"]);
        source(&["-S", "anew"]);
        source(&["-r", "5", "-S", "several"]);
        let mails = sink.mail(60);
        let by_subject = |subject: &str| {
            let mails =
                mails.iter().filter(|mail| mail.header("Subject").as_deref() == Some(subject));
            mails.flat_map(|mail| mail.recipients.clone()).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(["kept", "anew", "several"].map(by_subject), [20, 20, 100]);
        facteur.wait_until_empty();
    });
}

#[test]
fn postfix_relays_through_facteur() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let (_dns, facteur) = gateway(machine, "smtp:[127.0.0.3]:25");
        // Postfix listens on what its machine's interfaces have.
        machine.addresses(&["127.0.0.2"]);
        let main = "myhostname = postfix.test\nmynetworks = 127.0.0.0/8\nmydestination =\n\
         relayhost = [127.0.0.1]:25\n";
        let postfix = Postfix::start(machine, "pf", POSTFIX, main, "");
        send(POSTFIX, "a@sender.test", "b@hop.test", &awkward());
        let mail = sink.one();
        must_have_come(&mail);
        mail.must_be(&awkward(), GATEWAY);
        let received: Vec<String> = mail
            .headers()
            .into_iter()
            .filter(|(name, _)| name == "Received")
            .map(|(_, value)| value)
            .collect();
        assert!(
            received[0].contains("postfix.test")
                && received[1].contains("by postfix.test (Postfix)"),
            "{received:?}"
        );
        facteur.wait_until_empty();
        assert!(postfix.run("postqueue", &["-p"]).success().contains("empty"));
    });
}

#[test]
fn facteur_relays_through_postfix() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let (_dns, facteur) = gateway(machine, "smtp:[127.0.0.2]:25");
        // Postfix listens on what its machine's interfaces have.
        machine.addresses(&["127.0.0.2"]);
        let main = "myhostname = postfix.test\nmynetworks = 127.0.0.0/8\nmydestination =\n\
         relayhost = [127.0.0.3]:25\n";
        let postfix = Postfix::start(machine, "pf", POSTFIX, main, "");
        send("127.0.0.1:25", "a@sender.test", "b@hop.test", &awkward());
        let mail = sink.one();
        must_have_come(&mail);
        mail.must_be(&awkward(), "postfix.test");
        assert!(mail.text().contains(&format!("by {GATEWAY} (")), "{}", mail.text());
        facteur.wait_until_empty();
        assert!(postfix.run("postqueue", &["-p"]).success().contains("empty"));
    });
}
