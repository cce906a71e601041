//! Content: what is sent comes out, octet by octet, as one message, or is refused as a whole.

use facteur_tests::{Client, Facteur, Machine, Sink, Site, crlf, machine, maildir};

const HOST: &str = "sulfura.via.ecp.fr";
const SENDER: &str = "somebody@example.org";

/// Every octet above 127 in header and body, lines of the greatest length, dots at their starts, no
/// empty line at the end.
fn eight_bit() -> Vec<u8> {
    let mut content = b"Subject: \xe9t\xe9 \xc3\xa9\r\nX-Long: ".to_vec();
    content.extend_from_slice(&[b'x'; 990]);
    content.extend_from_slice(b"\r\n\r\n");
    content.extend(0x80..=0xff_u8);
    content.extend_from_slice(b"\r\n..two dots\r\n.\r\n\t trailing blanks \t \r\n");
    content.extend_from_slice(&[b'y'; 998]);
    content.extend_from_slice(b"\r\n.last");
    content.extend_from_slice(b"\r\n");
    content
}

#[test]
fn eight_bit_content_comes_out_as_it_went_in() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = Sink::start(Site::address("zen.via.ecp.fr"));
        let facteur = site.sulfura();
        let mut client = site.stranger();
        client.expect(&format!("MAIL FROM:<{SENDER}> BODY=8BITMIME"), 250);
        client.expect("RCPT TO:<x@via.ecp.fr>", 250);
        client.expect("RCPT TO:<louen@sulfura.via.ecp.fr>", 250);
        client.expect("DATA", 354);
        assert_eq!(client.content(&eight_bit()).code, 250);
        let mail = zen.one();
        mail.must_be(&eight_bit(), HOST);
        assert!(mail.arguments[0].contains("BODY=8BITMIME"), "{:?}", mail.arguments);
        maildir("/var/mail/louen", 1)[0].must_be(&eight_bit(), HOST);
        facteur.wait_until_empty();
    });
}

/// Content of at least so many octets, every line of it different.
fn large(size: usize) -> Vec<u8> {
    let mut content = crlf(
        "From: a@example.org\nDate: Mon, 2 Mar 2026 10:00:00 +0100\nMessage-ID: <1@example.org>\n\
         Subject: large\n\n",
    );
    let mut number = 0_u64;
    while content.len() < size {
        number += 1;
        // A mixing step of splitmix64, so that no two blocks are alike.
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        content.extend_from_slice(
            format!("{number} {mixed:016x} {:016x}\r\n", mixed.rotate_left(29)).as_bytes(),
        );
        if number.is_multiple_of(7) {
            content.extend_from_slice(b".\r\n");
        }
    }
    content
}

#[test]
fn large_messages_come_out_as_they_went_in() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = Sink::start(Site::address("zen.via.ecp.fr"));
        let facteur = site.sulfura();
        let mut client = site.stranger();
        // Around the size from which bodies are files, and far above.
        let sizes = [60_000, 65_536, 70_000, 3_000_000];
        for size in sizes {
            client.deliver(SENDER, &["x@via.ecp.fr", "louen@sulfura.via.ecp.fr"], &large(size));
        }
        let mut there = zen.mail(sizes.len());
        let mut here = maildir("/var/mail/louen", sizes.len());
        for mails in [&mut there, &mut here] {
            mails.sort_by_key(|mail| mail.content.len());
            for (mail, size) in mails.iter().zip(sizes) {
                mail.must_be(&large(size), HOST);
            }
        }
        facteur.wait_until_empty();
    });
}

/// A server with a mailbox for louen and a small limit.
fn small(machine: &Machine) -> Facteur {
    machine.addresses(&["192.0.2.1"]);
    let config = r#"
hostname = "small.example.org"
[[listen]]
address = "192.0.2.1:25"
[listen.limits]
message-size = 20000
[domains]
local = ["small.example.org"]
[mailboxes]
users = "system"
path = "/var/mail/{user}/"
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["reject_unauth_destination"]
"#;
    Facteur::start(machine, &machine.write("/etc/small/facteur.toml", config))
}

#[test]
fn what_is_too_large_is_refused() {
    machine(|machine| {
        let facteur = small(machine);
        let mut client = Client::connect("192.0.2.1", "192.0.2.1:25");
        let keywords = client.ehlo();
        assert!(keywords.text.lines().any(|line| line == "SIZE 20000"), "{keywords}");
        let reply = client.send(&format!("MAIL FROM:<{SENDER}> SIZE=20001"));
        assert_eq!(reply, "552 5.3.4 Message size exceeds fixed limit");
        client.envelope(SENDER, &["louen@small.example.org"]);
        let reply = client.content(&large(20_100));
        assert_eq!(reply, "552 5.3.4 Error: message file too big");
        // The session is in step, and the next message is another one.
        client.deliver(SENDER, &["louen@small.example.org"], &large(19_900));
        maildir("/var/mail/louen", 1)[0].must_be(&large(19_900), "small.example.org");
        facteur.wait_until_empty();
    });
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let _facteur = site.sulfura();
        let mut client = site.stranger();
        let mut all = crlf(&format!(
            "MAIL FROM:<{SENDER}>\nRCPT TO:<x@via.ecp.fr>\nRCPT TO:<x@example.org>\nDATA\n"
        ));
        all.extend_from_slice(&crlf("Subject: one\n\none\n.\n"));
        all.extend_from_slice(&crlf(&format!(
            "MAIL FROM:<{SENDER}>\nRCPT TO:<y@via.ecp.fr>\nDATA\n"
        )));
        all.extend_from_slice(&crlf("Subject: two\n\ntwo\n.\nQUIT\n"));
        client.write(&all);
        let codes: Vec<u16> = (0..10).map(|_| client.reply().code).collect();
        assert_eq!(codes, [250, 250, 554, 354, 250, 250, 250, 354, 250, 221]);
        client.must_close();
        let mails = zen.mail(2);
        assert_eq!(
            (&*mails[0].recipients, &*mails[1].recipients),
            (&["x@via.ecp.fr".to_owned()][..], &["y@via.ecp.fr".to_owned()][..])
        );
        assert_eq!((mails[0].body(), mails[1].body()), (&b"one\n"[..], &b"two\n"[..]));
    });
}
