//! What senders are told: notices as other programs read them, to whom they go, and that they
//! survive a crash.

use std::process::Command;

use facteur_tests::{
    Client, Dns, Facteur, GATEWAY, Gateway, Machine, Mail, Sink, letter, machine, output_of, until,
};
use serde_json::Value;

/// Reads a notice with Python's email module, as one JSON object.
const READER: &str = r"
import email, email.policy, json, sys
notice = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.SMTP)
assert not notice.defects, notice.defects
text, status, original = notice.iter_parts()
blocks = [{name.lower(): str(value) for name, value in block.items()} for block in status.get_payload()]
print(json.dumps({
    'type': notice.get_content_type(), 'report-type': notice.get_param('report-type'),
    'from': notice['From'], 'to': notice['To'], 'subject': notice['Subject'], 'auto': notice['Auto-Submitted'],
    'parts': [text.get_content_type(), status.get_content_type(), original.get_content_type()],
    'text': text.get_content(), 'message': blocks[0], 'recipients': blocks[1:],
    'original': original.get_payload(0)['Subject'] if original.is_multipart() else original.get_payload(),
}))
";

struct Post {
    facteur: Facteur,
    /// Where senders live, and where mail goes.
    senders: Option<Sink>,
    hop: Sink,
    _dns: Dns,
}

/// Next hops of senders and recipients; with `senders` false nobody listens at the first.
fn post(machine: &Machine, senders: bool, more: &str) -> Post {
    let dns = Dns::start("127.0.0.1", "null.test MX 0 .");
    let hop = Sink::start("127.0.0.2:25");
    let senders = senders.then(|| Sink::start("127.0.0.3:25"));
    let routes = [
        ("hop.test", "smtp:[127.0.0.2]:25"),
        ("sender.test", "smtp:[127.0.0.3]:25"),
        ("dead.test", "smtp:[127.0.0.4]:25"),
    ];
    let config = Gateway { routes: &routes, more, ..Gateway::default() }.write(machine, "notices");
    Post { facteur: Facteur::start(machine, &config), senders, hop, _dns: dns }
}

impl Post {
    fn senders(&self) -> &Sink {
        self.senders.as_ref().expect("senders have a server in this test")
    }
}

fn send(mail: &str, rcpts: &[&str], subject: &str) {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client.expect(&format!("MAIL FROM:{mail}"), 250);
    for rcpt in rcpts {
        client.expect(&format!("RCPT TO:{rcpt}"), 250);
    }
    client.expect("DATA", 354);
    assert_eq!(client.content(&letter(subject)).code, 250);
}

fn read(machine: &Machine, mail: &Mail) -> Value {
    let file = machine.folder().join("notice.eml");
    std::fs::write(&file, &mail.content).expect("the folder is the test's");
    let json = output_of(Command::new("python3").arg("-c").arg(READER).arg(&file)).success();
    let value: Value = serde_json::from_str(&json).expect("the reader writes JSON");
    assert_eq!(value["type"], "multipart/report", "{value:#}");
    assert_eq!(value["report-type"], "delivery-status", "{value:#}");
    assert_eq!(value["parts"][0], "text/plain", "{value:#}");
    assert_eq!(value["parts"][1], "message/delivery-status", "{value:#}");
    assert_eq!(value["auto"], "auto-replied", "{value:#}");
    assert_eq!(value["message"]["reporting-mta"], format!("dns; {GATEWAY}"), "{value:#}");
    value
}

/// The part of a notice about its only recipient.
fn only(notice: &Value) -> &Value {
    assert_eq!(notice["recipients"].as_array().map(Vec::len), Some(1), "{notice:#}");
    &notice["recipients"][0]
}

#[test]
fn a_refusal_makes_a_notice_that_programs_can_read() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer(
            "RCPT TO:<gone@hop.test>",
            "550 5.1.1 <gone@hop.test>: nobody here by that name",
        );
        send(
            "<a@sender.test> ENVID=QQ314159",
            &["<gone@hop.test> ORCPT=rfc822;Old@Hop.test", "<b@hop.test>"],
            "one of two",
        );
        assert_eq!(post.hop.one().recipients, ["b@hop.test"]);
        let mail = post.senders().one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            ("", &["a@sender.test".to_owned()][..])
        );
        let notice = read(machine, &mail);
        assert_eq!(notice["to"], "a@sender.test");
        assert_eq!(notice["message"]["original-envelope-id"], "QQ314159");
        assert_eq!(notice["original"], "one of two");
        let recipient = only(&notice);
        assert_eq!(recipient["final-recipient"], "rfc822; gone@hop.test");
        assert_eq!(recipient["original-recipient"], "rfc822;Old@Hop.test");
        assert_eq!(recipient["action"], "failed");
        assert_eq!(recipient["status"], "5.1.1");
        assert_eq!(
            recipient["diagnostic-code"],
            "smtp; 550 5.1.1 <gone@hop.test>: nobody here by that name"
        );
        assert_eq!(recipient["remote-mta"], "dns; 127.0.0.2");
        post.facteur.wait_until_empty();
    });
}

#[test]
fn a_refusal_at_the_end_of_data_makes_a_notice() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer(".", "554 5.7.1 we don't like it");
        send("<a@sender.test>", &["<b@hop.test>", "<c@hop.test>"], "disliked");
        let notice = read(machine, &post.senders().one());
        assert_eq!(
            notice["recipients"].as_array().map(Vec::len),
            Some(2),
            "one notice for both: {notice:#}"
        );
        for recipient in notice["recipients"].as_array().unwrap() {
            assert_eq!(
                (&recipient["action"], &recipient["status"]),
                (&"failed".into(), &"5.7.1".into())
            );
        }
        post.facteur.wait_until_empty();
    });
}

#[test]
fn a_null_mx_bounces_at_once() {
    machine(|machine| {
        let post = post(machine, true, "");
        send("<a@sender.test>", &["<b@null.test>"], "nowhere");
        let notice = read(machine, &post.senders().one());
        // RFC 7505 section 4.2.
        assert_eq!(
            (&only(&notice)["action"], &only(&notice)["status"]),
            (&"failed".into(), &"5.1.10".into())
        );
        post.facteur.wait_until_empty();
    });
}

#[test]
fn the_null_sender_is_never_told() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer("RCPT", "550 5.1.1 nobody");
        send("<>", &["<b@hop.test> NOTIFY=SUCCESS,FAILURE"], "a notice of somebody else's");
        post.facteur.wait_until_empty();
        // Whatever it made comes before this.
        send("<b@hop.test>", &["<a@sender.test>"], "after");
        assert_eq!(post.senders().one().header("Subject").unwrap(), "after");
        post.facteur.wait_until_empty();
        assert_eq!(post.hop.count(), 0);
    });
}

#[test]
fn a_notice_that_is_refused_makes_no_other() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer("RCPT", "550 5.1.1 nobody");
        post.senders().answer("MAIL FROM:<>", "550 5.7.1 no notices, please");
        send("<a@sender.test>", &["<b@hop.test>"], "lost in both directions");
        post.facteur.wait_until_empty();
        assert_eq!((post.hop.count(), post.senders().count()), (0, 0));
        assert_eq!(post.senders().connections(), 1);
    });
}

#[test]
fn who_wants_no_notice_gets_none() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer("RCPT TO:<gone", "550 5.1.1 nobody");
        send(
            "<a@sender.test>",
            &["<gone1@hop.test> NOTIFY=NEVER", "<gone2@hop.test> NOTIFY=SUCCESS"],
            "no, thanks",
        );
        post.facteur.wait_until_empty();
        send("<a@sender.test>", &["<gone3@hop.test> NOTIFY=FAILURE"], "please");
        let notice = read(machine, &post.senders().one());
        assert_eq!(only(&notice)["final-recipient"], "rfc822; gone3@hop.test");
        post.facteur.wait_until_empty();
    });
}

#[test]
fn who_wants_to_hear_of_success_does() {
    machine(|machine| {
        let post = post(machine, true, "");
        // In the mailbox: delivered.
        send(
            "<a@sender.test>",
            &["<louen@local.test> NOTIFY=SUCCESS", "<admin@local.test>"],
            "to a mailbox",
        );
        let notice = read(machine, &post.senders().mail(1)[0]);
        assert_eq!(only(&notice)["final-recipient"], "rfc822; louen@local.test");
        assert_eq!(
            (&only(&notice)["action"], &only(&notice)["status"]),
            (&"delivered".into(), &"2.0.0".into())
        );
        // To a server that knows nothing of notices: relayed.
        send("<a@sender.test> RET=HDRS", &["<b@hop.test> NOTIFY=SUCCESS"], "to a server");
        let notice = read(machine, &post.senders().mail(2)[1]);
        assert_eq!(only(&notice)["action"], "relayed");
        post.facteur.wait_until_empty();
    });
}

/// A team, and a list with an owner.
const ALIASES: &str = r#"
[tables.aliases]
inline = { team = "louen, b@hop.test", news = "louen, c@hop.test", owner-news = "boss@sender.test" }
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
aliases = ["aliases"]
[plugin.grants]
lookup = ["aliases"]
"#;

#[test]
fn the_success_of_an_alias_is_told_and_never_its_members() {
    machine(|machine| {
        let post = post(machine, true, ALIASES);
        for (number, (name, action)) in
            [("team", "expanded"), ("news", "delivered")].into_iter().enumerate()
        {
            let rcpt = format!("<{name}@local.test> NOTIFY=SUCCESS");
            send("<a@sender.test>", &[&rcpt], "to many");
            let notice = read(machine, &post.senders().mail(number + 1)[number]);
            assert_eq!(only(&notice)["final-recipient"], format!("rfc822; {name}@local.test"));
            assert_eq!(only(&notice)["action"], action);
            post.facteur.wait_until_empty();
            assert_eq!((post.hop.count(), post.senders().count()), (number + 1, number + 1));
        }
    });
}

#[test]
fn recipients_that_fail_in_several_places_share_a_notice() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.answer("RCPT TO:<gone", "550 5.1.1 nobody");
        let to = ["<gone@hop.test>", "<x@null.test>", "<b@hop.test>", "<y@null.test>"];
        send("<a@sender.test>", &to, "hither and thither");
        post.facteur.wait_until_empty();
        let notice = read(machine, &post.senders().one());
        let recipients = notice["recipients"].as_array().unwrap();
        let named: Vec<_> = recipients.iter().map(|one| &one["final-recipient"]).collect();
        assert_eq!(named, ["rfc822; gone@hop.test", "rfc822; x@null.test", "rfc822; y@null.test"]);
        assert_eq!(post.hop.one().recipients, ["b@hop.test"]);
    });
}

#[test]
fn mail_that_loops_for_all_is_refused_and_else_makes_one_notice() {
    machine(|machine| {
        let post = post(machine, true, "");
        let mut looping = b"Delivered-To: Louen@local.test\r\n".to_vec();
        looping.extend(letter("back again"));
        let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
        client.ehlo();
        client.expect("MAIL FROM:<forged@sender.test>", 250);
        client.expect("RCPT TO:<louen@local.test>", 250);
        client.expect("DATA", 354);
        assert_eq!(client.content(&looping).code, 554);
        client.expect("MAIL FROM:<a@sender.test>", 250);
        client.expect("RCPT TO:<louen@local.test>", 250);
        client.expect("RCPT TO:<b@hop.test>", 250);
        client.expect("DATA", 354);
        assert_eq!(client.content(&looping).code, 250);
        post.facteur.wait_until_empty();
        let notice = read(machine, &post.senders().one());
        assert_eq!(only(&notice)["status"], "5.4.6");
        assert_eq!((post.hop.count(), post.senders().count()), (1, 1));
    });
}

#[test]
fn smtputf8_that_no_header_needs_stops_nothing() {
    machine(|machine| {
        let post = post(machine, true, "");
        for server in [&post.hop, post.senders()] {
            server.keywords(&["PIPELINING", "8BITMIME"]);
        }
        send("<a@sender.test> SMTPUTF8", &["<b@hop.test>"], "all ASCII");
        assert_eq!(post.hop.one().header("Subject").unwrap(), "all ASCII");
        // The sender's server lacks SMTPUTF8, too, and is told all the same.
        send("<a@sender.test> SMTPUTF8", &["<b@hop.test>"], "gr\u{fc}n");
        let notice = String::from_utf8(post.senders().one().content).unwrap();
        assert!(notice.contains("x-facteur; 553 5.6.7 SMTPUTF8 is required"), "{notice}");
        assert!(!notice.contains("Remote-MTA"), "{notice}");
        post.facteur.wait_until_empty();
        // An address that can be told in no other way is lost, and the log says so.
        send("<\u{e9}@sender.test> SMTPUTF8", &["<b@hop.test>"], "nowhere");
        post.facteur.wait_until_empty();
        post.facteur.wait_for_log("nobody is told");
        assert_eq!((post.hop.count(), post.senders().count()), (1, 1));
    });
}

#[test]
fn a_server_that_sends_notices_is_told_what_the_sender_wants() {
    machine(|machine| {
        let post = post(machine, true, "");
        post.hop.keywords(&["PIPELINING", "8BITMIME", "DSN"]);
        send(
            "<a@sender.test> RET=HDRS ENVID=QQ1",
            &["<b@hop.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@hop.test"],
            "handed on",
        );
        let arguments = post.hop.one().arguments;
        assert!(
            arguments[0].contains(" RET=HDRS") && arguments[0].contains(" ENVID=QQ1"),
            "{arguments:?}"
        );
        assert!(arguments[1].contains(" NOTIFY=SUCCESS,DELAY"), "{arguments:?}");
        assert!(arguments[1].contains(" ORCPT=rfc822;old@hop.test"), "{arguments:?}");
        post.facteur.wait_until_empty();
        // It is theirs to tell.
        assert_eq!(post.senders().count(), 0);
    });
}

#[test]
fn what_can_t_be_delivered_in_its_lifetime_bounces() {
    machine(|machine| {
        let times = "[queue]\nlifetime = \"1s\"\nbounce-lifetime = \"1s\"\nminimal-backoff \
         = \"300ms\"\nmaximal-backoff = \"300ms\"";
        let post = post(machine, true, times);
        send("<a@sender.test>", &["<b@dead.test>"], "too late");
        let notice = read(machine, &post.senders().one());
        let recipient = only(&notice);
        assert_eq!(recipient["action"], "failed");
        let status = recipient["status"].as_str().unwrap_or_default();
        assert!(status == "4.4.1" || status == "4.4.7", "{notice:#}");
        // It was tried more than once in that time, and the last reason is told.
        assert!(
            recipient["diagnostic-code"].as_str().unwrap_or_default().contains("refused"),
            "{notice:#}"
        );
        // A notice has a lifetime, too, and leaves nothing behind.
        send("<gone@dead.test>", &["<b@dead.test>"], "neither here nor there");
        post.facteur.wait_until_empty();
        assert_eq!(post.senders().count(), 1);
    });
}

#[test]
fn a_notice_survives_a_crash_right_after_and_comes_once() {
    machine(|machine| {
        let mut post = post(machine, false, "");
        post.hop.answer("RCPT", "550 5.1.1 nobody");
        let rounds = 5;
        for round in 1..=rounds {
            send("<a@sender.test>", &["<b@hop.test>"], &format!("round {round}"));
            // The refusal is there; whether its outcome is in the store yet is chance.
            let lines = || {
                post.facteur
                    .log()
                    .lines()
                    .filter(|line| line.contains("status=\"bounced\""))
                    .count()
            };
            until("the refusal", || (lines() >= round).then_some(()));
            post.facteur.kill();
            post.facteur.restart();
            // What wasn't recorded is tried again now.
            until("nothing but notices in the queue", || {
                let queued = post.facteur.queued();
                (queued.len() == round && queued.iter().all(|entry| entry.sender.is_empty()))
                    .then_some(())
            });
        }
        let senders = Sink::start("127.0.0.3:25");
        post.facteur.queue(&["flush", "--all"]);
        let mut subjects: Vec<_> = senders
            .mail(rounds)
            .iter()
            .map(|mail| read(machine, mail)["original"].clone())
            .collect();
        subjects.sort_by_key(ToString::to_string);
        let wanted: Vec<Value> =
            (1..=rounds).map(|round| format!("round {round}").into()).collect();
        assert_eq!(subjects, wanted);
        post.facteur.wait_until_empty();
    });
}
