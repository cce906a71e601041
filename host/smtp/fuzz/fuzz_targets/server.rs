//! The server machine: no panic, the same events for any split, content normal, replies
//! well-formed. STARTTLS leads to TLS only where nothing came with it; behind it the split decides
//! what is in the clear.
//!
//! The first octet of the input says how long the pieces are; seeds begin with one.
#![no_main]

use std::sync::Arc;

use facteur_smtp::{
    AuthOffer, Event, Reply, Server, ServerConfig, ServerLimits, StartTls, status,
};
use libfuzzer_sys::fuzz_target;

fn play(bytes: &[u8], piece: usize) -> (Vec<Event>, Vec<u8>) {
    let limits = ServerLimits { message_size: 4096, recipients: 5, ..ServerLimits::default() };
    let config = ServerConfig {
        hostname: "mx".into(),
        limits,
        start_tls: StartTls::Offered,
        xclient: true,
        xforward: true,
        ..ServerConfig::default()
    };
    let config = Arc::new(config);
    let mut server = Server::new(config.clone());
    server.greet(&Reply::plain(220, "mx"));
    server.offer_auth(AuthOffer::Mechanisms(vec!["PLAIN".into(), "LOGIN".into()]));
    let mut events: Vec<Event> = Vec::new();
    for piece in bytes.chunks(piece) {
        server.receive(piece);
        while let Some(event) = server.poll() {
            let response = match &event {
                Event::Auth { initial, .. } => Some(initial.as_ref()),
                Event::AuthResponse(response) => Some(Some(response)),
                _ => None,
            };
            if let Some(response) = response {
                // What is said first decides: a challenge, a refusal, a login.
                match response.and_then(|response| response.as_bytes().first()) {
                    None => server.challenge(b"more"),
                    Some(octet) if octet % 3 == 0 => server.challenge(&[*octet; 600]),
                    Some(octet) if octet % 3 == 1 => server.reply(&Reply::auth_failed()),
                    Some(_) => server.reply(&Reply::logged_in()),
                }
            } else if let Event::XClient(_) = event {
                server.start_over(config.clone());
                server.greet(&Reply::plain(220, "mx"));
            } else if let Some(acceptance) = event.acceptance() {
                let refused = matches!(&event, Event::Rcpt { path, .. } if path.address.is_bare());
                server.reply(&if refused {
                    Reply::new(550, status::BAD_MAILBOX, "no")
                } else {
                    acceptance
                });
            }
            match (events.last_mut(), event) {
                (Some(Event::Body(before)), Event::Body(body)) => {
                    *before = [&before[..], &body[..]].concat().into()
                }
                (_, event) => events.push(event),
            }
        }
        if server.wants_tls() {
            assert_eq!(server.poll(), None);
            server.secured();
            assert!(!server.in_transaction());
            server.receive(b"RCPT TO:<a@b>\r\n");
            assert_eq!(server.poll(), None, "what came before TLS counts after it");
        }
        assert!(
            server.wants_input() || server.wants_close(),
            "a host that keeps up is never held up"
        );
    }
    // Of a message that can't be taken, or hasn't ended, the split decides how much is given.
    let ends: Vec<_> = events
        .iter()
        .skip(1)
        .map(|next| *next == Event::EndOfData(Ok(())))
        .chain([false])
        .collect();
    let mut ends = ends.into_iter();
    events.retain(|event| ends.next() == Some(true) || !matches!(event, Event::Body(_)));
    (events, server.output().to_vec())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let (events, output) = play(bytes, usize::from(piece).max(1));
    let (others, other) = play(bytes, 1);
    let before_tls = |events: &[Event]| {
        let end = events.iter().position(|event| *event == Event::StartTls);
        events[..end.unwrap_or(events.len())].to_vec()
    };
    assert_eq!(before_tls(&events), before_tls(&others));
    if !events.contains(&Event::StartTls) {
        assert_eq!(output, other);
    }
    for event in &events {
        match event {
            Event::Body(content) => {
                for (at, &byte) in content.iter().enumerate() {
                    assert!(byte != b'\n' || at > 0 && content[at - 1] == b'\r', "a bare LF");
                    assert!(byte != b'\r' || content.get(at + 1) == Some(&b'\n'), "a bare CR");
                }
            }
            Event::Rcpt { path, .. } | Event::Mail { sender: Some(path), .. } => {
                assert_eq!(path.address.to_string().parse().as_ref(), Ok(&path.address));
                assert_eq!(path.to_string().parse().as_ref(), Ok(path));
            }
            _ => {}
        }
    }
    for line in output.split_inclusive(|&byte| byte == b'\n') {
        assert!(
            line.ends_with(b"\r\n")
                && (line.len() <= 512 || line.starts_with(b"334 "))
                && line[..3].iter().all(u8::is_ascii_digit)
        );
    }
});
