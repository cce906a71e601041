//! Attempts at real sockets: servers on loopback that follow a script.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use facteur_policy::{Route, SmtpRoute};
use facteur_smtp::{Reply, status};
use facteur_spool::{Body, Message, Recipient};

use crate::delivery::attempt::Attempted;
use crate::delivery::fixtures::{ROOM, Told, message, recipient, settings};
use crate::delivery::script::*;
use crate::delivery::{Attempt, Deliverer, Outcome, Remote, Settings};

fn deliverer(names: Told, adapt: impl FnOnce(&mut Settings)) -> Deliverer {
    let mut settings = settings(names, &[], Path::new("/nonexistent"));
    adapt(&mut settings);
    Deliverer::new(settings, ROOM)
}

async fn send(
    deliverer: &Deliverer,
    route: &SmtpRoute,
    message: &Message,
    recipients: &[Recipient],
) -> Attempted {
    let recipients: Vec<&Recipient> = recipients.iter().collect();
    let route = Route::Smtp(route.clone());
    let attempt = Attempt {
        message,
        sender: message.sender.as_ref(),
        alias: None,
        recipients: &recipients,
        route: &route,
    };
    let attempted = tokio::time::timeout(Duration::from_secs(20), deliverer.attempt(&attempt));
    let attempted = attempted.await.expect("the attempt has no end");
    assert_eq!(attempted.outcomes.len(), recipients.len());
    attempted
}

async fn send_one(deliverer: &Deliverer, route: &SmtpRoute) -> Attempted {
    send(deliverer, route, &letter(), &[recipient("a@there.example")]).await
}

fn letter() -> Message {
    message("s@here.example", "Subject: x\r\n\r\nhello\r\n.dot\r\n")
}

fn to(host: &str, port: u16) -> SmtpRoute {
    SmtpRoute { host: host.into(), port, mx: true, source: None, tls: None, otherwise: None }
}

/// A domain with two servers, the better one at 127.0.0.1.
fn two() -> Told {
    Told::default()
        .mx("there.example", &[(10, "mx1.example"), (20, "mx2.example")])
        .at("mx1.example", &["127.0.0.1"])
        .at("mx2.example", &["127.0.0.2"])
}

/// Two servers at one port.
async fn pair(first: Vec<Vec<Step>>, second: Vec<Vec<Step>>) -> (Server, Server, SmtpRoute) {
    let first = Server::start("127.0.0.1:0", first).await;
    let port = first.address.port();
    let second = Server::start(&format!("127.0.0.2:{port}"), second).await;
    (first, second, to("there.example", port))
}

#[track_caller]
fn only(attempted: &Attempted) -> &Outcome {
    assert_eq!(attempted.outcomes.len(), 1);
    &attempted.outcomes[0]
}

#[track_caller]
fn assert_deferred(outcome: &Outcome, enhanced: &str, text: &str) {
    let Outcome::Deferred { reply, .. } = outcome else { panic!("{outcome:?}") };
    let code = reply.enhanced.map(|code| code.to_string());
    assert!(code.as_deref() == Some(enhanced) && reply.text.contains(text), "{reply}");
}

#[track_caller]
fn remote_of(outcome: &Outcome) -> Option<&str> {
    let (Outcome::Delivered { remote, .. }
    | Outcome::Deferred { remote, .. }
    | Outcome::Failed { remote, .. }) = outcome;
    remote.as_ref().map(|remote| &*remote.peer)
}

fn in_the_clear(peer: String) -> Remote {
    Remote { peer, tls: None }
}

fn assert_delivered(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_message_is_given_whole_and_stuffed() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &TAKE, &BYE])]).await;
    let port = server.address.port();
    let deliverer = deliverer(Told::default(), |_| ());
    let mut notified = recipient("a@there.example");
    notified.original = "alias@here.example".parse().unwrap();
    let attempted = send(&deliverer, &to("[127.0.0.1]", port), &letter(), &[notified]).await;
    let remote = Some(in_the_clear(format!("127.0.0.1[127.0.0.1]:{port}")));
    let reply = Reply::new(250, status::UNDEFINED, "taken");
    assert_eq!(*only(&attempted), Outcome::Delivered { reply, remote, owed: None });
    assert!(attempted.reached);
    deliverer.stop();
    let heard = server.end().await;
    assert_eq!(heard[2], "MAIL FROM:<s@here.example>");
    assert_eq!(heard[3], "RCPT TO:<a@there.example> ORCPT=rfc822;alias@here.example");
    let content = "Received: from x\r\n\tby y; z\r\nSubject: x\r\n\r\nhello\r\n..dot\r\n.\r\n";
    assert_eq!(heard[4..7], ["DATA", content, "QUIT"]);
}

#[tokio::test]
async fn a_dead_host_gives_way_to_the_next() {
    let (_, second, route) = pair(vec![], vec![script(&[&HELLO, &TAKE])]).await;
    let attempted = send_one(&deliverer(two(), |_| ()), &route).await;
    assert_delivered(only(&attempted));
    second.end().await;
}

#[tokio::test]
async fn so_does_one_that_does_not_talk_or_says_later() {
    let mail_later = [
        Hear("MAIL"),
        Hear("RCPT"),
        Hear("DATA"),
        Say("451 4.3.0 busy"),
        Say("503 no"),
        Say("503 no"),
    ];
    for first in [
        script(&[&[Say("421 4.3.2 busy"), Gone]]),
        script(&[&[Say("554 5.7.1 not you"), Gone]]),
        script(&[&[]]),
        script(&[&HELLO, &mail_later, &BYE]),
        script(&[&HELLO, &[Hear("MAIL"), Say("421 4.3.2 closing")]]),
        script(&[&[Say("hello?")]]),
    ] {
        let (first, second, route) = pair(vec![first], vec![script(&[&HELLO, &TAKE])]).await;
        let deliverer = deliverer(two(), |_| ());
        let attempted = send_one(&deliverer, &route).await;
        assert_delivered(only(&attempted));
        deliverer.stop();
        first.end().await;
        second.end().await;
    }
}

#[tokio::test]
async fn nobody_talks_to_us() {
    let refuse = || vec![script(&[&[Say("554 5.7.1 not you"), Gone]])];
    let (first, second, route) = pair(refuse(), refuse()).await;
    let attempted = send_one(&deliverer(two(), |_| ()), &route).await;
    assert_deferred(only(&attempted), "4.7.1", "refused to talk to me: 554 5.7.1 not you");
    assert!(!attempted.reached);
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn nobody_is_there() {
    let server = Server::start("127.0.0.1:0", vec![]).await;
    let port = server.address.port();
    server.end().await;
    let attempted = send_one(&deliverer(Told::default(), |_| ()), &to("[127.0.0.1]", port)).await;
    assert_deferred(
        only(&attempted),
        "4.4.1",
        &format!("connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"),
    );
    assert!(!attempted.reached);
}

#[tokio::test]
async fn each_recipient_has_its_own_outcome_and_only_the_undecided_go_on() {
    let mixed = [
        Hear("MAIL"),
        Hear("RCPT TO:<a@"),
        Hear("RCPT TO:<b@"),
        Hear("RCPT TO:<c@"),
        Hear("DATA"),
        Say("250 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n450 4.2.0 grey\r\n354 go"),
        Content,
        Say("250 ok"),
    ];
    let grey = [
        Hear("MAIL"),
        Hear("RCPT TO:<c@"),
        Hear("DATA"),
        Say("250 ok\r\n450 4.2.0 still grey\r\n503 no"),
    ];
    let (first, second, route) =
        pair(vec![script(&[&HELLO, &mixed])], vec![script(&[&HELLO, &grey])]).await;
    let recipients = ["a@there.example", "b@there.example", "c@there.example"].map(recipient);
    let attempted = send(&deliverer(two(), |_| ()), &route, &letter(), &recipients).await;
    let remote = Some(in_the_clear(format!("mx1.example[127.0.0.1]:{}", route.port)));
    assert_delivered(&attempted.outcomes[0]);
    let refused = Reply::new(550, status::BAD_MAILBOX, "no\nsuch user");
    assert_eq!(attempted.outcomes[1], Outcome::Failed { reply: refused, remote });
    assert_deferred(&attempted.outcomes[2], "4.2.0", "still grey");
    assert_eq!(
        remote_of(&attempted.outcomes[2]),
        Some(&*format!("mx2.example[127.0.0.2]:{}", route.port))
    );
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn a_missing_answer_is_no_delivery_and_no_second_copy() {
    let lost = [&TAKE[..7]].concat();
    let (first, second, route) = pair(vec![script(&[&HELLO, &lost])], vec![vec![]]).await;
    let attempted = send_one(&deliverer(two(), |_| ()), &route).await;
    assert_deferred(
        only(&attempted),
        "4.4.2",
        "while sending end of data -- message may be sent more than once",
    );
    assert_eq!(remote_of(only(&attempted)), None);
    assert!(attempted.reached);
    first.end().await;
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn a_loss_before_the_end_of_data_goes_on_to_the_next() {
    let lost = [&TAKE[..5]].concat();
    let (first, second, route) =
        pair(vec![script(&[&HELLO, &lost])], vec![script(&[&HELLO, &TAKE])]).await;
    assert_delivered(only(&send_one(&deliverer(two(), |_| ()), &route).await));
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn connections_are_used_again() {
    let server =
        Server::start("127.0.0.1:0", vec![script(&[&HELLO, &TAKE, &TAKE, &TAKE, &BYE])]).await;
    let deliverer = deliverer(Told::default(), |_| ());
    let route = to("[127.0.0.1]", server.address.port());
    for _ in 0..3 {
        assert_delivered(only(&send_one(&deliverer, &route).await));
    }
    deliverer.stop();
    server.end().await;
}

#[tokio::test]
async fn after_an_odd_reply_a_connection_is_not_used_again() {
    let odd = [&TAKE[..7], &[Say("250-taken\r\n251 as 42")], &BYE[..]].concat();
    let scripts = vec![script(&[&HELLO, &odd]), script(&[&HELLO, &TAKE])];
    let server = Server::start("127.0.0.1:0", scripts).await;
    let deliverer = deliverer(Told::default(), |_| ());
    let route = to("[127.0.0.1]", server.address.port());
    for _ in 0..2 {
        assert_delivered(only(&send_one(&deliverer, &route).await));
    }
    server.end().await;
}

#[tokio::test]
async fn a_refusal_that_is_written_oddly_is_final() {
    for said in ["550-5.7.1 no\r\n554 5.7.1 never", "554-5.7.1 no\r\nas we say\r\n554 5.7.1 bye"] {
        let odd = [&TAKE[..7], &[Say(said)], &BYE[..]].concat();
        let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &odd])]).await;
        let route = to("[127.0.0.1]", server.address.port());
        let attempted = send_one(&deliverer(Told::default(), |_| ()), &route).await;
        let Outcome::Failed { reply, .. } = only(&attempted) else { panic!("{attempted:?}") };
        assert_eq!(reply.code, 554, "{reply}");
        server.end().await;
    }
}

#[tokio::test]
async fn a_refusal_that_is_ours_names_no_server() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &BYE])]).await;
    let deliverer = deliverer(Told::default(), |_| ());
    let route = to("[127.0.0.1]", server.address.port());
    let mut letter = letter();
    letter.utf8 = true;
    let attempted = send(&deliverer, &route, &letter, &[recipient("a@there.example")]).await;
    let Outcome::Failed { reply, remote: None } = only(&attempted) else { panic!("{attempted:?}") };
    assert!(reply.text.starts_with("SMTPUTF8 is required, but was not offered by host 127.0.0.1["));
    deliverer.stop();
    server.end().await;
}

#[tokio::test]
async fn an_idle_connection_is_ended_politely() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &TAKE, &BYE])]).await;
    let deliverer = deliverer(Told::default(), |settings| {
        settings.smtp.idle_connection = Duration::from_millis(10);
    });
    send_one(&deliverer, &to("[127.0.0.1]", server.address.port())).await;
    server.end().await;
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nothing() {
    for death in [
        // Found dead before it is used, or while MAIL is on its way.
        script(&[&HELLO, &TAKE]),
        script(&[&HELLO, &TAKE, &[Hear("MAIL")]]),
        script(&[&HELLO, &TAKE, &[Hear("MAIL"), Say("421 4.4.2 idle too long"), Gone]]),
        script(&[&HELLO, &TAKE, &[Say("421 4.4.2 idle too long"), Gone]]),
    ] {
        let server = Server::start("127.0.0.1:0", vec![death, script(&[&HELLO, &TAKE])]).await;
        let deliverer = deliverer(Told::default(), |_| ());
        let route = to("[127.0.0.1]", server.address.port());
        for _ in 0..2 {
            assert_delivered(only(&send_one(&deliverer, &route).await));
        }
        let heard = server.end().await;
        assert_eq!(heard.iter().filter(|line| line.contains("hello")).count(), 2, "{heard:?}");
    }
}

#[tokio::test]
async fn a_server_that_answers_early_and_stops_reading() {
    let early = [&TAKE[..6], &[SomeContent, Say("552 5.3.4 too much"), Gone]].concat();
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &early])]).await;
    let large = message("s@here.example", "x".repeat(70).repeat(200_000));
    let route = to("[127.0.0.1]", server.address.port());
    let attempted =
        send(&deliverer(Told::default(), |_| ()), &route, &large, &[recipient("a@there.example")])
            .await;
    let Outcome::Failed { reply, .. } = only(&attempted) else { panic!("{attempted:?}") };
    assert_eq!(*reply, Reply::new(552, status::TOO_BIG, "too much"));
    server.end().await;
}

#[tokio::test]
async fn trickled_octets_are_no_answer() {
    let short = Duration::from_millis(200);
    for (steps, stage) in [
        (script(&[&[Trickle("220-wait\r\n")]]), "receiving the initial server greeting"),
        (script(&[&[Say("220 mx"), Hear("EHLO"), Trickle("2")]]), "performing the EHLO handshake"),
        (script(&[&HELLO, &[Hear("MAIL"), Trickle("250-a\r\n")]]), "sending MAIL FROM"),
        (
            script(&[&HELLO, &[Hear("MAIL"), Say("250 ok"), Trickle("250-a\r\n")]]),
            "sending RCPT TO",
        ),
        (script(&[&HELLO, &TAKE[..5], &[Trickle("354-a\r\n")]]), "sending DATA command"),
        (script(&[&HELLO, &TAKE[..7], &[Trickle("250-a\r\n")]]), "sending end of data"),
    ] {
        let server = Server::start("127.0.0.1:0", vec![steps]).await;
        let deliverer = deliverer(Told::default(), |settings| {
            let times = &mut settings.smtp.timeouts;
            for time in [
                &mut times.helo,
                &mut times.mail,
                &mut times.rcpt,
                &mut times.data_init,
                &mut times.data_done,
            ] {
                *time = short;
            }
        });
        let attempted = send_one(&deliverer, &to("[127.0.0.1]", server.address.port())).await;
        let text = &only(&attempted).reply().text;
        assert!(text.contains("timed out while") && text.contains(stage), "{text}");
        assert_deferred(only(&attempted), "4.4.2", "");
        server.end().await;
    }
}

#[tokio::test]
async fn a_server_that_reads_nothing_is_given_up() {
    let deaf = [&TAKE[..6], &[SomeContent, Deaf]].concat();
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &deaf])]).await;
    let deliverer = deliverer(Told::default(), |settings| {
        settings.smtp.timeouts.data = Duration::from_millis(200);
    });
    let large = message("s@here.example", "x".repeat(70).repeat(400_000));
    let route = to("[127.0.0.1]", server.address.port());
    let attempted = send(&deliverer, &route, &large, &[recipient("a@there.example")]).await;
    assert_deferred(only(&attempted), "4.4.2", "timed out while sending message body");
    server.task.abort();
}

#[tokio::test]
async fn content_that_cannot_be_read_is_never_ended() {
    let cut = [&TAKE[..6], &[Gone]].concat();
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &cut])]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    std::fs::write(&path, "Subject: x\r\n\r\nhalf of it\r\n").unwrap();
    let mut message = letter();
    message.body = Body::File { path: Arc::from(path.as_path()), size: 1000 };
    let route = to("[127.0.0.1]", server.address.port());
    let attempted = send(
        &deliverer(Told::default(), |_| ()),
        &route,
        &message,
        &[recipient("a@there.example")],
    )
    .await;
    assert_deferred(only(&attempted), "4.3.0", "can't be read from the queue");
    let heard = server.end().await;
    assert!(!heard.last().unwrap().contains("\r\n.\r\n"), "{heard:?}");
}

#[tokio::test]
async fn a_large_body_comes_from_its_file() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &TAKE])]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let body = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
    std::fs::write(&path, &body).unwrap();
    let mut message = letter();
    message.body = Body::File { path: Arc::from(path.as_path()), size: body.len() as u64 };
    let route = to("[127.0.0.1]", server.address.port());
    let attempted = send(
        &deliverer(Told::default(), |_| ()),
        &route,
        &message,
        &[recipient("a@there.example")],
    )
    .await;
    assert_delivered(only(&attempted));
    let heard = server.end().await;
    assert!(heard.last().unwrap().ends_with(&format!("{body}.\r\n")));
}

#[tokio::test]
async fn the_source_address_is_the_routes() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &TAKE])]).await;
    let route = SmtpRoute {
        source: Some("127.0.0.9".parse().unwrap()),
        ..to("[127.0.0.1]", server.address.port())
    };
    assert_delivered(only(&send_one(&deliverer(Told::default(), |_| ()), &route).await));
    assert_eq!(server.end().await[0], "[127.0.0.9]");
}

#[tokio::test]
async fn utf8_needs_a_server_that_knows_it() {
    let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &BYE])]).await;
    let deliverer = deliverer(Told::default(), |_| ());
    let route = to("[127.0.0.1]", server.address.port());
    let attempted = send(&deliverer, &route, &letter(), &[recipient("ré@there.example")]).await;
    let Outcome::Failed { reply, .. } = only(&attempted) else { panic!("{attempted:?}") };
    assert_eq!(reply.enhanced, "5.6.7".parse().ok());
    deliverer.stop();
    server.end().await;
}

#[tokio::test]
async fn two_servers_are_talked_to_at_most() {
    let names = Told::default()
        .mx("there.example", &[(1, "a.example"), (2, "b.example"), (3, "c.example")])
        .at("a.example", &["127.0.0.1"])
        .at("b.example", &["127.0.0.2"])
        .at("c.example", &["127.0.0.3"]);
    let refuse =
        [Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Say("451 4.3.0 later\r\n503 no\r\n503 no")];
    let later = || vec![script(&[&HELLO, &refuse, &BYE])];
    let (first, second, route) = pair(later(), later()).await;
    let third = Server::start(&format!("127.0.0.3:{}", route.port), vec![vec![]]).await;
    let deliverer = deliverer(names, |_| ());
    assert_deferred(only(&send_one(&deliverer, &route).await), "4.3.0", "later");
    deliverer.stop();
    first.end().await;
    second.end().await;
    assert_eq!(third.connections(), 0);
}

#[tokio::test]
async fn each_next_hop_has_its_own_turn() {
    let refuse =
        [Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Say("451 4.3.0 later\r\n503 no\r\n503 no")];
    let later = || vec![script(&[&HELLO, &refuse, &BYE])];
    let (first, second, mut route) = pair(later(), later()).await;
    let third = vec![script(&[&HELLO, &TAKE, &BYE])];
    let third = Server::start(&format!("127.0.0.3:{}", route.port), third).await;
    route.otherwise = Some(Box::new(to("[127.0.0.3]", route.port)));
    let deliverer = deliverer(two(), |_| ());
    assert_delivered(only(&send_one(&deliverer, &route).await));
    deliverer.stop();
    for server in [first, second, third] {
        server.end().await;
    }
}

/// One more reply than there were commands: the next message must not be taken for delivered by
/// it, and the first not be sent again.
#[tokio::test]
async fn a_reply_too_many_is_nobodys() {
    for spare in ["250 2.0.0 queued", "550 5.7.1 after all", "451 4.3.0 or later", "354 go"] {
        let said: &'static str = Box::leak(format!("250 2.0.0 taken\r\n{spare}").into_boxed_str());
        let twice = [&TAKE[..7], &[Say(said), Gone]].concat();
        let scripts = vec![script(&[&HELLO, &twice]), script(&[&HELLO, &TAKE, &BYE])];
        let server = Server::start("127.0.0.1:0", scripts).await;
        let deliverer = deliverer(Told::default(), |_| ());
        let route = to("[127.0.0.1]", server.address.port());
        for _ in 0..2 {
            assert_delivered(only(&send_one(&deliverer, &route).await));
        }
        deliverer.stop();
        let heard = server.end().await;
        let contents = heard.iter().filter(|line| line.contains("hello")).count();
        assert_eq!(contents, 2, "{spare}: {heard:?}");
    }
}

/// What servers were seen to answer at the end of data, and what becomes of the message.
#[tokio::test]
async fn whatever_a_server_says_at_the_end_has_an_outcome() {
    for (said, fate) in [
        ("250 2.0.0 taken", "delivered"),
        ("250", "delivered"),
        ("250 ", "delivered"),
        ("250-\r\n250-\r\n250 ", "delivered"),
        ("250\t2.0.0 taken", "delivered"),
        ("250:taken", "delivered"),
        ("250-2.0.0 taken\r\n\r\n250 2.0.0 bye", "delivered"),
        ("250-taken\n250 by line feeds", "delivered"),
        ("250 taken \u{7}\u{1b}[31m\u{e9}", "delivered"),
        ("299 whatever", "delivered"),
        ("252 2.0.0 not sure", "delivered"),
        ("552 5.2.2 full", "failed"),
        ("550-5.7.1 spam\r\n550-5.7.1 see https://x.example/250\r\n550 5.7.1 bye", "failed"),
        ("550\u{a0}no", "failed"),
        ("599 5.0.0 no", "failed"),
        ("450 4.2.0 greylisted", "deferred"),
        ("421 4.7.0 too fast", "deferred"),
        ("354 go on", "deferred"),
        ("220 mx again", "delivered"),
        ("600 what", "deferred"),
        ("000 what", "deferred"),
        ("OK", "deferred"),
    ] {
        let end = [&TAKE[..7], &[Say(said)]].concat();
        let server = Server::start("127.0.0.1:0", vec![script(&[&HELLO, &end])]).await;
        let route = to("[127.0.0.1]", server.address.port());
        let attempted = send_one(&deliverer(Told::default(), |_| ()), &route).await;
        let found = match only(&attempted) {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Failed { .. } => "failed",
            Outcome::Deferred { .. } => "deferred",
        };
        assert_eq!(found, fate, "{said:?}: {attempted:?}");
        let reply = only(&attempted).reply().to_string();
        assert!(!reply.contains(|c: char| c.is_control() && c != '\n'), "{reply:?}");
        server.end().await;
    }
}

/// A server that has lost its way: the next message goes by another connection, and is not
/// bounced for it.
#[tokio::test]
async fn a_refused_reset_is_nobodys_refusal() {
    let refuse = [
        Hear("MAIL"),
        Hear("RCPT"),
        Hear("DATA"),
        Say("250 2.1.0 Ok\r\n550 5.1.1 nobody\r\n554 5.5.1 no recipients"),
        Hear("RSET"),
        Say("503 5.5.0 not now"),
        Gone,
    ];
    let scripts = vec![script(&[&HELLO, &refuse]), script(&[&HELLO, &TAKE])];
    let server = Server::start("127.0.0.1:0", scripts).await;
    let deliverer = deliverer(Told::default(), |_| ());
    let route = to("[127.0.0.1]", server.address.port());
    let first = send_one(&deliverer, &route).await;
    assert!(matches!(only(&first), Outcome::Failed { .. }), "{first:?}");
    assert_delivered(only(&send_one(&deliverer, &route).await));
    server.end().await;
}
