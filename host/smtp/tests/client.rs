//! Dialogues with the client machine.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use facteur_smtp::{
    Client, ClientEvent, ClientStage, Envelope, EnvelopeRecipient, Finished, Notify,
    PIPELINE_WINDOW, Reply, Ret, Secret, status,
};

fn envelope(recipients: &[&str]) -> Envelope {
    let recipient = |text: &&str| EnvelopeRecipient {
        address: text.parse().unwrap(),
        notify: None,
        orcpt: None,
    };
    Envelope {
        sender: Some("s@b.org".parse().unwrap()),
        size: 7,
        utf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
        recipients: recipients.iter().map(recipient).collect(),
    }
}

/// A client and the events that its host hasn't looked at.
struct Connection {
    client: Client,
    events: VecDeque<ClientEvent>,
}

impl Connection {
    fn new() -> Self {
        Self { client: Client::new("me.org", "mx[192.0.2.1]:25"), events: VecDeque::new() }
    }

    fn poll(&mut self) -> Option<ClientEvent> {
        self.events.pop_front().or_else(|| self.client.poll())
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// What the server says; gives what the client writes.
fn hear(client: &mut Connection, text: &str) -> String {
    client.receive(text.as_bytes());
    while let Some(event) = client.client.poll() {
        client.events.push_back(event);
    }
    String::from_utf8(std::mem::take(client.output()).to_vec()).unwrap()
}

/// A client that was told these keywords.
fn ready(keywords: &str) -> Connection {
    let mut client = Connection::new();
    assert_eq!(client.stage(), ClientStage::Greeting);
    assert_eq!(hear(&mut client, "220-mx\r\n220 ESMTP\r\n"), "EHLO me.org\r\n");
    assert_eq!(client.stage(), ClientStage::Hello);
    let lines: Vec<_> = std::iter::once("mx.org hi").chain(keywords.split_whitespace()).collect();
    let mut answer = bytes::BytesMut::new();
    Reply::plain(250, lines.join("\n")).write_to(&mut answer, true);
    assert_eq!(hear(&mut client, &String::from_utf8_lossy(&answer)), "");
    let Some(ClientEvent::Ready(capabilities)) = client.poll() else { panic!("not ready") };
    assert_eq!(capabilities.name, "mx.org");
    client
}

fn start(client: &mut Connection, envelope: &Envelope) -> String {
    client.start(envelope);
    String::from_utf8(std::mem::take(client.output()).to_vec()).unwrap()
}

fn finished(client: &mut Connection) -> (Vec<String>, bool) {
    match client.poll() {
        // The server spoke again before the host gave content.
        Some(ClientEvent::SendBody) => finished(client),
        Some(ClientEvent::Finished(Finished { recipients, reusable })) => {
            let replies = recipients.iter().map(|answer| answer.reply.to_string()).collect();
            (replies, reusable && client.is_in_step())
        }
        other => panic!("{other:?}"),
    }
}

fn outcome(replies: &[&str], reusable: bool) -> (Vec<String>, bool) {
    (replies.iter().map(ToString::to_string).collect(), reusable)
}

#[test]
fn pipelined() {
    let mut client = ready("PIPELINING SIZE 8BITMIME");
    assert_eq!(
        start(&mut client, &envelope(&["a@b", "\"c d\"@münchen.de"])),
        "MAIL FROM:<s@b.org> SIZE=7\r\nRCPT TO:<a@b>\r\nRCPT TO:<\"c d\"@xn--mnchen-3ya.de>\r\n\
         DATA\r\n"
    );
    assert_eq!(hear(&mut client, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"), "");
    assert_eq!((client.stage(), client.poll()), (ClientStage::Rcpt, None));
    assert_eq!(hear(&mut client, "550 5.1.1 who?\r\n354 go\r\n"), "");
    assert_eq!(client.poll(), Some(ClientEvent::SendBody));
    assert_eq!(client.stage(), ClientStage::Body);
    client.body(b"x\r\n.y");
    client.end_of_body();
    assert_eq!(hear(&mut client, ""), "x\r\n..y\r\n.\r\n");
    assert_eq!(client.stage(), ClientStage::EndOfData);
    hear(&mut client, "250 2.0.0 Ok: queued as 1\r\n");
    assert_eq!(
        finished(&mut client),
        outcome(&["250 2.0.0 Ok: queued as 1", "550 5.1.1 who?"], true)
    );
    // The connection is used again.
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("MAIL FROM"));
}

#[test]
fn one_at_a_time() {
    let mut client = ready("");
    assert_eq!(start(&mut client, &envelope(&["a@b", "c@d"])), "MAIL FROM:<s@b.org>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "RCPT TO:<a@b>\r\n");
    assert_eq!(hear(&mut client, "450 4.2.0 busy\r\n"), "RCPT TO:<c@d>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "DATA\r\n");
    assert_eq!(hear(&mut client, "354 go\r\n"), "");
    assert_eq!(client.poll(), Some(ClientEvent::SendBody));
    client.end_of_body();
    assert_eq!(hear(&mut client, ""), ".\r\n");
    hear(&mut client, "554 5.6.0 bad\r\n");
    assert_eq!(finished(&mut client), outcome(&["450 4.2.0 busy", "554 5.6.0 bad"], true));
}

#[test]
fn hello_falls_back() {
    let mut client = Connection::new();
    assert_eq!(hear(&mut client, "220 old\r\n"), "EHLO me.org\r\n");
    assert_eq!(hear(&mut client, "502 what?\r\n"), "HELO me.org\r\n");
    hear(&mut client, "250 old\r\n");
    assert!(
        matches!(client.poll(), Some(ClientEvent::Ready(capabilities)) if !capabilities.esmtp && !capabilities.pipelining)
    );
}

#[test]
fn refused_connections() {
    for (talk, reply) in [
        ("554 no\r\n", "554 no"),
        ("220 x\r\n450 4.7.1 later\r\n", "450 4.7.1 later"),
        ("220 x\r\n500 a\r\n550 b\r\n", "550 b"),
        ("220 x\r\n421 bye\r\n", "421 bye"),
        ("199 x\r\n", "451 4.5.0 protocol error of mx[192.0.2.1]:25: malformed reply: 199 x"),
        ("354 x\r\n", "451 4.5.0 protocol error of mx[192.0.2.1]:25: unexpected reply: 354 x"),
    ] {
        let mut client = Connection::new();
        client.receive(talk.as_bytes());
        assert!(
            matches!(client.poll(), Some(ClientEvent::Refused(found)) if found.reply.to_string() == reply),
            "{talk}"
        );
        assert_eq!((client.poll(), client.stage()), (None, ClientStage::Closed));
    }
}

#[test]
fn mail_refused() {
    for (keywords, replies) in
        [("PIPELINING", "550 5.7.1 no\r\n503 a\r\n503 b\r\n503 c\r\n"), ("", "550 5.7.1 no\r\n")]
    {
        let mut client = ready(keywords);
        start(&mut client, &envelope(&["a@b", "c@d"]));
        assert_eq!(hear(&mut client, replies), "");
        assert_eq!(finished(&mut client), outcome(&["550 5.7.1 no", "550 5.7.1 no"], true));
        assert!(start(&mut client, &envelope(&["a@b"])).starts_with("MAIL FROM"));
    }
}

#[test]
fn all_recipients_refused() {
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b", "c@d"]));
    assert_eq!(hear(&mut client, "250 ok\r\n550 a\r\n450 b\r\n554 none\r\n"), "");
    assert_eq!(finished(&mut client), outcome(&["550 a", "450 b"], true));
    // The transaction of before is ended first.
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("RSET\r\nMAIL FROM"));
    // A server that says 354 all the same is given an end and nothing else.
    assert_eq!(hear(&mut client, "250 ok\r\n250 ok\r\n550 a\r\n354 go\r\n"), ".\r\n");
    assert_eq!(client.poll(), None);
    hear(&mut client, "554 none\r\n");
    assert_eq!(finished(&mut client), outcome(&["550 a"], true));
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("MAIL FROM"));
}

#[test]
fn all_recipients_refused_one_at_a_time() {
    let mut client = ready("");
    start(&mut client, &envelope(&["a@b"]));
    hear(&mut client, "250 ok\r\n");
    assert_eq!(hear(&mut client, "550 a\r\n"), "", "no DATA");
    assert_eq!(finished(&mut client), outcome(&["550 a"], true));
    assert_eq!(start(&mut client, &envelope(&["a@b"])), "RSET\r\n");
}

/// Such a server forgets nothing: that says nothing about the next message.
#[test]
fn reset_refused() {
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b"]));
    hear(&mut client, "250 ok\r\n550 a\r\n554 none\r\n");
    finished(&mut client);
    assert!(start(&mut client, &envelope(&["c@d"])).starts_with("RSET\r\nMAIL FROM"));
    hear(&mut client, "503 5.5.0 not now\r\n");
    let told = "451 4.5.0 mx[192.0.2.1]:25 keeps the message before: 503 5.5.0 not now";
    assert_eq!(finished(&mut client), outcome(&[told], false));
    assert_eq!(client.stage(), ClientStage::Closed);
}

#[test]
fn a_reply_too_many_ends_the_use_of_the_connection() {
    for spare in ["250 2.0.0 queued\r\n", "550 5.7.1 after all\r\n", "2"] {
        let mut client = ready("PIPELINING");
        start(&mut client, &envelope(&["a@b"]));
        hear(&mut client, "250 ok\r\n250 ok\r\n354 go\r\n");
        assert_eq!(client.poll(), Some(ClientEvent::SendBody));
        client.end_of_body();
        hear(&mut client, &format!("250 taken\r\n{spare}"));
        assert_eq!(finished(&mut client), outcome(&["250 taken"], false), "{spare:?}");
    }
}

#[test]
fn data_refused() {
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b", "c@d"]));
    hear(&mut client, "250 ok\r\n250 ok\r\n550 c\r\n451 4.3.0 no\r\n");
    assert_eq!(finished(&mut client), outcome(&["451 4.3.0 no", "550 c"], true));
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("RSET\r\n"));
}

#[test]
fn lost_in_the_middle() {
    // A 421 at any point, what is no reply, a lost connection: those decided keep their reply, the
    // others get this one.
    for (end, reply) in [
        ("421 4.3.2 bye\r\n", "421 4.3.2 bye"),
        ("600 x\r\n", "451 4.5.0 protocol error of mx[192.0.2.1]:25: malformed reply: 600 x"),
    ] {
        for talk in [
            "250 ok\r\n550 no\r\n",
            "250 ok\r\n550 no\r\n250 ok\r\n",
            "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
        ] {
            let mut client = ready("PIPELINING");
            start(&mut client, &envelope(&["a@b", "c@d"]));
            hear(&mut client, &format!("{talk}{end}"));
            assert_eq!(finished(&mut client), outcome(&["550 no", reply], false), "{talk}{end}");
            assert_eq!(client.poll(), None);
            client.body(b"void");
            client.end_of_body();
            client.fail(&Reply::new(450, status::BAD_CONNECTION, "again"));
            assert_eq!((hear(&mut client, "250 ok\r\n").as_str(), client.poll()), ("", None));
        }
    }
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b"]));
    hear(&mut client, "250 ok\r\n");
    let lost = format!("lost connection while {}", client.stage());
    client.fail(&Reply::new(450, status::BAD_CONNECTION, lost));
    assert_eq!(
        finished(&mut client),
        outcome(&["450 4.4.2 lost connection while sending RCPT TO"], false)
    );
}

#[test]
fn unasked_replies_end_the_connection() {
    let mut client = ready("");
    hear(&mut client, "421 timeout\r\n");
    assert_eq!(client.poll(), Some(ClientEvent::Closed(Some(Reply::plain(421, "timeout")))));
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b"]));
    hear(&mut client, "250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 too much\r\n");
    assert_eq!(finished(&mut client), outcome(&["552 5.3.4 too much"], false));
}

#[test]
fn recipients_without_a_sender_get_no_empty_message() {
    let mut client = ready("PIPELINING");
    start(&mut client, &envelope(&["a@b"]));
    assert_eq!(hear(&mut client, "550 no\r\n250 ok\r\n354 go\r\n"), "");
    assert_eq!(finished(&mut client), outcome(&["550 no"], false));
}

#[test]
fn only_who_needs_smtputf8_is_refused_for_the_lack_of_it() {
    let mut client = ready("");
    assert_eq!(start(&mut client, &envelope(&["é@b", "c@d", "é@f"])), "MAIL FROM:<s@b.org>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "RCPT TO:<c@d>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "DATA\r\n");
    hear(&mut client, "354 go\r\n");
    client.end_of_body();
    hear(&mut client, "250 taken\r\n");
    let lacking = "553 5.6.7 SMTPUTF8 is required, but was not offered by host mx[192.0.2.1]:25";
    assert_eq!(finished(&mut client), outcome(&[lacking, "250 taken", lacking], true));
    for message in [
        Envelope { utf8: true, ..envelope(&["a@b", "c@d"]) },
        Envelope { sender: Some("é@b".parse().unwrap()), ..envelope(&["a@b", "c@d"]) },
    ] {
        assert_eq!(start(&mut client, &message), "");
        assert_eq!(finished(&mut client), outcome(&[lacking, lacking], true));
    }
    let mut client = ready("SMTPUTF8 8BITMIME");
    let message = Envelope { eight_bit: true, ..envelope(&["é@b"]) };
    assert_eq!(start(&mut client, &message), "MAIL FROM:<s@b.org> BODY=8BITMIME SMTPUTF8\r\n");
}

#[test]
fn an_odd_reply_counts_and_ends_the_use_of_the_connection() {
    for (said, reply) in [
        ("250OK queued\r\n", "250 OK queued".to_owned()),
        ("250-taken\r\n251 as 42\r\n", "251 taken as 42".to_owned()),
        ("550-5.7.1 no\r\n554 5.7.1 never\r\n", "554 5.7.1 no never".to_owned()),
        ("554-5.7.1 no\r\nas we say\r\n554 5.7.1 bye\r\n", "554 5.7.1 no bye".to_owned()),
        (&*format!("554 {}\r\n", "x".repeat(3000)), format!("554 {}", "x".repeat(2044))),
    ] {
        let mut client = ready("PIPELINING");
        start(&mut client, &envelope(&["a@b", "c@d"]));
        hear(&mut client, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
        client.end_of_body();
        hear(&mut client, said);
        assert_eq!(finished(&mut client), outcome(&[&reply, "550 5.1.1 no"], false), "{said}");
        client.quit();
        assert_eq!(hear(&mut client, ""), "QUIT\r\n");
    }
    // An odd greeting serves one message.
    let mut client = Connection::new();
    hear(&mut client, "Welcome!\r\n220 mx\r\n");
    hear(&mut client, "250 mx\r\n");
    assert!(matches!(client.poll(), Some(ClientEvent::Ready(_))));
    start(&mut client, &envelope(&["a@b"]));
    hear(&mut client, "250 ok\r\n");
    hear(&mut client, "550 5.1.1 no\r\n");
    assert_eq!(finished(&mut client), outcome(&["550 5.1.1 no"], false));
}

#[test]
fn it_is_known_whose_words_an_outcome_is_in() {
    let ours = |client: &mut Connection| match client.poll() {
        Some(ClientEvent::Finished(finished)) => finished.recipients[0].ours,
        other => panic!("{other:?}"),
    };
    for (said, is_ours) in [
        ("250 ok\r\n550 no\r\n503 no\r\n", false),
        ("421 bye\r\n", false),
        ("250 ok\r\n354 what?\r\n", true),
        ("199 x\r\n", true),
    ] {
        let mut client = ready("PIPELINING");
        start(&mut client, &envelope(&["a@b"]));
        hear(&mut client, said);
        assert_eq!(ours(&mut client), is_ours, "{said}");
    }
    let mut client = ready("");
    start(&mut client, &Envelope { utf8: true, ..envelope(&["a@b"]) });
    assert!(ours(&mut client));
    let mut client = Connection::new();
    hear(&mut client, "220 mx\r\n");
    hear(&mut client, "250-mx\r\n250 SIZE 6\r\n");
    client.poll();
    start(&mut client, &envelope(&["a@b"]));
    assert!(ours(&mut client));
}

#[test]
fn a_message_over_the_server_s_limit_is_not_offered() {
    let mut client = Connection::new();
    client.receive(b"220 x\r\n250-mx.org\r\n250 SIZE 6\r\n");
    client.poll();
    client.output().clear();
    assert_eq!(start(&mut client, &envelope(&["a@b"])), "");
    let text = "552 5.3.4 message size 7 exceeds size limit 6 of server mx[192.0.2.1]:25";
    assert_eq!(finished(&mut client), outcome(&[text], true));
}

#[test]
fn dsn() {
    let recipient = EnvelopeRecipient {
        address: "a@b".parse().unwrap(),
        notify: Some(Notify { success: true, failure: true, delay: false }),
        orcpt: Some("rfc822;x=y@b".into()),
    };
    let message = Envelope {
        sender: None,
        ret: Some(Ret::Headers),
        envid: Some("a b".into()),
        recipients: vec![recipient],
        ..envelope(&[])
    };
    assert_eq!(
        start(&mut ready("DSN PIPELINING"), &message),
        "MAIL FROM:<> RET=HDRS ENVID=a+20b\r\nRCPT TO:<a@b> NOTIFY=SUCCESS,FAILURE \
         ORCPT=rfc822;x+3Dy@b\r\nDATA\r\n"
    );
    assert_eq!(
        start(&mut ready("PIPELINING"), &message),
        "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n"
    );
}

#[test]
fn the_window_bounds_what_is_sent_ahead() {
    let mut client = ready("PIPELINING");
    let written = start(&mut client, &envelope(&vec!["a@b"; 3 * PIPELINE_WINDOW]));
    assert_eq!(written.lines().count(), PIPELINE_WINDOW);
    assert_eq!(hear(&mut client, "250 ok\r\n250 ok\r\n").lines().count(), 2);
    let rest = hear(&mut client, &"250 ok\r\n".repeat(3 * PIPELINE_WINDOW - 1));
    assert!(rest.ends_with("DATA\r\n"));
    hear(&mut client, "354 go\r\n");
    assert_eq!(client.poll(), Some(ClientEvent::SendBody));
}

#[test]
fn quitting() {
    let mut client = ready("");
    client.quit();
    assert_eq!((hear(&mut client, ""), client.stage()), ("QUIT\r\n".into(), ClientStage::Quit));
    hear(&mut client, "221 bye\r\n");
    assert_eq!(client.poll(), Some(ClientEvent::Closed(None)));
    let mut client = ready("");
    client.quit();
    client.fail(&Reply::new(450, status::BAD_CONNECTION, "lost"));
    assert_eq!(client.poll(), Some(ClientEvent::Closed(None)));
}

#[test]
fn no_recipients_and_not_ready() {
    let mut client = ready("");
    assert_eq!(start(&mut client, &envelope(&[])), "");
    assert_eq!(finished(&mut client), outcome(&[], true));
    let mut client = Connection::new();
    assert_eq!(start(&mut client, &envelope(&["a@b"])), "");
    assert_eq!(
        finished(&mut client),
        outcome(&["451 4.3.0 the connection is not ready for a message"], false)
    );
}

#[test]
fn recipients_can_be_asked_about_without_a_message() {
    let mut client = ready("PIPELINING");
    client.verify(&envelope(&["a@b", "c@b"]));
    assert_eq!(hear(&mut client, ""), "MAIL FROM:<s@b.org>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\n");
    hear(&mut client, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550 5.1.1 who?\r\n");
    assert_eq!(finished(&mut client), outcome(&["250 2.1.5 Ok", "550 5.1.1 who?"], true));
    // The transaction is still open there.
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("RSET\r\nMAIL FROM"));

    // A sender who is refused says nothing about the recipients, whatever the server says about
    // those.
    let mut client = ready("PIPELINING");
    client.verify(&envelope(&["a@b"]));
    hear(&mut client, "550 5.7.1 not you\r\n250 2.1.5 Ok\r\n");
    assert_eq!(finished(&mut client), outcome(&["450 4.7.1 not you"], true));
    let mut client = ready("");
    client.verify(&envelope(&["a@b"]));
    hear(&mut client, "550 5.7.1 not you\r\n");
    assert_eq!(finished(&mut client), outcome(&["450 4.7.1 not you"], true));
    assert_eq!(client.stage(), ClientStage::Ready);
}

#[test]
fn under_tls_all_begins_anew() {
    let mut client = ready("PIPELINING STARTTLS SIZE");
    client.start_tls();
    assert_eq!(hear(&mut client, ""), "STARTTLS\r\n");
    assert_eq!(client.stage(), ClientStage::StartTls);
    assert_eq!(hear(&mut client, "220 2.0.0 go\r\n"), "");
    assert_eq!(client.poll(), Some(ClientEvent::StartTls));
    assert_eq!(client.stage(), ClientStage::Handshake);
    client.secured();
    assert_eq!(hear(&mut client, ""), "EHLO me.org\r\n");
    hear(&mut client, "250-mx.org\r\n250 DSN\r\n");
    let Some(ClientEvent::Ready(capabilities)) = client.poll() else { panic!("not ready") };
    assert!(capabilities.dsn && !capabilities.starttls && !capabilities.pipelining);
    // Nothing of before counts: the commands wait for each other.
    assert_eq!(start(&mut client, &envelope(&["a@b"])), "MAIL FROM:<s@b.org>\r\n");
}

#[test]
fn a_server_that_takes_no_starttls_can_be_talked_to_in_the_clear() {
    for refusal in ["454 4.7.0 not now", "502 5.5.1 what?"] {
        let mut client = ready("STARTTLS");
        client.start_tls();
        hear(&mut client, &format!("{refusal}\r\n"));
        let Some(ClientEvent::TlsRefused(reply)) = client.poll() else { panic!("not refused") };
        assert!(refusal.starts_with(&reply.code.to_string()));
        let sent = start(&mut client, &envelope(&["a@b"]));
        assert_eq!(sent, "MAIL FROM:<s@b.org>\r\n");
    }
    // Not where it isn't offered.
    let mut client = ready("PIPELINING");
    client.start_tls();
    assert!(matches!(client.poll(), Some(ClientEvent::Closed(Some(_)))));
}

#[test]
fn what_comes_between_the_reply_to_starttls_and_the_handshake_never_counts() {
    for more in ["250 mx.evil\r\n", "2", "\r\n"] {
        let mut client = ready("STARTTLS");
        client.start_tls();
        hear(&mut client, &format!("220 go\r\n{more}"));
        let Some(ClientEvent::Refused(given)) = client.poll() else { panic!("{more:?} counts") };
        assert!(given.ours && given.reply.text.contains("more after the reply to STARTTLS"));
        client.secured();
        assert_eq!(client.stage(), ClientStage::Closed);
    }
}

#[test]
fn a_login_is_a_dialogue_of_its_own() {
    let secret = |text: &str| Secret::from(text.as_bytes().to_vec());
    let mut client = ready("AUTH=LOGIN");
    client.authenticate("PLAIN", Some(secret("\0u\0p")));
    assert_eq!(hear(&mut client, ""), "AUTH PLAIN AHUAcA==\r\n");
    assert_eq!(client.stage(), ClientStage::Auth);
    hear(&mut client, "235 2.7.0 welcome\r\n");
    assert!(matches!(client.poll(), Some(ClientEvent::LoggedIn(reply)) if reply.code == 235));
    assert!(start(&mut client, &envelope(&["a@b"])).starts_with("MAIL FROM"));

    let mut client = ready("AUTH");
    client.authenticate("LOGIN", None);
    assert_eq!(hear(&mut client, "334 VXNlcm5hbWU6\r\n"), "AUTH LOGIN\r\n");
    assert_eq!(client.poll(), Some(ClientEvent::Challenge(b"Username:".to_vec())));
    client.respond(Some(&secret("u")));
    assert_eq!(hear(&mut client, "334 \r\n"), "dQ==\r\n");
    assert_eq!(client.poll(), Some(ClientEvent::Challenge(Vec::new())));
    client.respond(None);
    assert_eq!(hear(&mut client, "501 5.7.0 aborted\r\n"), "*\r\n");
    assert!(matches!(client.poll(), Some(ClientEvent::LoggedIn(reply)) if reply.code == 501));
}

#[test]
fn what_is_too_long_for_auth_goes_on_a_line_of_its_own() {
    let token = Secret::from(vec![b'x'; 1000]);
    let mut client = ready("AUTH XOAUTH2");
    client.authenticate("XOAUTH2", Some(token));
    assert_eq!(hear(&mut client, ""), "AUTH XOAUTH2\r\n");
    let sent = hear(&mut client, "334 \r\n");
    assert_eq!((sent.len(), client.poll()), (1338, None));
    // Nothing is said twice.
    hear(&mut client, "334 eyJzdGF0dXMiOiI0MDEifQ==\r\n");
    assert!(matches!(client.poll(), Some(ClientEvent::Challenge(_))));
}

#[test]
fn a_challenge_that_is_none_ends_the_connection() {
    for reply in ["334 no base64!", "354 go on"] {
        let mut client = ready("AUTH PLAIN");
        client.authenticate("PLAIN", None);
        hear(&mut client, &format!("{reply}\r\n"));
        assert!(matches!(client.poll(), Some(ClientEvent::Closed(Some(_)))), "{reply}");
    }
}
