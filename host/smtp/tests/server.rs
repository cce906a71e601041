//! Dialogues with the server machine: replies, events, limits.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use facteur_smtp::{
    AuthOffer, BareNewline, DataError, Discarded, Event, Reply, Server, ServerConfig, ServerLimits,
    StartTls, status,
};

/// Plays a session: everything is accepted but what the judge refuses.
struct Session {
    server: Server,
    events: Vec<Event>,
    judge: fn(&Event) -> Option<Reply>,
}

impl Session {
    fn with(config: ServerConfig, judge: fn(&Event) -> Option<Reply>) -> Self {
        let mut server = Server::new(Arc::new(config));
        server.greet(&Reply::plain(220, "mx.example ESMTP"));
        server.output().clear();
        Self { server, events: Vec::new(), judge }
    }

    fn new() -> Self {
        Self::with(config(), |_| None)
    }

    /// Sends, and gives what came back.
    fn say(&mut self, text: impl AsRef<[u8]>) -> String {
        self.server.receive(text.as_ref());
        while let Some(event) = self.server.poll() {
            if let Some(acceptance) = event.acceptance() {
                assert_eq!(self.server.poll(), None, "a reply is owed first");
                self.server.reply(&(self.judge)(&event).unwrap_or(acceptance));
            }
            self.events.push(event);
        }
        String::from_utf8(std::mem::take(self.server.output()).to_vec()).unwrap()
    }

    /// The content given so far.
    fn content(&self) -> Vec<u8> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Body(body) = event { Some(&body[..]) } else { None })
            .collect::<Vec<_>>()
            .concat()
    }
}

fn config() -> ServerConfig {
    ServerConfig {
        hostname: "mx.example".into(),
        limits: ServerLimits::default(),
        ..ServerConfig::default()
    }
}

fn limited(change: impl FnOnce(&mut ServerLimits)) -> ServerConfig {
    let mut config = config();
    change(&mut config.limits);
    config
}

/// Refuses every recipient whose local part begins with "no".
fn refuse_no(event: &Event) -> Option<Reply> {
    match event {
        Event::Rcpt { path, .. } if path.address.local().starts_with("no") => Some(Reply::new(
            550,
            status::BAD_MAILBOX,
            format!("<{}>: Recipient address rejected: User unknown", path.address),
        )),
        _ => None,
    }
}

#[test]
fn the_classic_session() {
    let mut session = Session::new();
    for (line, reply) in [
        ("HELO toto.plop.com", "250 mx.example\r\n"),
        ("MAIL FROM:<a@b.org>", "250 2.1.0 Ok\r\n"),
        ("RCPT TO:<c@d.org>", "250 2.1.5 Ok\r\n"),
        ("DATA", "354 End data with <CR><LF>.<CR><LF>\r\n"),
        ("Subject: x", ""),
        ("", ""),
        ("..dot", ""),
        (".", "250 2.0.0 Ok\r\n"),
        ("quit", "221 2.0.0 Bye\r\n"),
    ] {
        assert_eq!(session.say(format!("{line}\r\n")), reply, "{line}");
    }
    assert_eq!(session.content(), b"Subject: x\r\n\r\n.dot\r\n");
    assert_eq!(session.events.last(), Some(&Event::Quit));
    assert!(session.server.wants_close() && !session.server.wants_input());
    assert_eq!(session.say("NOOP\r\n"), "");
}

#[test]
fn keywords() {
    assert_eq!(
        Session::new().say("EHLO x\r\n"),
        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-LIMITS RCPTMAX=1000\r\n\
         250-VRFY\r\n250-HELP\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
         250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"
    );
}

#[test]
fn what_is_discarded_is_neither_offered_nor_taken_where_postfix_does_not_take_it() {
    let without = |words| {
        let discarded = Discarded::list(words);
        Session::with(ServerConfig { discarded, ..config() }, |_| None)
    };
    let all = "pipelining size limits vrfy help enhancedstatuscodes 8bitmime dsn smtputf8 chunking";
    assert_eq!(without(all).say("EHLO x\r\n"), "250 mx.example\r\n");
    assert_eq!(without(all).say("HELO x\r\n"), "250 mx.example\r\n");
    let reply = without("chunking,smtputf8").say("EHLO x\r\n");
    assert!(reply.ends_with("250-8BITMIME\r\n250 DSN\r\n"), "{reply}");
    for (line, told) in [
        ("MAIL FROM:<a@b.org> RET=HDRS", "501 5.7.1 DSN support is disabled"),
        ("MAIL FROM:<a@b.org> ENVID=x", "501 5.7.1 DSN support is disabled"),
        ("MAIL FROM:<a@b.org> SMTPUTF8", "555 5.5.4 Unsupported option: SMTPUTF8"),
        ("MAIL FROM:<a@b.org> SIZE=7 BODY=8BITMIME", "250 2.1.0 Ok"),
        ("VRFY a@b.org", "252 2.0.0 a@b.org"),
        ("HELP", "214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH HELP QUIT"),
    ] {
        assert_eq!(without(all).say(format!("{line}\r\n")), format!("{told}\r\n"), "{line}");
    }
    for parameter in ["NOTIFY=NEVER", "ORCPT=rfc822;a@b.org"] {
        let lines = format!("MAIL FROM:<>\r\nRCPT TO:<a@b.org> {parameter}\r\n");
        let reply = without(all).say(lines);
        assert_eq!(reply, "250 2.1.0 Ok\r\n501 5.7.1 DSN support is disabled\r\n");
    }
    // What follows isn't commands.
    let mut session = without(all);
    let reply = session.say("BDAT 6 LAST\r\nQUIT\r\n");
    assert_eq!(reply, "521 5.5.1 Error: command not implemented\r\n");
    assert!(session.server.wants_close());
    let start_tls = StartTls::Required;
    let discarded = Discarded::list("starttls");
    let mut session = Session::with(ServerConfig { start_tls, discarded, ..config() }, |_| None);
    let reply = session.say("STARTTLS\r\nMAIL FROM:<>\r\nHELP\r\n");
    let told = "502 5.5.1 Error: command not implemented\r\n\
                530 5.7.0 Must issue a STARTTLS command first\r\n\
                530 5.7.0 Must issue a STARTTLS command first\r\n";
    assert_eq!(reply, told);
    let mut session = Session::with(ServerConfig { disable_vrfy: true, ..config() }, |_| None);
    assert!(!session.say("EHLO x\r\n").contains("VRFY"));
    assert_eq!(session.say("VRFY x\r\n"), "502 5.5.1 VRFY command is disabled\r\n");
}

#[test]
fn a_session_starts_over_for_a_client_that_is_spoken_for() {
    let config = ServerConfig { xclient: true, xforward: true, ..config() };
    // Nobody may twice.
    let after = Arc::new(ServerConfig { xclient: false, ..config.clone() });
    let mut session = Session::with(config.clone(), |_| None);
    assert!(session.say("EHLO proxy\r\n").contains(
        "250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT\r\n\
         250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n"
    ));
    let wrong = session.say("XCLIENT ADDR=x\r\n");
    assert_eq!(wrong, "501 5.5.4 Bad ADDR syntax: x\r\n");
    session.server.receive(b"XCLIENT ADDR=203.0.113.9\r\nMAIL FROM:<a@b.org>\r\nNOOP\r\n");
    let Some(Event::XClient(said)) = session.server.poll() else { panic!("{:?}", session.events) };
    assert_eq!(said.address, Some("203.0.113.9".parse().unwrap()));
    assert_eq!(session.server.poll(), None, "a reply is owed");
    session.server.start_over(after.clone());
    assert_eq!(session.server.poll(), None, "it must be greeted");
    session.server.greet(&Reply::plain(220, "mx.example"));
    let replies = session.say("");
    assert_eq!(replies, "220 mx.example\r\n250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n");
    for command in ["XCLIENT ADDR=203.0.113.9", "XFORWARD ADDR=203.0.113.9"] {
        let reply = session.say(format!("{command}\r\n"));
        assert_eq!(reply, "503 5.5.1 Error: MAIL transaction in progress\r\n");
    }
    session.say("RSET\r\n");
    assert_eq!(session.say("XFORWARD NAME=a.test IDENT=4711\r\n"), "250 2.0.0 Ok\r\n");
    let reply = session.say("XCLIENT ADDR=203.0.113.9\r\n");
    assert_eq!(reply, "550 5.7.0 Error: insufficient authorization\r\n");
    // It has to greet again before it logs in, and did so if its speaker says so; who is logged in
    // stays that.
    let start_over = |attributes: &str| {
        let mut session = Session::with(config.clone(), |_| None);
        session.server.offer_auth(AuthOffer::Mechanisms(vec!["PLAIN".into()]));
        session.say(format!("EHLO proxy\r\nXCLIENT {attributes}\r\n"));
        session.server.start_over(after.clone());
        session.server.greet(&Reply::plain(220, "mx.example"));
        session.say("AUTH PLAIN\r\n")
    };
    assert!(start_over("NAME=a.test").ends_with("503 5.5.1 Error: send HELO/EHLO first\r\n"));
    let logged_in = "503 5.5.1 Error: already authenticated\r\n";
    assert!(start_over("HELO=a.test LOGIN=louen").ends_with(logged_in));
    // Out of turn it is nothing.
    session.server.start_over(after.clone());
    assert_eq!(session.say("NOOP\r\n"), "250 2.0.0 Ok\r\n");
}

#[test]
fn sequence_and_syntax_errors_are_postfix_s() {
    for (lines, reply) in [
        ("RCPT TO:<a@b>", "503 5.5.1 Error: need MAIL command"),
        ("DATA", "503 5.5.1 Error: need RCPT command"),
        ("MAIL FROM:<>|MAIL FROM:<>", "503 5.5.1 Error: nested MAIL command"),
        ("MAIL FROM:<>|DATA", "554 5.5.1 Error: no valid recipients"),
        ("MAIL FROM:<>|RCPT TO:<a@b>|DATA now", "501 5.5.4 Syntax: DATA"),
        ("MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ("MAIL FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ("MAIL FROM <a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ("MAIL TO:<a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ("MAIL FROM:<a@b", "501 5.1.7 Bad sender address syntax"),
        ("MAIL FROM:<a b@c>", "501 5.1.7 Bad sender address syntax"),
        ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4 Bad message size syntax"),
        (
            "MAIL FROM:<a@b> SIZE=99999999999999999999",
            "552 5.3.4 Message size exceeds file system imposed limit",
        ),
        ("MAIL FROM:<a@b> SIZE=10240001", "552 5.3.4 Message size exceeds fixed limit"),
        ("MAIL FROM:<a@b> FOO=bar", "555 5.5.4 Unsupported option: FOO=bar"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "555 5.5.4 Unsupported option: BODY=BINARYMIME"),
        ("MAIL FROM:<a@b> AUTH=<>", "555 5.5.4 Unsupported option: AUTH=<>"),
        ("MAIL FROM:<a@b> RET=half", "501 5.5.4 Bad RET parameter syntax"),
        ("MAIL FROM:<a@b> ENVID=+0", "501 5.5.4 Bad ENVID parameter syntax"),
        ("MAIL FROM:<é@b>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),
        ("MAIL FROM:<>|RCPT TO:", "501 5.5.4 Syntax: RCPT TO:<address>"),
        ("MAIL FROM:<>|RCPT TO:<>", "501 5.1.3 Bad recipient address syntax"),
        ("MAIL FROM:<>|RCPT TO:<@b>", "501 5.1.3 Bad recipient address syntax"),
        (
            "MAIL FROM:<>|RCPT TO:<a@é.fr>",
            "553 5.6.7 Must declare SMTPUTF8 to send unicode address",
        ),
        (
            "MAIL FROM:<>|RCPT TO:<a@b> NOTIFY=NEVER,DELAY",
            "501 5.5.4 Error: Bad NOTIFY parameter syntax",
        ),
        ("MAIL FROM:<>|RCPT TO:<a@b> ORCPT=x", "501 5.5.4 Error: Bad ORCPT parameter syntax"),
        ("EHLO", "501 Syntax: EHLO hostname"),
        ("HELO ", "501 Syntax: HELO hostname"),
        ("RSET now", "501 5.5.4 Syntax: RSET"),
        ("VRFY", "501 5.5.4 Syntax: VRFY address [SMTPUTF8]"),
        ("VRFY a@", "501 5.1.3 Bad recipient address syntax"),
        ("VRFY <a@b.org>", "252 2.0.0 <a@b.org>"),
        ("NOOP whatever", "250 2.0.0 Ok"),
        ("RSET", "250 2.0.0 Ok"),
        ("", "500 5.5.2 Error: bad syntax"),
        ("EXPN list", "500 5.5.2 Error: command not recognized"),
        ("HLEP", "500 5.5.2 Error: command not recognized"),
        ("ETRN b.org", "500 5.5.2 Error: command not recognized"),
        ("AUTH PLAIN", "503 5.5.1 Error: authentication not enabled"),
        ("STARTTLS", "502 5.5.1 Error: command not implemented"),
        ("GET / HTTP/1.1", "221 2.7.0 Error: I can break rules, too. Goodbye."),
        ("Subject: hello", "221 2.7.0 Error: I can break rules, too. Goodbye."),
        ("BDAT x", "521 5.5.4 Syntax: BDAT count [LAST]"),
        ("BDAT 1 FIRST", "521 5.5.4 Syntax: BDAT count [LAST]"),
    ] {
        let mut session = Session::new();
        let answers: Vec<_> =
            lines.split('|').map(|line| session.say(format!("{line}\r\n"))).collect();
        assert_eq!(answers.last().unwrap(), &format!("{reply}\r\n"), "{lines}");
        assert!(
            answers[..answers.len() - 1].iter().all(|answer| answer.starts_with("250 ")),
            "{lines}: {answers:?}"
        );
        assert_eq!(
            session.server.wants_close(),
            reply.starts_with("221") || reply.starts_with("521"),
            "{lines}"
        );
    }
}

#[test]
fn what_postfix_takes_is_taken() {
    for (mail, sender) in [
        ("MAIL FROM:<a@b.org>", Some("a@b.org")),
        ("mail from: <a@b.org>", Some("a@b.org")),
        ("MAIL FROM:a@b.org BODY=8BITMIME", Some("a@b.org")),
        ("MAIL FROM:<postmaster>", Some("postmaster")),
        ("MAIL FROM:<\"a > b\"@c.org> SIZE=1 SMTPUTF8", Some("\"a > b\"@c.org")),
        ("MAIL FROM:<@x.org,@y.org:a@b.org>", Some("@x.org,@y.org:a@b.org")),
        ("MAIL FROM:<é@münchen.de> SMTPUTF8", Some("é@münchen.de")),
        ("MAIL FROM:<>", None),
        ("MAIL FROM: <> RET=HDRS ENVID=a+20b", None),
    ] {
        let mut session = Session::new();
        assert_eq!(session.say(format!("{mail}\r\n")), "250 2.1.0 Ok\r\n", "{mail}");
        let [Event::Mail { sender: found, .. }] = &session.events[..] else {
            panic!("{mail}: {:?}", session.events)
        };
        assert_eq!(found.as_ref().map(ToString::to_string).as_deref(), sender, "{mail}");
    }
}

#[test]
fn parameters_reach_the_host() {
    let mut session = Session::new();
    session.say("MAIL FROM:<> SIZE=7 BODY=8BITMIME RET=full ENVID=a+2Bb SMTPUTF8\r\n");
    session.say("RCPT TO:<é@b.org> NOTIFY=success,DELAY ORCPT=rfc822;x+2Dy@z\r\n");
    let [Event::Mail { parameters: mail, .. }, Event::Rcpt { parameters: rcpt, .. }] =
        &session.events[..]
    else {
        panic!("{:?}", session.events)
    };
    assert_eq!((mail.size, mail.smtputf8, mail.envid.as_deref()), (Some(7), true, Some("a+b")));
    assert_eq!(mail.body, facteur_smtp::BodyType::EightBitMime);
    assert_eq!(mail.ret, Some(facteur_smtp::Ret::Full));
    assert_eq!(rcpt.notify.unwrap().to_string(), "SUCCESS,DELAY");
    assert_eq!(rcpt.orcpt.as_deref(), Some("rfc822;x-y@z"));
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let mut session = Session::with(config(), refuse_no);
    let answers = session.say(
        "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\nRCPT TO:<yes@b>\r\nDATA\r\nhello\r\n.\r\n\
         MAIL FROM:<>\r\nQUIT\r\n",
    );
    let codes: Vec<_> =
        answers.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "550", "250", "354", "250", "250", "221"]);
    assert_eq!(session.content(), b"hello\r\n");
}

#[test]
fn all_recipients_refused() {
    let mut session = Session::with(config(), refuse_no);
    assert_eq!(
        session.say("MAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\nDATA\r\n.\r\n"),
        "250 2.1.0 Ok\r\n550 5.1.1 <no@b>: Recipient address rejected: User unknown\r\n\
         554 5.5.1 Error: no valid recipients\r\n221 2.7.0 Error: I can break rules, too. \
         Goodbye.\r\n"
    );
}

#[test]
fn a_new_hello_ends_the_transaction() {
    let mut session = Session::new();
    session.say("MAIL FROM:<a@b>\r\nEHLO again\r\n");
    assert!(
        matches!(&session.events[1..], [Event::Reset, Event::Hello { esmtp: true, name }] if name == "again")
    );
    assert!(!session.server.in_transaction());
    assert_eq!(session.say("RCPT TO:<a@b>\r\n"), "503 5.5.1 Error: need MAIL command\r\n");
}

#[test]
fn a_hello_name_cannot_break_a_header() {
    let mut session = Session::new();
    session.say("EHLO x)\r\nHELO a b\"\t\\c\r\nEHLO BÜCHER.test\r\nHELO é_é!\r\n");
    let names: Vec<_> = session
        .events
        .iter()
        .filter_map(
            |event| if let Event::Hello { name, .. } = event { Some(name.as_str()) } else { None },
        )
        .collect();
    assert_eq!(names, ["x?", "a?b???c", "xn--bcher-kva.test", "?_?!"]);
}

#[test]
fn an_ascii_dialogue_holds_no_utf8_until_the_client_says_smtputf8() {
    let mut session = Session::with(config(), refuse_no);
    assert_eq!(
        session
            .say("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@xn--bcher-kva.test>\r\n")
            .lines()
            .last(),
        Some("550 5.1.1 <no@xn--bcher-kva.test>: Recipient address rejected: User unknown")
    );
    session.say("RSET\r\n");
    assert_eq!(
        session.say("MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<noé@xn--bcher-kva.test>\r\n"),
        "250 2.1.0 Ok\r\n\
         550 5.1.1 <noé@bücher.test>: Recipient address rejected: User unknown\r\n"
    );
    assert_eq!(session.say("RSET\r\nVRFY é@b SMTPUTF8\r\n"), "250 2.0.0 Ok\r\n252 2.0.0 é@b\r\n");
    assert_eq!(session.say("MAIL FROM:<a@b> É=é\r\n"), "555 5.5.4 Unsupported option: ?=?\r\n");
}

#[test]
fn a_refused_mail_or_hello_changes_nothing() {
    let mut session = Session::with(config(), |event| match event {
        Event::Mail { .. } => Some(Reply::new(450, status::NOT_AUTHORIZED, "later")),
        Event::Hello { .. } => Some(Reply::new(550, status::NOT_AUTHORIZED, "who?")),
        _ => None,
    });
    assert_eq!(
        session.say("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"),
        "550 5.7.1 who?\r\n450 4.7.1 later\r\n503 5.5.1 Error: need MAIL command\r\n"
    );
}

#[test]
fn a_refused_data_leaves_the_transaction_open() {
    let mut session = Session::with(config(), |event| {
        (*event == Event::Data).then(|| Reply::new(451, status::SYSTEM, "no"))
    });
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n");
    assert_eq!(session.say("DATA\r\nRCPT TO:<c@d>\r\n"), "451 4.3.0 no\r\n250 2.1.5 Ok\r\n");
}

#[test]
fn a_refused_greeting_leaves_quit() {
    let mut server = Server::new(Arc::new(config()));
    server.receive(b"EHLO x\r\nQUIT\r\n");
    assert_eq!(server.poll(), None, "nothing is read before the greeting");
    server.greet(&Reply::new(554, status::NOT_AUTHORIZED, "no"));
    assert_eq!(server.poll(), Some(Event::Quit));
    assert_eq!(
        &server.output()[..],
        b"554 5.7.1 no\r\n503 5.7.0 Error: access denied\r\n221 2.0.0 Bye\r\n"
    );
}

#[test]
fn too_many_errors() {
    let mut session = Session::with(limited(|limits| limits.errors = 3), refuse_no);
    session.say("MAIL FROM:<>\r\nRCPT TO:<no1@b>\r\nRCPT TO:<yes@b>\r\nRCPT TO:<no2@b>\r\n");
    assert!(!session.server.wants_close());
    assert_eq!(
        session.say("FOO\r\nNOOP\r\n"),
        "500 5.5.2 Error: command not recognized\r\n421 4.7.0 mx.example Error: too many errors\r\n"
    );
    assert!(session.server.wants_close());
}

#[test]
fn a_message_sets_the_errors_back() {
    let mut session = Session::with(limited(|limits| limits.errors = 2), |_| None);
    for _ in 0..5 {
        assert_eq!(session.say("FOO\r\n"), "500 5.5.2 Error: command not recognized\r\n");
        session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n");
    }
    assert!(!session.server.wants_close());
}

#[test]
fn junk_commands_become_errors() {
    let mut session =
        Session::with(limited(|limits| (limits.junk_commands, limits.errors) = (5, 2)), |_| None);
    let answers = session.say("NOOP\r\n".repeat(10));
    assert_eq!(answers.matches("250 2.0.0 Ok").count(), 8);
    assert!(answers.ends_with("421 4.7.0 mx.example Error: too many errors\r\n"));
}

#[test]
fn too_many_recipients() {
    let config = limited(|limits| {
        (limits.recipients, limits.recipient_overshoot, limits.errors) = (2, 1, 1);
    });
    let mut session = Session::with(config, |_| None);
    session.say("MAIL FROM:<>\r\n");
    let answers = session.say("RCPT TO:<a@b>\r\n".repeat(5));
    let codes: Vec<_> = answers.lines().map(|line| &line[..9]).collect();
    assert_eq!(codes, ["250 2.1.5", "250 2.1.5", "452 4.5.3", "452 4.5.3", "421 4.7.0"]);
}

#[test]
fn lines_too_long() {
    let mut session = Session::new();
    let long = format!("NOOP {}\r\n", "x".repeat(2048 - 5));
    assert_eq!(session.say(&long), "250 2.0.0 Ok\r\n");
    assert_eq!(
        session.say(format!("NOOP {}\r\nNOOP\r\n", "x".repeat(2048 - 4))),
        "500 5.5.2 Error: line too long\r\n250 2.0.0 Ok\r\n"
    );
    for _ in 0..100 {
        assert_eq!(session.say("x".repeat(1000)), "");
        assert!(session.server.wants_input());
    }
    assert_eq!(session.say("\r\n"), "500 5.5.2 Error: line too long\r\n");
    assert_eq!(session.say(b"NOOP \xff\r\n"), "500 5.5.2 Error: bad UTF-8 syntax\r\n");
}

#[test]
fn messages_too_large() {
    let mut session = Session::with(limited(|limits| limits.message_size = 10), |_| None);
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    assert_eq!(session.say("12345678\r\n.\r\n"), "250 2.0.0 Ok\r\n");
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    assert_eq!(
        session.say("123456789\r\n.\r\nNOOP\r\n"),
        "552 5.3.4 Error: message file too big\r\n250 2.0.0 Ok\r\n"
    );
    assert!(session.events.contains(&Event::EndOfData(Err(DataError::TooLarge))));
    assert_eq!(session.content(), b"12345678\r\n");
}

#[test]
fn bare_newlines() {
    let message = "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\na\n.\nb\r\n.\r\nNOOP\r\n";
    let mut session = Session::new();
    assert!(session.say(message).ends_with("250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"));
    assert_eq!(session.content(), b"a\r\n\r\nb\r\n");
    let mut session =
        Session::with(ServerConfig { bare_newline: BareNewline::Reject, ..config() }, |_| None);
    assert!(
        session.say(message).ends_with("550 5.5.2 Error: bare <LF> received\r\n250 2.0.0 Ok\r\n")
    );
}

#[test]
fn a_smuggled_message_is_content() {
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\r\n.\r\r\n",
    ] {
        let mut session = Session::new();
        session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
        assert_eq!(
            session.say(format!("x{end}MAIL FROM:<evil@b>\r\nRCPT TO:<a@b>\r\nDATA\r\ny\r\n.\r\n")),
            "250 2.0.0 Ok\r\n",
            "{end:?}"
        );
        assert_eq!(
            session.events.iter().filter(|event| matches!(event, Event::Mail { .. })).count(),
            1
        );
    }
}

#[test]
fn chunks() {
    let mut session = Session::new();
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n");
    assert_eq!(session.say("BDAT 5\r\na\r\n.\r"), "250 2.0.0 Ok: 5 bytes\r\n");
    assert_eq!(session.say("RCPT TO:<c@d>\r\n"), "503 5.5.1 Error: RCPT after BDAT\r\n");
    assert_eq!(session.say("DATA\r\n"), "503 5.5.1 Error: DATA after BDAT\r\n");
    assert_eq!(session.say("BDAT 4 last\r\n\nb\ncNOOP\r\n"), "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    assert_eq!(session.content(), b"a\r\n.\r\nb\r\nc\r\n");
    assert_eq!(session.events.iter().filter(|event| **event == Event::Data).count(), 1);
}

#[test]
fn an_empty_chunked_message() {
    let mut session = Session::new();
    assert!(
        session
            .say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\n")
            .ends_with("250 2.0.0 Ok\r\n")
    );
    assert!(session.content().is_empty() && !session.server.in_transaction());
}

#[test]
fn refused_chunks_are_skipped() {
    let mut session = Session::new();
    assert_eq!(
        session.say("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n"),
        "503 5.5.1 Error: need RCPT command\r\n".repeat(2)
    );

    let mut session = Session::with(limited(|limits| limits.message_size = 10), |_| None);
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n");
    assert_eq!(
        session.say("BDAT 6\r\nabcdefBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n"),
        "250 2.0.0 Ok: 6 bytes\r\n552 5.3.4 Chunk exceeds message size limit\r\n\
         551 5.0.0 Discarded 6 bytes after earlier error\r\n250 2.0.0 Ok\r\n"
    );
    assert_eq!(session.events.iter().filter(|event| **event == Event::Reset).count(), 2);

    let refuse = |event: &Event| {
        (*event == Event::Data).then(|| Reply::new(554, status::NOT_AUTHORIZED, "no"))
    };
    let mut session = Session::with(config(), refuse);
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n");
    assert_eq!(session.say("BDAT 6\r\nQUI"), "");
    assert_eq!(
        session.say("T\r\nBDAT 1 LAST\r\nxNOOP\r\n"),
        "554 5.7.1 no\r\n551 5.0.0 Discarded 1 bytes after earlier error\r\n250 2.0.0 Ok\r\n"
    );
    assert!(session.content().is_empty());
}

#[test]
fn shutting_down_waits_for_the_boundary() {
    let farewell = Reply::new(421, status::NOT_ACCEPTING, "going down");
    let mut session = Session::new();
    session.say("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nhel");
    session.server.shut_down(&farewell);
    assert_eq!(session.say("lo\r\n.\r\nNOOP\r\n"), "250 2.0.0 Ok\r\n421 4.3.2 going down\r\n");
    assert!(session.server.wants_close());

    let mut session = Session::new();
    session.server.shut_down(&farewell);
    assert_eq!(session.say(""), "421 4.3.2 going down\r\n");
}

#[test]
fn a_421_of_the_host_ends_the_session() {
    let mut session = Session::with(config(), |_| Some(Reply::new(421, status::SECURITY, "bye")));
    assert_eq!(session.say("EHLO x\r\nNOOP\r\n"), "421 4.7.0 bye\r\n");
    assert!(session.server.wants_close());
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Server>() < 512, "{}", size_of::<Server>());
    let mut session = Session::new();
    session.say("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    session.say("x".repeat(100_000));
    session.say("\r\n.\r\n");
    assert_eq!(session.server.output().capacity(), 0);
}

fn with_starttls(start_tls: StartTls) -> Session {
    Session::with(ServerConfig { start_tls, ..config() }, |_| None)
}

#[test]
fn a_session_begins_anew_under_tls() {
    let mut session = with_starttls(StartTls::Offered);
    assert!(session.say("EHLO x\r\n").contains("250-HELP\r\n250-STARTTLS\r\n250-ENH"));
    session.say("MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n");
    assert_eq!(session.say("STARTTLS now\r\n"), "501 5.5.4 Syntax: STARTTLS\r\n");
    assert!(session.server.in_transaction());
    assert_eq!(session.say("STARTTLS\r\n"), "220 2.0.0 Ready to start TLS\r\n");
    assert_eq!(session.events[3..], [Event::Reset, Event::StartTls]);
    assert!(session.server.wants_tls() && !session.server.wants_input());
    assert!(!session.server.wants_close());
    // Octets of the handshake are none of the machine's.
    assert_eq!(session.say("NOOP\r\n"), "");
    session.server.secured();
    assert_eq!(session.say("DATA\r\n"), "503 5.5.1 Error: need RCPT command\r\n");
    assert_eq!(session.say("STARTTLS\r\n"), "554 5.5.1 Error: TLS already active\r\n");
    assert!(!session.say("EHLO x\r\n").contains("STARTTLS"));
    assert_eq!(session.say("MAIL FROM:<a@b.org>\r\n"), "250 2.1.0 Ok\r\n");
}

#[test]
fn what_comes_with_starttls_is_never_obeyed() {
    for text in ["STARTTLS\r\nRSET\r\n", "STARTTLS\r\n\r\n", "STARTTLS\n\n", "STARTTLS\r\n\u{16}"] {
        let mut session = with_starttls(StartTls::Offered);
        assert_eq!(session.say(text), "554 5.5.0 Error: SMTP protocol synchronization\r\n");
        assert!(session.server.wants_close() && !session.server.wants_tls());
        assert_eq!(session.events, [Event::StartTls]);
    }
    // A part of the next line, too, cut anywhere.
    let mut session = with_starttls(StartTls::Offered);
    session.say("START");
    assert!(session.say("TLS\r\nR").starts_with("554 5.5.0"));
    assert!(session.server.wants_close());
}

#[test]
fn without_a_certificate_the_session_goes_on_in_the_clear() {
    let config = ServerConfig { start_tls: StartTls::Offered, ..config() };
    let mut session =
        Session::with(config, |event| (*event == Event::StartTls).then(Reply::tls_not_available));
    assert_eq!(
        session.say("STARTTLS\r\nNOOP\r\n"),
        "454 4.7.0 TLS not available due to local problem\r\n250 2.0.0 Ok\r\n"
    );
    assert!(!session.server.wants_tls());
}

#[test]
fn nothing_of_mail_is_done_before_tls_where_it_is_required() {
    let mut session = with_starttls(StartTls::Required);
    for command in ["MAIL FROM:<a@b.org>", "RCPT", "data", "BDAT 0 LAST", "RSET", "VRFY x", "AUTH"]
    {
        assert_eq!(
            session.say(format!("{command}\r\n")),
            "530 5.7.0 Must issue a STARTTLS command first\r\n",
            "{command}"
        );
    }
    assert_eq!(session.events, []);
    assert_eq!(session.say("NOOP\r\n"), "250 2.0.0 Ok\r\n");
    assert_eq!(session.say("HELO x\r\n"), "250 mx.example\r\n");
    session.say("STARTTLS\r\n");
    session.server.secured();
    assert_eq!(session.say("MAIL FROM:<a@b.org>\r\n"), "250 2.1.0 Ok\r\n");
}

#[test]
fn a_session_under_tls_from_the_start_offers_none() {
    let mut server = Server::new(Arc::new(config()));
    server.secured();
    server.greet(&Reply::plain(220, "mx.example ESMTP"));
    server.receive(b"STARTTLS\r\n");
    assert_eq!(server.poll(), None);
    assert!(server.output().ends_with(b"554 5.5.1 Error: TLS already active\r\n"));
    let mut session = Session::new();
    assert_eq!(session.say("STARTTLS\r\n"), "502 5.5.1 Error: command not implemented\r\n");
}

#[test]
fn who_says_more_before_an_answer_that_is_waited_for_is_known() {
    const GROUP: &str = "MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n";
    let improper = |said: &[&str]| {
        let mut session = Session::new();
        for text in said {
            session.say(text);
        }
        session.server.unauth_pipelining()
    };
    for (proper, why) in [
        (&["EHLO x\r\n", GROUP, "DATA\r\n"][..], "step by step"),
        (&["EHLO x\r\n", &format!("{GROUP}DATA\r\n"), ".\r\n"], "a group that DATA ends"),
        (&["EHLO x\r\n", &format!("RSET\r\n{GROUP}")], "RSET may stand in one"),
        (&["EHLO x\r\n", &format!("{GROUP}BDAT 3\r\nabcBDAT 0 LAST\r\nNOOP\r\n")], "chunks"),
        (&["EHLO x\r\n", GROUP, "DATA\r\n", "x\r\n.\r\nMAIL FROM:<>\r\n"], "after the content"),
        (&["HELO x\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<c@d.org>\r\n", "QUIT\r\n"], "HELO"),
        (&["EHLO x\r\n", GROUP, "DATA\r\n", "x\r\n.\r\nQUIT\r\n"], "QUIT after it"),
        (&["NO", "OP\r", "\n"], "in pieces"),
    ] {
        assert!(!improper(proper), "{why}");
    }
    for (wrong, why) in [
        (&["EHLO x\r\nMAIL FROM:<>\r\n"][..], "before the answer to EHLO"),
        (&["EHLO x\r\n", GROUP, "DATA\r\nx\r\n"], "content before 354"),
        (&["EHLO x\r\n", "DATA\r\nRSET\r\n"], "though DATA is out of turn"),
        (&["EHLO x\r\n", "noop\r\nN"], "a part of a line"),
        (&["EHLO x\r\n", "VRFY x\r\nRSET\r\n"], "VRFY"),
        (&["HELO x\r\n", GROUP], "no group without EHLO"),
        (&["MAIL FROM:<>\r\nRSET\r\n"], "nor without a greeting"),
        (&["EHLO x\r\nRSET\r\n", "EHLO x\r\n", GROUP], "never forgotten"),
    ] {
        assert!(improper(wrong), "{why}");
    }
}

#[test]
fn mail_waits_for_a_greeting_where_it_must() {
    let config = || ServerConfig { helo_required: true, ..config() };
    let mut session = Session::with(config(), |_| None);
    let first = "503 5.5.1 Error: send HELO/EHLO first\r\n";
    for line in ["MAIL FROM:<a@b.org>\r\n", "MAIL\r\n"] {
        assert_eq!(session.say(line), first);
    }
    assert_eq!(session.say("NOOP\r\n"), "250 2.0.0 Ok\r\n");
    session.say("HELO x\r\n");
    assert_eq!(session.say("MAIL FROM:<a@b.org>\r\n"), "250 2.1.0 Ok\r\n");
    // A greeting that was refused is none.
    let refuse = |event: &Event| {
        let hello = matches!(event, Event::Hello { .. });
        hello.then(|| Reply::new(504, status::SYNTAX, "no"))
    };
    let mut session = Session::with(config(), refuse);
    session.say("EHLO x\r\n");
    assert_eq!(session.say("MAIL FROM:<a@b.org>\r\n"), first);
    // What was said in the clear doesn't count under TLS.
    let mut session =
        Session::with(ServerConfig { start_tls: StartTls::Offered, ..config() }, |_| None);
    session.say("EHLO x\r\n");
    session.say("STARTTLS\r\n");
    session.server.secured();
    assert_eq!(session.say("MAIL FROM:<a@b.org>\r\n"), first);
}
