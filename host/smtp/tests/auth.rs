//! Dialogues with the server machine about AUTH.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use facteur_smtp::{
    AuthError, AuthOffer, Event, MAX_AUTH_RESPONSE, Reply, Server, ServerConfig, ServerLimits,
    StartTls,
};

/// `PLAIN` and `LOGIN` are offered; whoever says `ok` is let in, in two steps where the first
/// response is empty.
fn session(offer: AuthOffer) -> Server {
    let config = ServerConfig {
        hostname: "mx.example".into(),
        limits: ServerLimits::default(),
        start_tls: StartTls::Offered,
        ..ServerConfig::default()
    };
    let mut server = Server::new(Arc::new(config));
    server.greet(&Reply::plain(220, "mx.example ESMTP"));
    server.output().clear();
    server.offer_auth(offer);
    server
}

fn offered() -> AuthOffer {
    AuthOffer::Mechanisms(vec!["PLAIN".into(), "LOGIN".into()])
}

fn say(server: &mut Server, bytes: &[u8], events: &mut Vec<Event>) -> String {
    server.receive(bytes);
    while let Some(event) = server.poll() {
        let response = match &event {
            Event::Auth { initial, .. } => Some(initial.as_ref()),
            Event::AuthResponse(response) => Some(Some(response)),
            _ => None,
        };
        match (response, event.acceptance()) {
            (Some(None), _) => server.challenge(b"Username:"),
            (Some(Some(response)), _) => match response.as_bytes() {
                b"" => server.challenge(b""),
                b"ok" => server.reply(&Reply::logged_in()),
                b"later" => server.reply(&Reply::auth_later()),
                _ => server.reply(&Reply::auth_failed()),
            },
            (None, Some(acceptance)) => server.reply(&acceptance),
            (None, None) => {}
        }
        events.push(event);
    }
    String::from_utf8(std::mem::take(server.output()).to_vec()).unwrap()
}

/// Says each line and compares what comes back.
fn play(offer: AuthOffer, lines: &[(&str, &str)]) -> Vec<Event> {
    let (mut server, mut events) = (session(offer), Vec::new());
    for (line, reply) in lines {
        let said = say(&mut server, format!("{line}\r\n").as_bytes(), &mut events);
        assert_eq!(said, format!("{reply}\r\n"), "{line}");
    }
    events
}

const EHLO: (&str, &str) = (
    "EHLO x",
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-LIMITS RCPTMAX=1000\r\n\
     250-VRFY\r\n250-HELP\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n\
     250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING",
);
const LOGGED_IN: &str = "235 2.7.0 Authentication successful";
const FAILED: &str = "535 5.7.8 Error: authentication failed";

#[test]
fn a_client_logs_in_once_and_not_within_a_transaction() {
    play(
        offered(),
        &[
            ("AUTH PLAIN b2s=", "503 5.5.1 Error: send HELO/EHLO first"),
            EHLO,
            ("AUTH", "501 5.5.4 Syntax: AUTH mechanism"),
            ("AUTH CRAM-MD5", "504 5.5.4 Error: authentication mechanism not supported"),
            ("AUTH PLAIN bm8=", FAILED),
            ("AUTH PLAIN bGF0ZXI=", "454 4.7.0 Temporary authentication failure"),
            ("MAIL FROM:<a@b.test>", "250 2.1.0 Ok"),
            ("AUTH PLAIN b2s=", "503 5.5.1 Error: MAIL transaction in progress"),
            ("RSET", "250 2.0.0 Ok"),
            ("auth plain b2s=", LOGGED_IN),
            ("AUTH PLAIN b2s=", "503 5.5.1 Error: already authenticated"),
            ("MAIL FROM:<a@b.test> AUTH=<>", "250 2.1.0 Ok"),
            ("RSET", "250 2.0.0 Ok"),
            ("MAIL FROM:<a@b.test> AUTH=e+3Dmc2@example.com", "250 2.1.0 Ok"),
        ],
    );
}

#[test]
fn where_it_is_not_offered_nobody_logs_in() {
    let disabled = "503 5.5.1 Error: authentication not enabled";
    play(AuthOffer::No, &[("AUTH PLAIN b2s=", disabled), ("HELO x", "250 mx.example")]);
    play(
        AuthOffer::UnderTls,
        &[
            ("HELO x", "250 mx.example"),
            (
                "AUTH PLAIN b2s=",
                "538 5.7.11 Encryption required for requested authentication mechanism",
            ),
            ("MAIL FROM:<a@b.test> AUTH=<>", "555 5.5.4 Unsupported option: AUTH=<>"),
        ],
    );
}

#[test]
fn an_exchange_goes_on_until_it_is_answered_or_left() {
    let events = play(
        offered(),
        &[
            EHLO,
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("", "334 "),
            ("b2s=  ", LOGGED_IN),
            ("NOOP", "250 2.0.0 Ok"),
        ],
    );
    assert!(matches!(&events[1], Event::Auth { mechanism, initial: None } if mechanism == "LOGIN"));
    let events = play(
        offered(),
        &[
            EHLO,
            ("AUTH PLAIN =", "334 "),
            ("*", "501 5.7.0 Authentication aborted"),
            ("AUTH PLAIN", "334 VXNlcm5hbWU6"),
            ("MAIL FROM:<>", "501 5.5.2 Error: no valid base64"),
            ("NOOP", "250 2.0.0 Ok"),
            ("QUIT", "221 2.0.0 Bye"),
        ],
    );
    let aborted = |event: &Event| match event {
        Event::AuthAborted(error) => Some(*error),
        _ => None,
    };
    let aborted: Vec<_> = events.iter().filter_map(aborted).collect();
    assert_eq!(aborted, [AuthError::Cancelled, AuthError::NotBase64]);
}

#[test]
fn an_answer_may_be_long_and_no_longer() {
    let (mut server, mut events) = (session(offered()), Vec::new());
    let mut hear = |text: &str| say(&mut server, text.as_bytes(), &mut events);
    hear("EHLO x\r\n");
    let long = "A".repeat(MAX_AUTH_RESPONSE);
    assert_eq!(hear("AUTH PLAIN\r\n"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(hear(&format!("{long}\r\n")), format!("{FAILED}\r\n"));
    // Mail programs send a token of any length with the command.
    assert_eq!(hear(&format!("auth PLAIN {long}\r\n")), format!("{FAILED}\r\n"));
    let too_long = "500 5.5.2 Error: line too long\r\n";
    assert_eq!(hear(&format!("AUTH PLAIN {}\r\n", "A".repeat(12_400))), too_long);
    assert_eq!(hear(&format!("NOOP {long}\r\n")), too_long);
    hear("AUTH PLAIN\r\n");
    let too_long = "500 5.5.6 SASL response limit exceeded\r\n";
    assert_eq!(hear(&format!("{long}AAAA\r\n")), too_long);
    assert_eq!(hear("NOOP\r\n"), "250 2.0.0 Ok\r\n");
}

#[test]
fn what_is_pipelined_after_auth_waits_for_its_answer_whatever_the_split() {
    let text = b"EHLO x\r\nAUTH LOGIN\r\nbm8=\r\nAUTH PLAIN b2s=\r\nNOOP\r\nQUIT\r\n";
    let mut heard = Vec::new();
    for piece in [1, 2, 7, text.len()] {
        let (mut server, mut events) = (session(offered()), Vec::new());
        let said = text.chunks(piece).map(|piece| say(&mut server, piece, &mut events));
        heard.push((said.collect::<String>(), events));
    }
    assert!(heard.windows(2).all(|pair| pair[0] == pair[1]));
    let tail = format!("334 VXNlcm5hbWU6\r\n{FAILED}\r\n{LOGGED_IN}\r\n250 2.0.0 Ok\r\n");
    assert!(heard[0].0.contains(&tail), "{}", heard[0].0);
}

#[test]
fn a_stop_ends_an_exchange() {
    let (mut server, mut events) = (session(offered()), Vec::new());
    say(&mut server, b"EHLO x\r\nAUTH LOGIN\r\n", &mut events);
    server.shut_down(&Reply::plain(421, "bye"));
    assert_eq!(&server.output()[..], b"421 bye\r\n");
    assert!(server.wants_close());
}

#[test]
fn a_login_in_the_clear_is_forgotten_under_tls() {
    let (mut server, mut events) = (session(offered()), Vec::new());
    let mut hear = |server: &mut Server, text: &str| say(server, text.as_bytes(), &mut events);
    hear(&mut server, "EHLO x\r\n");
    assert_eq!(hear(&mut server, "AUTH PLAIN b2s=\r\n"), format!("{LOGGED_IN}\r\n"));
    assert_eq!(hear(&mut server, "STARTTLS\r\n"), "220 2.0.0 Ready to start TLS\r\n");
    server.secured();
    let not_yet = "503 5.5.1 Error: send HELO/EHLO first\r\n";
    assert_eq!(hear(&mut server, "AUTH PLAIN b2s=\r\n"), not_yet);
    hear(&mut server, "EHLO x\r\n");
    assert_eq!(hear(&mut server, "AUTH PLAIN b2s=\r\n"), format!("{LOGGED_IN}\r\n"));
}
