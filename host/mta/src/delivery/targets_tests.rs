use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use facteur_policy::{Dns, DnsError, MailExchanger, SmtpRoute};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{ADDRESS_LIMIT, Nowhere, Own, Target, find};
use crate::delivery::fixtures::Told;

fn to(host: &str) -> SmtpRoute {
    SmtpRoute { host: host.into(), port: 25, mx: true, source: None, tls: None, otherwise: None }
}

async fn find_from(
    route: &SmtpRoute,
    names: &Told,
    listening: &[&str],
) -> Result<Vec<Target>, Nowhere> {
    let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
    let own = Own { hostname: "mx.here.example", listening: &listening };
    find(route, &own, names, Instant::now() + Duration::from_secs(30)).await
}

async fn found(route: &SmtpRoute, names: &Told) -> Vec<String> {
    let targets = find_from(route, names, &[]).await.unwrap();
    targets.into_iter().map(|target| format!("{} {}", target.host, target.address)).collect()
}

#[track_caller]
fn refused(found: Result<Vec<Target>, Nowhere>) -> (String, bool) {
    let nowhere = found.unwrap_err();
    (nowhere.reply.to_string(), nowhere.definite)
}

#[tokio::test]
async fn by_preference_and_equals_shuffled() {
    let names = Told::default()
        .mx("a.example", &[(1, "best.example"), (5, "x.example"), (5, "y.example")])
        .at("best.example", &["192.0.2.1"])
        .at("x.example", &["192.0.2.2"])
        .at("y.example", &["192.0.2.3"]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let targets = found(&to("a.example"), &names).await;
        assert_eq!((targets.len(), &*targets[0]), (3, "best.example 192.0.2.1:25"));
        seen.insert(targets[1].clone());
    }
    assert_eq!(seen.len(), 2, "equals always come in one order: {seen:?}");
}

#[tokio::test]
async fn each_next_hop_has_its_turn_and_one_that_is_nowhere_stops_no_other() {
    let names = Told::default().at("a.example", &["192.0.2.1"]).at("b.example", &["192.0.2.2"]);
    let then =
        |first: &str, second| SmtpRoute { otherwise: Some(Box::new(to(second))), ..to(first) };
    let both = ["a.example 192.0.2.1:25", "b.example 192.0.2.2:25"];
    assert_eq!(found(&then("a.example", "b.example"), &names).await, both);
    assert_eq!(found(&then("none.example", "b.example"), &names).await, both[1..]);
    assert_eq!(found(&then("b.example", "[192.0.2.300]"), &names).await, both[1..]);
    assert!(refused(find_from(&then("none.example", "[192.0.2.300]"), &names, &[]).await).1);
}

#[tokio::test]
async fn the_implicit_mx() {
    let names = Told::default()
        .at("a.example", &["192.0.2.1", "2001:db8::1"])
        .mx("b.example", &[(1, "a.example")]);
    let mut targets = found(&to("a.example"), &names).await;
    targets.sort();
    assert_eq!(targets, ["a.example 192.0.2.1:25", "a.example [2001:db8::1]:25"]);
    // Without MX the host's own addresses count, and there are none.
    let route = SmtpRoute { mx: false, ..to("b.example") };
    assert!(refused(find_from(&route, &names, &[]).await).1);
}

#[tokio::test]
async fn literals() {
    let names =
        Told::default().at("host.example", &["192.0.2.7"]).mx("host.example", &[(1, "no.example")]);
    for (host, target) in [
        ("[192.0.2.1]", "192.0.2.1 192.0.2.1:25"),
        ("192.0.2.1", "192.0.2.1 192.0.2.1:25"),
        ("[ipv6:2001:db8::1]", "2001:db8::1 [2001:db8::1]:25"),
        ("[2001:db8::1]", "2001:db8::1 [2001:db8::1]:25"),
        ("[::ffff:192.0.2.1]", "192.0.2.1 192.0.2.1:25"),
        ("[host.example]", "host.example 192.0.2.7:25"),
    ] {
        assert_eq!(found(&to(host), &names).await, [target]);
    }
}

#[tokio::test]
async fn names_go_out_in_a_labels() {
    let names = Told::default().at("xn--mnchen-3ya.example", &["192.0.2.1"]);
    assert_eq!(found(&to("münchen.example"), &names).await.len(), 1);
}

#[tokio::test]
async fn definite_answers_fail_and_trouble_waits() {
    let names = Told::default()
        .mx("null.example", &[(0, ".")])
        .no_mx("trouble.example", DnsError::ServerFailure)
        .no_mx("slow.example", DnsError::Timeout)
        .no_mx("half.example", DnsError::NoData)
        .not_at("half.example", DnsError::ServerFailure)
        .no_mx("empty.example", DnsError::NoData)
        .not_at("empty.example", DnsError::NoData)
        .mx("dangling.example", &[(1, "gone.example")])
        .mx("unspecified.example", &[(1, "zero.example")])
        .at("zero.example", &["0.0.0.0"]);
    let name_error = |name, kind, why| {
        format!(
            "Host or domain name not found. Name service error for name={name} type={kind}: {why}"
        )
    };
    for (host, code, text, definite) in [
        (
            "null.example",
            "556 5.1.10",
            "Domain null.example does not accept mail (nullMX)".to_owned(),
            true,
        ),
        ("none.example", "550 5.4.4", name_error("none.example", "MX", "Host not found"), true),
        (
            "trouble.example",
            "450 4.4.3",
            name_error("trouble.example", "MX", "Host not found, try again"),
            false,
        ),
        (
            "slow.example",
            "450 4.4.3",
            name_error("slow.example", "MX", "Host not found, try again"),
            false,
        ),
        (
            "half.example",
            "450 4.4.3",
            name_error("half.example", "A", "Host not found, try again"),
            false,
        ),
        (
            "empty.example",
            "550 5.4.4",
            name_error("empty.example", "A", "Host found but no data record of requested type"),
            true,
        ),
        ("dangling.example", "450 4.4.4", name_error("gone.example", "A", "Host not found"), false),
        ("unspecified.example", "450 4.4.4", "zero.example has no valid address".to_owned(), false),
        ("not a domain", "550 5.1.2", "\"not a domain\" is not a domain name".to_owned(), true),
    ] {
        assert_eq!(
            refused(find_from(&to(host), &names, &[]).await),
            (format!("{code} {text}"), definite)
        );
    }
}

#[tokio::test]
async fn our_own_place_cuts_the_list() {
    let names = Told::default()
        .mx(
            "backup.example",
            &[(10, "primary.example"), (20, "mx.here.example"), (30, "other.example")],
        )
        .mx(
            "by-address.example",
            &[(10, "primary.example"), (20, "alias.example"), (20, "other.example")],
        )
        .mx("ours.example", &[(10, "mx.here.example"), (20, "other.example")])
        .mx("lost.example", &[(10, "gone.example"), (20, "mx.here.example")])
        .at("primary.example", &["192.0.2.1"])
        .at("other.example", &["192.0.2.3"])
        .at("alias.example", &["127.0.0.1"])
        .at("mx.here.example", &["127.0.0.1"]);
    let listening = ["127.0.0.1:25"];
    for host in ["backup.example", "by-address.example"] {
        let targets = find_from(&to(host), &names, &listening).await.unwrap();
        assert_eq!(targets.len(), 1, "{targets:?}");
        assert_eq!(targets[0].host, "primary.example");
    }
    for host in ["ours.example", "mx.here.example", "alias.example", "[127.0.0.1]"] {
        let (reply, definite) = refused(find_from(&to(host), &names, &listening).await);
        assert!(
            reply.starts_with("554 5.4.6 mail for ") && reply.ends_with(" loops back to myself"),
            "{reply}"
        );
        assert!(definite);
    }
    let (reply, _) = refused(find_from(&to("lost.example"), &names, &listening).await);
    assert_eq!(reply, "450 4.4.4 unable to find primary relay for lost.example");
}

#[tokio::test]
async fn an_unspecified_listener_is_every_address_of_this_host() {
    let names = Told::default();
    let own = refused(find_from(&to("[127.0.0.5]"), &names, &["0.0.0.0:25"]).await);
    assert!(own.0.contains("loops back"));
    assert!(find_from(&to("[127.0.0.5]"), &names, &["0.0.0.0:2525"]).await.is_ok());
    assert!(find_from(&to("[192.0.2.1]"), &names, &["0.0.0.0:25"]).await.is_ok());
}

#[tokio::test]
async fn a_few_addresses_of_both_kinds() {
    let many: Vec<String> = (1..=20).map(|number| format!("2001:db8::{number}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(["192.0.2.1", "192.0.2.2"]);
    let names = Told::default().at("many.example", &many);
    let targets = find_from(&to("many.example"), &names, &[]).await.unwrap();
    assert_eq!(targets.len(), ADDRESS_LIMIT);
    assert_eq!(targets.iter().filter(|target| target.address.is_ipv4()).count(), 2);
    let route = SmtpRoute { source: Some("192.0.2.99".parse().unwrap()), ..to("many.example") };
    let targets = find_from(&route, &names, &[]).await.unwrap();
    assert!(
        targets.len() == 2 && targets.iter().all(|target| target.address.is_ipv4()),
        "{targets:?}"
    );
}

/// A DNS in which some names are never answered.
struct Partly(Told);

impl Dns for Partly {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        if name.starts_with("mute") { pending().boxed() } else { self.0.addresses(name) }
    }

    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        if name.starts_with("mute") { pending().boxed() } else { self.0.mail_exchangers(name) }
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_never_resolve_share_one_time() {
    let hosts: Vec<_> = (0..25).map(|number| format!("mute{number}.example")).collect();
    let mut exchangers: Vec<_> = hosts.iter().map(|host| (1, host.as_str())).collect();
    exchangers.push((9, "last.example"));
    let names = Told::default()
        .mx("some.example", &exchangers)
        .mx("none.example", &exchangers[..25])
        .at("last.example", &["192.0.2.1"]);
    let names = Partly(names);
    let own = Own { hostname: "mx.here.example", listening: &[] };
    let limit = Duration::from_secs(30);
    for (domain, wanted) in [
        ("some.example", Ok("last.example")),
        ("none.example", Err("450 4.4.4")),
        ("mute.example", Err("450 4.4.3")),
    ] {
        let start = Instant::now();
        let found = find(&to(domain), &own, &names, start + limit).await;
        match (found, wanted) {
            (Ok(found), Ok(host)) => assert_eq!(found[0].host, host),
            (Err(nowhere), Err(code)) => {
                assert!(!nowhere.definite && nowhere.reply.to_string().starts_with(code));
            }
            (found, wanted) => panic!("{found:?} instead of {wanted:?}"),
        }
        // The timer counts whole milliseconds.
        assert!(start.elapsed() <= limit + Duration::from_millis(50), "{:?}", start.elapsed());
    }
}
