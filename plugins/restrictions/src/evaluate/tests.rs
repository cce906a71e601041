//! The lists against made-up facts; replies as Postfix 3.7 gives them.

use facteur_plugin::testing::Host;
use facteur_plugin::{Error, Failure, RecipientClass, Reply, Verdict, dns};

use crate::restriction::Rule;
use crate::settings::{self, Settings};
use crate::subject::Subject;
use crate::texts::What;

/// A client without a name that sends from a@b.org to x@elsewhere.org.
fn nameless() -> Host {
    Host::new()
        .delimiter('+')
        .client("203.0.113.25")
        .helo("helo.example.net")
        .sender("a@b.org")
        .recipient("x@elsewhere.org", RecipientClass::Other)
        .broken_table("down")
}

/// One that has a name.
fn stranger() -> Host {
    nameless().client_name("client.example.net")
}

fn early(host: &Host, settings: &Settings, rules: &[Rule], of: What) -> Verdict {
    host.run(|| super::early(settings, rules, of))
}

fn stage(host: &Host, rules: &[Rule], of: What) -> Verdict {
    host.run(|| {
        let late = matches!(of, What::Data | What::EndOfData);
        let about = if late { Subject::after_rcpt() } else { Subject::Nobody };
        super::stage(&Settings::default(), about, rules, of)
    })
}

fn rcpt(host: &Host, settings: &Settings) -> Verdict {
    host.run(|| super::rcpt(settings))
}

fn lists(relay: &str, recipient: &str) -> Settings {
    settings::of(&format!(r#"{{"relay": ["{relay}"], "recipient": ["{recipient}"]}}"#)).unwrap()
}

/// The verdict of this recipient list.
fn ask(host: &Host, recipient: &str) -> Verdict {
    rcpt(host, &lists("", recipient))
}

fn reply(code: u16, status: &str, text: &str) -> Reply {
    Reply::new(code, status, text)
}

fn rejected(code: u16, status: &str, text: &str) -> Verdict {
    Verdict::Reject(reply(code, status, text))
}

fn deferred(code: u16, status: &str, text: &str) -> Verdict {
    Verdict::Defer(reply(code, status, text))
}

const GUARDED: &str = "permit_mynetworks permit_sasl_authenticated reject_unauth_destination";

#[test]
fn who_may_relay() {
    assert_eq!(
        ask(&stranger(), GUARDED),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied")
    );
    assert_eq!(ask(&stranger().trusted(), GUARDED), Verdict::AllowRelay);
    assert_eq!(ask(&stranger().login("louen"), GUARDED), Verdict::AllowRelay);
    let ours = stranger().recipient("louen@here.org", RecipientClass::Local);
    assert_eq!(ask(&ours, GUARDED), Verdict::NoOpinion);
    assert_eq!(ask(&ours.trusted(), GUARDED), Verdict::Accept);
    let routed = stranger().recipient("x%y.org@here.org", RecipientClass::Relay).routed();
    assert_eq!(
        ask(&routed, GUARDED),
        rejected(554, "5.7.1", "<x%y.org@here.org>: Relay access denied")
    );
    assert_eq!(ask(&routed.trusted(), GUARDED), Verdict::AllowRelay);
    assert_eq!(
        ask(&stranger(), "defer_unauth_destination"),
        deferred(454, "4.7.1", "<x@elsewhere.org>: Relay access denied")
    );
}

#[test]
fn no_list_without_a_guard_opens_the_relay() {
    for open in [
        "permit",
        "permit, reject_unauth_destination",
        "warn_if_reject reject_unauth_destination, permit",
    ] {
        assert_eq!(ask(&stranger(), open), Verdict::Accept, "{open}");
    }
    assert_eq!(ask(&stranger(), "permit_auth_destination"), Verdict::NoOpinion);
    assert_eq!(ask(&stranger().trusted(), "permit_mynetworks"), Verdict::AllowRelay);
    let known = stranger().table("t", &[("a@b.org", "OK")]);
    assert_eq!(ask(&known, "check_sender_access table:t"), Verdict::Accept);
    assert_eq!(
        ask(&known, "check_sender_access table:t, reject_unauth_destination"),
        Verdict::AllowRelay
    );
}

#[test]
fn a_permit_ends_its_own_list_only() {
    let trusted = stranger().trusted();
    let settings = lists("permit_mynetworks, reject_unauth_destination", "reject");
    assert_eq!(
        rcpt(&trusted, &settings),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Recipient address rejected: Access denied")
    );
    let settings =
        lists("permit_mynetworks, reject_unauth_destination", "reject_non_fqdn_recipient");
    assert_eq!(rcpt(&trusted, &settings), Verdict::AllowRelay);
    assert_eq!(
        rcpt(&stranger(), &settings),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied")
    );
    // What `recipient` permits is refused by `relay` all the same.
    let settings = lists("reject_unauth_destination", "permit");
    assert_eq!(
        rcpt(&stranger(), &settings),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied")
    );
}

#[test]
fn clients_without_a_name() {
    let nameless = nameless();
    let ask = |list: &str| {
        let settings = settings::of(&format!(r#"{{"client": ["{list}"]}}"#)).unwrap();
        stage(&nameless, &settings.client, What::Client)
    };
    assert_eq!(
        ask("reject_unknown_client_hostname"),
        deferred(450, "4.7.25", "Client host rejected: cannot find your hostname, [203.0.113.25]")
    );
    assert_eq!(
        ask("reject_unknown_reverse_client_hostname"),
        deferred(
            450,
            "4.7.1",
            "Client host rejected: cannot find your reverse hostname, [203.0.113.25]"
        )
    );
    assert_eq!(
        ask("reject"),
        rejected(554, "5.7.1", "<unknown[203.0.113.25]>: Client host rejected: Access denied")
    );
    assert_eq!(
        ask("defer"),
        deferred(450, "4.3.2", "<unknown[203.0.113.25]>: Client host rejected: Try again later")
    );
}

fn helo(name: &'static str, restriction: &str, world: Host) -> Verdict {
    let settings = settings::of(&format!(r#"{{"helo": ["{restriction}"]}}"#)).unwrap();
    stage(&world.helo(name), &settings.helo, What::Helo)
}

#[test]
fn helo_names() {
    let plain = |name, restriction| helo(name, restriction, stranger());
    assert_eq!(
        plain("x y", "reject_invalid_helo_hostname"),
        rejected(501, "5.5.2", "<x y>: Helo command rejected: Invalid name")
    );
    assert_eq!(
        plain("x", "reject_non_fqdn_helo_hostname"),
        rejected(504, "5.5.2", "<x>: Helo command rejected: need fully-qualified hostname")
    );
    assert_eq!(
        plain("[300.1.1.1]", "reject_unknown_helo_hostname"),
        rejected(501, "5.5.2", "<[300.1.1.1]>: Helo command rejected: invalid ip address")
    );
    assert_eq!(
        plain("x.org", "reject_unknown_helo_hostname"),
        deferred(450, "4.7.1", "<x.org>: Helo command rejected: Host not found")
    );
    for restriction in [
        "reject_invalid_helo_hostname",
        "reject_non_fqdn_helo_hostname",
        "reject_unknown_helo_hostname",
    ] {
        let known = stranger().addresses("*", Ok(vec!["192.0.2.1".into()]));
        assert_eq!(helo("x.org", restriction, known), Verdict::NoOpinion, "{restriction}");
        assert_eq!(plain("[192.0.2.1]", restriction), Verdict::NoOpinion, "{restriction}");
        let settings = settings::of(&format!(r#"{{"helo": ["{restriction}"]}}"#)).unwrap();
        let silent = stranger().without_helo();
        assert_eq!(stage(&silent, &settings.helo, What::Helo), Verdict::NoOpinion);
    }
    assert_eq!(plain("192.0.2.1", "reject_invalid_helo_hostname"), Verdict::NoOpinion);
    assert_eq!(plain("x.org.", "reject_invalid_helo_hostname"), Verdict::NoOpinion);
    assert_eq!(
        plain("x.org.", "reject_unknown_helo_hostname"),
        deferred(450, "4.7.1", "<x.org.>: Helo command rejected: Host not found")
    );
}

#[test]
fn addresses_in_full() {
    let sender = |domain: &str| stranger().sender(&format!("a@{domain}"));
    assert_eq!(
        ask(&sender("b"), "reject_non_fqdn_sender"),
        rejected(504, "5.5.2", "<a@b>: Sender address rejected: need fully-qualified address")
    );
    assert_eq!(ask(&sender("b.org"), "reject_non_fqdn_sender"), Verdict::NoOpinion);
    assert_eq!(ask(&sender("[192.0.2.1]"), "reject_non_fqdn_sender"), Verdict::NoOpinion);
    assert_eq!(ask(&stranger().sender(""), "reject_non_fqdn_sender"), Verdict::NoOpinion);
    assert_eq!(
        ask(&stranger().recipient("x@y", RecipientClass::Other), "reject_non_fqdn_recipient"),
        rejected(504, "5.5.2", "<x@y>: Recipient address rejected: need fully-qualified address")
    );
}

#[test]
fn domains_in_the_dns() {
    let list = "reject_unknown_sender_domain";
    let text = "<a@b.org>: Sender address rejected: Domain not found";
    assert_eq!(ask(&stranger(), list), deferred(450, "4.1.8", text));
    let ours = stranger().sender_class(RecipientClass::VirtualAlias);
    assert_eq!(
        ask(&ours, list),
        Verdict::NoOpinion,
        "our own domains are known, whatever the DNS says"
    );
    let timeout = || stranger().mail_exchangers("*", Err(Error::Timeout));
    assert_eq!(ask(&timeout(), list), Verdict::DeferIfPermit(reply(450, "4.1.8", text)));
    assert_eq!(
        ask(&timeout().addresses("*", Ok(vec!["192.0.2.1".into()])), list),
        Verdict::NoOpinion
    );
    let mx = |host: &str| Ok(vec![dns::MailExchanger { preference: 0, host: host.into() }]);
    assert_eq!(ask(&stranger().mail_exchangers("*", mx("mx.b.org")), list), Verdict::NoOpinion);
    assert_eq!(
        ask(&stranger().mail_exchangers("*", mx(".")), list),
        rejected(
            550,
            "5.7.27",
            "<a@b.org>: Sender address rejected: Domain b.org does not accept mail (nullMX)"
        )
    );
    let list = "reject_unknown_recipient_domain";
    assert_eq!(
        ask(&stranger(), list),
        deferred(450, "4.1.2", "<x@elsewhere.org>: Recipient address rejected: Domain not found")
    );
    assert_eq!(
        ask(&stranger().mail_exchangers("*", mx(".")), list),
        rejected(
            556,
            "5.1.10",
            "<x@elsewhere.org>: Recipient address rejected: Domain elsewhere.org does not accept \
             mail (nullMX)"
        )
    );
    assert_eq!(
        ask(&stranger().recipient("x@here.org", RecipientClass::Local), list),
        Verdict::NoOpinion
    );
    let ungranted =
        stranger().mail_exchangers("*", Err(Error::NotGranted("add: dns = true".into())));
    assert_eq!(ask(&ungranted, list), deferred(451, "4.3.5", "Server configuration error"));
    assert!(ungranted.log()[0].contains("dns = true"));
}

#[test]
fn temporary_errors_wait_for_the_end() {
    let timeout =
        || stranger().mail_exchangers("*", Err(Error::Unavailable("it is broken".into())));
    let later = reply(450, "4.1.8", "<a@b.org>: Sender address rejected: Domain not found");
    let list = "reject_unknown_sender_domain, permit_mynetworks, reject_unauth_destination";
    // A refusal beats it.
    assert_eq!(
        ask(&timeout(), list),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied")
    );
    // Relaying that was permitted waits.
    assert_eq!(ask(&timeout().trusted(), list), Verdict::Defer(later.clone()));
    let local = timeout().recipient("x@elsewhere.org", RecipientClass::Local).trusted();
    assert_eq!(ask(&local, list), Verdict::DeferIfPermit(later));
}

#[test]
fn defer_if_reject_softens_a_refusal() {
    let wait = "<x@elsewhere.org>: Recipient address rejected: defer_if_reject requested";
    let world = stranger();
    assert_eq!(ask(&world, "defer_if_reject, reject"), deferred(450, "4.7.0", wait));
    assert_eq!(ask(&world, "defer_if_reject"), Verdict::DeferIfReject(reply(450, "4.7.0", wait)));
    // Both together can only come to "later".
    let permit = "<x@elsewhere.org>: Recipient address rejected: defer_if_permit requested";
    assert_eq!(
        ask(&world, "defer_if_reject, defer_if_permit, reject"),
        deferred(450, "4.7.0", permit)
    );
    // At an earlier stage it is forgotten with the stage.
    let settings = settings::of(r#"{"helo": ["defer_if_reject"]}"#).unwrap();
    assert_eq!(stage(&world, &settings.helo, What::Helo), Verdict::NoOpinion);
    // A deferral needs no softening.
    assert_eq!(
        ask(&world, "defer_if_reject, defer"),
        deferred(450, "4.3.2", "<x@elsewhere.org>: Recipient address rejected: Try again later")
    );
}

#[test]
fn warn_if_reject_tells_the_log_and_goes_on() {
    let world = stranger();
    assert_eq!(
        ask(&world, "warn_if_reject reject, warn_if_reject reject_unknown_sender_domain"),
        Verdict::NoOpinion
    );
    assert_eq!(
        world.log(),
        [
            "warn reject_warning: 554 5.7.1 <x@elsewhere.org>: Recipient address rejected: Access \
             denied",
            "warn reject_warning: 450 4.1.8 <a@b.org>: Sender address rejected: Domain not found"
        ]
    );
    // For the next restriction only.
    assert!(matches!(ask(&world, "warn_if_reject reject, reject"), Verdict::Reject(_)));
}

#[test]
fn unlisted_recipients() {
    let list = "reject_unlisted_recipient";
    let unlisted = |class| stranger().recipient("x@here.org", class).listed(Ok(false));
    for (class, table) in [
        (RecipientClass::Local, "local recipient"),
        (RecipientClass::VirtualAlias, "virtual alias"),
        (RecipientClass::VirtualMailbox, "virtual mailbox"),
        (RecipientClass::Relay, "relay recipient"),
    ] {
        let text =
            format!("<x@here.org>: Recipient address rejected: User unknown in {table} table");
        assert_eq!(ask(&unlisted(class), list), rejected(550, "5.1.1", &text));
    }
    assert_eq!(ask(&unlisted(RecipientClass::Other), list), Verdict::NoOpinion);
    let broken = stranger()
        .recipient("x@here.org", RecipientClass::Local)
        .listed(Err(Failure::transient("down")));
    assert_eq!(
        ask(&broken, list),
        deferred(451, "4.3.0", "<x@here.org>: Temporary lookup failure")
    );
}

#[test]
fn unlisted_senders() {
    let text = "<a@b.org>: Sender address rejected: User unknown in local recipient table";
    let sender = |listed| {
        stranger().sender_class(RecipientClass::Local).sender_listed(listed).sender("a@b.org")
    };
    let list = "reject_unlisted_sender";
    assert_eq!(ask(&sender(Ok(false)), list), rejected(550, "5.1.0", text));
    let alias = sender(Ok(false)).sender_class(RecipientClass::VirtualAlias);
    let text = "<a@b.org>: Sender address rejected: User unknown in virtual alias table";
    assert_eq!(ask(&alias, list), rejected(550, "5.1.7", text));
    assert_eq!(ask(&sender(Ok(true)), list), Verdict::NoOpinion);
    assert_eq!(ask(&sender(Ok(false)).sender(""), list), Verdict::NoOpinion);
    let elsewhere = stranger().sender_listed(Ok(false));
    assert_eq!(ask(&elsewhere, list), Verdict::NoOpinion, "it isn't ours to know");
    assert_eq!(
        ask(&sender(Err(Failure::transient("down"))), list),
        deferred(451, "4.3.0", "<a@b.org>: Temporary lookup failure")
    );
}

#[test]
fn unlisted_senders_are_refused_whatever_the_list_permits() {
    let unlisted = || stranger().sender_class(RecipientClass::Local).sender_listed(Ok(false));
    let asked = |host: &Host, sender: &str, waits: bool| {
        let client = if waits { r#""permit_auth_destination""# } else { "" };
        let json = format!(
            r#"{{"client": [{client}], "sender": [{sender}], "reject-unlisted-sender": true}}"#
        );
        let settings = settings::of(&json).unwrap();
        let early = early(host, &settings, &settings.sender, What::Sender);
        if waits { rcpt(host, &settings) } else { early }
    };
    let text = "<a@b.org>: Sender address rejected: User unknown in local recipient table";
    for waits in [false, true] {
        for list in ["", r#""permit""#, r#""warn_if_reject reject_unlisted_sender""#] {
            assert_eq!(asked(&unlisted(), list, waits), rejected(550, "5.1.0", text), "{list}");
        }
        let known = unlisted().sender_listed(Ok(true));
        assert_eq!(asked(&known, "", waits), Verdict::NoOpinion);
        assert_eq!(asked(&unlisted().sender(""), "", waits), Verdict::NoOpinion);
        assert!(matches!(asked(&unlisted(), r#""defer""#, waits), Verdict::Defer(_)));
    }
    // Where nobody is asked early there is no sender yet.
    let settings = settings::of(r#"{"reject-unlisted-sender": true}"#).unwrap();
    let none = unlisted().without_transaction();
    assert_eq!(early(&none, &settings, &settings.client, What::Client), Verdict::NoOpinion);
    assert!(!settings.idle().any(|hook| hook == facteur_plugin::settings::Hook::OnMail));
}

#[test]
fn who_owns_a_sender() {
    let owned = || stranger().table("owners", &[("a@b.org", "ann, Louen"), ("@c.org", "ann")]);
    let by = |host: &Host, which: &str| {
        let json = format!(
            r#"{{"recipient": ["reject_{which}sender_login_mismatch"], "sender-logins": ["owners"]}}"#
        );
        rcpt(host, &settings::of(&json).unwrap())
    };
    let mismatch = |sender: &str, why: &str| {
        rejected(553, "5.7.1", &format!("<{sender}>: Sender address rejected: {why}"))
    };
    let bea = "not owned by user bea";
    for (which, of_bea, of_nobody, unowned_of_bea) in [
        ("", true, true, true),
        ("known_", true, true, false),
        ("authenticated_", true, false, true),
        ("unauthenticated_", false, true, false),
    ] {
        let expected = |refused: bool, sender: &str, why: &str| {
            if refused { mismatch(sender, why) } else { Verdict::NoOpinion }
        };
        for login in ["ann", "louen"] {
            assert_eq!(by(&owned().login(login), which), Verdict::NoOpinion, "{which}");
        }
        assert_eq!(by(&owned().login("bea"), which), expected(of_bea, "a@b.org", bea), "{which}");
        let nobody = expected(of_nobody, "a@b.org", "not logged in");
        assert_eq!(by(&owned(), which), nobody, "{which}");
        let other = || owned().sender("x@d.org");
        assert_eq!(by(&other(), which), Verdict::NoOpinion, "{which}");
        assert_eq!(
            by(&other().login("bea"), which),
            expected(unowned_of_bea, "x@d.org", bea),
            "{which}"
        );
        assert_eq!(by(&owned().sender("").login("bea"), which), Verdict::NoOpinion, "{which}");
    }
    assert_eq!(by(&owned().sender("x@c.org").login("ann"), ""), Verdict::NoOpinion);
    let down = stranger().broken_table("owners").login("ann");
    assert_eq!(by(&down, ""), deferred(451, "4.3.0", "<a@b.org>: Temporary lookup failure"));
}

/// A client that shows a certificate.
fn with_certificate(verified: &str) -> Host {
    stranger()
        .fact("tls.client-fingerprint", "AB:01")
        .fact("tls.client-key-fingerprint", "CD:02")
        .fact("tls.client-subject", "client.example")
        .fact("tls.client-verified", verified)
}

#[test]
fn certificates_may_relay() {
    let by = |host: Host, restriction: &str, key: &str| {
        let json = format!(
            r#"{{"recipient": ["{restriction}", "reject_unauth_destination"],
                "relay-clientcerts": ["certs"]}}"#
        );
        rcpt(&host.table("certs", &[(key, "x")]), &settings::of(&json).unwrap())
    };
    let denied = rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied");
    for restriction in ["permit_tls_clientcerts", "permit_tls_all_clientcerts"] {
        for key in ["ab:01", "cd:02"] {
            let found = by(with_certificate("false"), restriction, key);
            assert_eq!(found, Verdict::AllowRelay, "{restriction}");
        }
        assert_eq!(by(with_certificate("false"), restriction, "ef:03"), denied, "{restriction}");
        assert_eq!(by(stranger(), restriction, "ab:01"), denied, "{restriction}");
    }
    assert_eq!(by(with_certificate("true"), "permit_tls_clientcerts", "ef:03"), denied);
    let verified = by(with_certificate("true"), "permit_tls_all_clientcerts", "ef:03");
    assert_eq!(verified, Verdict::AllowRelay);
    let settings = r#"{"recipient": ["permit_tls_clientcerts"], "relay-clientcerts": ["down"]}"#;
    assert_eq!(
        rcpt(&with_certificate("true"), &settings::of(settings).unwrap()),
        deferred(
            451,
            "4.3.5",
            "<x@elsewhere.org>: Recipient address rejected: Server configuration error"
        )
    );
}

#[test]
fn access_tables_of_certificates_and_logins() {
    let by = |host: Host, key: &str, value: &str, restriction: &str| {
        ask(&host.table("t", &[(key, value)]), &format!("{restriction} table:t"))
    };
    let text = "<client.example>: Client certificate rejected: go away";
    for key in ["ab:01", "cd:02"] {
        let found = by(with_certificate("false"), key, "REJECT go away", "check_ccert_access");
        assert_eq!(found, rejected(554, "5.7.1", text));
    }
    assert_eq!(by(stranger(), "ab:01", "REJECT", "check_ccert_access"), Verdict::NoOpinion);
    // What the certificate says goes before what its key says; DUNNO says nothing.
    let both = |first: &str| {
        let host = with_certificate("false").table("t", &[("ab:01", first), ("cd:02", "REJECT")]);
        ask(&host, "check_ccert_access table:t")
    };
    assert_eq!(both("OK"), Verdict::Accept);
    assert!(matches!(both("DUNNO"), Verdict::Reject(_)));
    assert_eq!(
        by(stranger().login("louen"), "louen", "450 4.7.1 later", "check_sasl_access"),
        deferred(450, "4.7.1", "<louen>: SASL login name rejected: later")
    );
    assert_eq!(by(stranger(), "louen", "REJECT", "check_sasl_access"), Verdict::NoOpinion);
    assert_eq!(
        by(stranger().login("ann"), "louen", "REJECT", "check_sasl_access"),
        Verdict::NoOpinion
    );
    // A restriction in a table asks the tables that the settings name.
    assert_eq!(
        by(stranger().login("louen"), "louen", "permit_tls_clientcerts", "check_sasl_access"),
        deferred(451, "4.3.5", "Server configuration error")
    );
}

#[test]
fn who_does_not_wait_for_answers() {
    let list = "reject_unauth_pipelining";
    let hasty = || stranger().fact("smtp.unauth-pipelining", "true");
    assert_eq!(ask(&stranger(), list), Verdict::NoOpinion);
    assert_eq!(
        ask(&hasty(), list),
        rejected(
            503,
            "5.5.0",
            "<x@elsewhere.org>: Recipient address rejected: Improper use of SMTP command pipelining"
        )
    );
    let settings = settings::of(&format!(r#"{{"data": ["{list}"]}}"#)).unwrap();
    assert_eq!(
        stage(&hasty(), &settings.data, What::Data),
        rejected(
            503,
            "5.5.0",
            "<DATA>: Data command rejected: Improper use of SMTP command pipelining"
        )
    );
}

#[test]
fn bounces_have_one_recipient() {
    let accepted = |host: Host, number| {
        (0..number).fold(host, |host, _| host.accepted("y@here.org", RecipientClass::Local))
    };
    let bounce = |number| accepted(stranger().sender(""), number);
    let list = "reject_multi_recipient_bounce";
    assert_eq!(ask(&bounce(0), list), Verdict::NoOpinion);
    assert_eq!(
        ask(&bounce(1), list),
        rejected(
            550,
            "5.5.3",
            "<x@elsewhere.org>: Recipient address rejected: Multi-recipient bounce"
        )
    );
    let settings = settings::of(&format!(r#"{{"data": ["{list}"]}}"#)).unwrap();
    let data = |accepted| stage(&bounce(accepted), &settings.data, What::Data);
    assert_eq!(data(1), Verdict::NoOpinion);
    assert_eq!(
        data(2),
        rejected(550, "5.5.3", "<DATA>: Data command rejected: Multi-recipient bounce")
    );
    assert_eq!(ask(&accepted(stranger(), 5), list), Verdict::NoOpinion);
}

#[test]
fn access_tables_refuse_in_their_own_words() {
    let world = |key, value| stranger().table("t", &[(key, value)]);
    assert_eq!(
        ask(&world("client.example.net", "REJECT"), "check_client_access table:t"),
        rejected(
            554,
            "5.7.1",
            "<client.example.net[203.0.113.25]>: Client host rejected: Access denied"
        )
    );
    assert_eq!(
        ask(&world("203.0", "550 5.1.1 not you"), "check_client_access table:t"),
        rejected(550, "5.0.0", "<client.example.net[203.0.113.25]>: Client host rejected: not you")
    );
    assert_eq!(
        ask(&world("b.org", "REJECT 5.1.1 go away"), "check_sender_access table:t"),
        rejected(554, "5.1.7", "<a@b.org>: Sender address rejected: go away")
    );
    assert_eq!(
        ask(&world("example.net", "450 wait"), "check_helo_access table:t"),
        deferred(450, "4.7.1", "<helo.example.net>: Helo command rejected: wait")
    );
    assert_eq!(
        ask(&world("x@", "521 bye"), "table:t"),
        Verdict::Disconnect(reply(
            521,
            "5.7.1",
            "<x@elsewhere.org>: Recipient address rejected: bye"
        ))
    );
    let bounce = world("<>", "REJECT no bounces").sender("");
    assert_eq!(
        ask(&bounce, "check_sender_access table:t"),
        rejected(554, "5.7.1", "<>: Sender address rejected: no bounces")
    );
    assert_eq!(
        ask(&world("", ""), "check_sender_access table:down"),
        deferred(451, "4.3.5", "<a@b.org>: Sender address rejected: Server configuration error")
    );
}

#[test]
fn an_ok_for_a_routed_recipient_is_none() {
    let world = stranger().table("t", &[("x@elsewhere.org", "OK")]).routed();
    assert_eq!(
        ask(&world, "check_recipient_access table:t, reject_unauth_destination"),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Relay access denied")
    );
}

#[test]
fn after_rcpt_only_a_single_recipient_is_looked_up() {
    let settings = settings::of(r#"{"data": ["check_recipient_access table:t"]}"#).unwrap();
    let ask = |host: &Host| stage(host, &settings.data, What::Data);
    let host = stranger().table("t", &[("x@", "REJECT")]);
    assert_eq!(ask(&host), Verdict::NoOpinion);
    let host = host.accepted("x@elsewhere.org", RecipientClass::Other);
    assert_eq!(
        ask(&host),
        rejected(554, "5.7.1", "<x@elsewhere.org>: Recipient address rejected: Access denied")
    );
    let host = host.accepted("y@elsewhere.org", RecipientClass::Other);
    assert_eq!(ask(&host), Verdict::NoOpinion);
}

#[test]
fn access_tables_act_on_the_message() {
    let world = |value| stranger().table("t", &[("b.org", value)]);
    for (value, did, log) in [
        ("HOLD", "hold <a@b.org>: Sender address triggers HOLD action", ""),
        ("HOLD look at it", "hold <a@b.org>: Sender address look at it", ""),
        (
            "REDIRECT c@d.org",
            "redirect c@d.org",
            "info <a@b.org>: Sender address triggers REDIRECT c@d.org",
        ),
        ("BCC c@d.org", "bcc c@d.org", "info <a@b.org>: Sender address triggers BCC c@d.org"),
        ("PREPEND X-A: b", "prepend-header X-A: b", ""),
        ("WARN hm", "", "warn <a@b.org>: Sender address: hm"),
        ("INFO hm", "", "info <a@b.org>: Sender address: hm"),
    ] {
        let host = world(value);
        assert_eq!(ask(&host, "check_sender_access table:t"), Verdict::NoOpinion);
        assert_eq!((host.did().concat().as_str(), host.log().concat().as_str()), (did, log));
        // Without a message there is nothing to act on.
        let settings = settings::of(r#"{"helo": ["check_helo_access table:t"]}"#).unwrap();
        let host = world(value).helo("b.org").without_transaction();
        assert_eq!(stage(&host, &settings.helo, What::Helo), Verdict::NoOpinion);
        assert_eq!((host.did().len(), host.log().len()), (0, 1));
    }
    assert_eq!(ask(&world("DISCARD"), "check_sender_access table:t, reject"), Verdict::Discard);
}

#[test]
fn access_tables_may_name_restrictions() {
    let world = |value| stranger().table("t", &[("b.org", value)]);
    let list = "check_sender_access table:t, reject_unauth_destination";
    assert_eq!(
        ask(&world("permit_mynetworks, reject"), list),
        rejected(554, "5.7.1", "<a@b.org>: Sender address rejected: Access denied")
    );
    assert_eq!(ask(&world("permit_mynetworks, reject").trusted(), list), Verdict::AllowRelay);
    for wrong in ["nonsense", "FILTER smtp:x", "check_sender_access table:t"] {
        let world = world(wrong);
        assert_eq!(
            ask(&world, list),
            deferred(451, "4.3.5", "Server configuration error"),
            "{wrong}"
        );
        assert!(world.log()[0].contains("table \"t\""));
    }
    // A mistake is no refusal that could be turned into a warning.
    assert!(matches!(
        ask(&world("nonsense"), "warn_if_reject check_sender_access table:t"),
        Verdict::Defer(_)
    ));
}

#[test]
fn a_list_about_recipients_is_asked_for_each() {
    let settings = settings::of(
        r#"{"client": ["defer_if_reject, permit_auth_destination, reject"], "sender": ["reject_unauth_destination"]}"#,
    )
    .unwrap();
    let ours = stranger().recipient("x@here.org", RecipientClass::Local);
    assert_eq!(early(&ours, &settings, &settings.client, What::Client), Verdict::NoOpinion);
    assert_eq!(rcpt(&ours, &settings), Verdict::NoOpinion);
    let wait =
        "<client.example.net[203.0.113.25]>: Client host rejected: defer_if_reject requested";
    assert_eq!(rcpt(&stranger(), &settings), deferred(450, "4.7.0", wait));
    // Without a transaction there is no RCPT to wait for.
    let connect = stranger().without_transaction();
    assert_eq!(
        early(&connect, &settings, &settings.client, What::Client),
        deferred(450, "4.7.0", wait)
    );
}
