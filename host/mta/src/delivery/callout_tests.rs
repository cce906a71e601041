//! Callouts to real sockets: what servers say, and what that says about an address.

use std::path::Path;

use facteur_policy::{DnsError, SmtpRoute, Verified};

use super::callout;
use crate::delivery::fixtures::{Told, settings};
use crate::delivery::script::*;

const MAIL: Step = Hear("MAIL FROM:<>");
const RCPT: Step = Hear("RCPT TO:<a@there.example>");

fn route(host: &str, port: u16) -> SmtpRoute {
    SmtpRoute { host: host.to_owned(), port, mx: true, source: None, tls: None, otherwise: None }
}

async fn ask(names: Told, route: &SmtpRoute) -> Verified {
    let settings = settings(names, &[], Path::new("/nonexistent"));
    callout(&settings, route, None, &"a@there.example".parse().unwrap()).await
}

/// The answer after this script, which must come to its end.
async fn said(script: &[&[Step]]) -> String {
    let server = Server::start("127.0.0.1:0", vec![script.concat()]).await;
    let port = server.address.port();
    let answer = ask(Told::default(), &route("[127.0.0.1]", port)).await;
    let heard = server.end().await;
    assert!(heard.iter().all(|line| !line.starts_with("DATA")), "{heard:?}");
    let text = match answer {
        Verified::Deliverable => "yes".to_owned(),
        Verified::Undeliverable(reply) => format!("no: {reply}"),
        Verified::Unknown(why) => format!("unknown: {why}"),
    };
    text.replace(&format!("127.0.0.1[127.0.0.1]:{port}"), "MX")
}

#[tokio::test]
async fn what_a_server_says_to_rcpt_is_the_answer() {
    let asked = [MAIL, RCPT];
    assert_eq!(
        said(&[&HELLO, &asked, &[Say("250 2.1.0 Ok"), Say("250 2.1.5 Ok")], &BYE]).await,
        "yes"
    );
    assert_eq!(
        said(&[&HELLO, &asked, &[Say("250 2.1.0 Ok"), Say("550 5.1.1 who?")], &BYE]).await,
        "no: 550 5.1.1 host MX said: who?"
    );
    assert_eq!(
        said(&[&HELLO, &asked, &[Say("250 2.1.0 Ok"), Say("450 4.2.0 greylisted")], &BYE]).await,
        "unknown: host MX said: 450 4.2.0 greylisted"
    );
    // One command at a time, where the server wants that.
    let slowly = [Say("220 mx"), Hear("EHLO"), Say("500 what?"), Hear("HELO"), Say("250 mx")];
    assert_eq!(said(&[&slowly, &[MAIL, Say("250 Ok"), RCPT, Say("250 Ok")], &BYE]).await, "yes");
}

#[tokio::test]
async fn what_a_server_says_to_everyone_says_nothing_about_an_address() {
    let refused = [MAIL, RCPT, Say("550 5.7.1 no null senders"), Say("503 5.5.1 no sender")];
    assert_eq!(
        said(&[&HELLO, &refused, &BYE]).await,
        "unknown: host MX said: 450 4.7.1 no null senders"
    );
    assert!(
        said(&[&[Say("554 no service")]])
            .await
            .starts_with("unknown: host MX refused to talk to me")
    );
    let lost = said(&[&HELLO, &[MAIL, RCPT, Say("250 2.1.0 Ok")]]).await;
    assert_eq!(lost, "unknown: lost connection with MX while sending RCPT TO");
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_doesnt_know() {
    let names = Told::default()
        .mx("there.example", &[(10, "mx1.example"), (20, "mx2.example")])
        .at("mx1.example", &["127.0.0.1"])
        .at("mx2.example", &["127.0.0.2"]);
    let say = |text| vec![[&HELLO[..], &[MAIL, RCPT, Say("250 Ok"), Say(text)], &BYE].concat()];
    let first = Server::start("127.0.0.1:0", say("451 4.3.0 later")).await;
    let port = first.address.port();
    let second = Server::start(&format!("127.0.0.2:{port}"), say("250 2.1.5 Ok")).await;
    assert_eq!(ask(names, &route("there.example", port)).await, Verified::Deliverable);
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_is_a_no_and_a_dns_that_fails_is_none() {
    let route = route("there.example", 25);
    let null = Told::default().mx("there.example", &[(0, ".")]);
    assert!(matches!(ask(null, &route).await, Verified::Undeliverable(reply) if reply.code == 556));
    let gone = Told::default().no_mx("there.example", DnsError::NoSuchName);
    assert!(matches!(ask(gone, &route).await, Verified::Undeliverable(reply) if reply.code == 550));
    let failing = Told::default().no_mx("there.example", DnsError::ServerFailure);
    assert!(matches!(ask(failing, &route).await, Verified::Unknown(_)));
}
