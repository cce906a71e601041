//! Properties of both machines, of content framing and of addresses, whatever the bytes and however
//! they are split.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::BytesMut;
use facteur_smtp::{
    Address, BareNewline, Client, ClientEvent, Envelope, EnvelopeRecipient, Event, MAX_LINE, Path,
    Reply, Server, ServerConfig, ServerLimits, Stuffer, status,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Everything that came out of a server, runs of content joined; of a message that can't be taken,
/// or hasn't ended, it may give more or less.
fn play_server(pieces: &[&[u8]], bare_newline: BareNewline) -> (Vec<Event>, Vec<u8>, bool) {
    let limits = ServerLimits {
        command_line: 40,
        recipients: 3,
        message_size: 200,
        ..ServerLimits::default()
    };
    let mut server = Server::new(Arc::new(ServerConfig {
        hostname: "mx".into(),
        limits,
        bare_newline,
        ..ServerConfig::default()
    }));
    server.greet(&Reply::plain(220, "mx"));
    let mut events: Vec<Event> = Vec::new();
    let mut output = Vec::new();
    for piece in pieces {
        server.receive(piece);
        while let Some(event) = server.poll() {
            if let Some(acceptance) = event.acceptance() {
                let refused =
                    matches!(&event, Event::Rcpt { path, .. } if path.address.local() == "no");
                server.reply(&if refused {
                    Reply::new(550, status::BAD_MAILBOX, "no")
                } else {
                    acceptance
                });
            }
            match (events.last_mut(), event) {
                (Some(Event::Body(before)), Event::Body(body)) => {
                    *before = [&before[..], &body[..]].concat().into();
                }
                (_, event) => events.push(event),
            }
        }
        output.extend_from_slice(&std::mem::take(server.output()));
    }
    output.extend_from_slice(&std::mem::take(server.output()));
    let mut next = None;
    for event in std::mem::take(&mut events).into_iter().rev() {
        let void = matches!(event, Event::Body(_)) && next != Some(Event::EndOfData(Ok(())));
        next = Some(event.clone());
        if !void {
            events.insert(0, event);
        }
    }
    (events, output, server.wants_close())
}

/// What an SMTP client, or someone who means harm, might send.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "EHLO x\r\n",
        "HELO x\n",
        "MAIL FROM:<a@b>\r\n",
        "MAIL FROM:<> SIZE=300 SMTPUTF8\r\n",
        "RCPT TO:<c@d>\r\n",
        "RCPT TO:<no@d>\r\n",
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
        "DATA\r\n",
        "DATA\n",
        "BDAT 5\r\n",
        "BDAT 3 LAST\r\n",
        "BDAT 0 LAST\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "VRFY x\r\n",
        "QUIT\r\n",
        "\r\n.\r\n",
        ".\r\n",
        ".",
        "..",
        "\r\n",
        "\r",
        "\n",
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "text",
        "text",
        "éé",
        "a text that is longer than a command line may be here",
        "\0",
        "<",
        "\"",
        "@",
    ]);
    prop_oneof![8 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..20)]
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    vec(fragment(), 0..40).prop_map(|fragments| fragments.concat())
}

/// Cuts bytes at these points.
fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut points: Vec<_> =
        cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    points.sort_unstable();
    points.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

fn is_normal(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content).replace("\r\n", "");
    !text.contains(['\r', '\n']) && (content.is_empty() || content.ends_with(b"\r\n"))
}

/// What the decoder makes of bytes sent by DATA; None: the data hasn't ended.
fn receive(data: &[u8]) -> Option<Vec<u8>> {
    let config = ServerConfig {
        hostname: "mx".into(),
        limits: ServerLimits::default(),
        ..ServerConfig::default()
    };
    let mut server = Server::new(Arc::new(config));
    server.greet(&Reply::plain(220, "mx"));
    server.receive(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    server.receive(data);
    let mut content = Vec::new();
    while let Some(event) = server.poll() {
        match event {
            Event::Body(body) => content.extend_from_slice(&body),
            Event::EndOfData(_) => return Some(content),
            event => server.reply(&event.acceptance()?),
        }
    }
    None
}

fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
    let mut stuffer = Stuffer::new();
    let mut output = BytesMut::new();
    for piece in pieces {
        stuffer.write(piece, &mut output);
    }
    stuffer.finish(&mut output);
    output.to_vec()
}

/// A message that someone may send: lines, dots, bare CR and LF.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        select(vec!["", ".", "..", "text", "\r\n", "\r\n", "\r", "\n", "\0", "a longer text"]);
    vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A script for the client: what the server answers.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "220 mx\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n",
        "354 go\r\n",
        "354 go\r\n",
        "450 4.2.0 later\r\n",
        "550 5.1.1 no\n",
        "421 bye\r\n",
        "502 what\r\n",
        "nonsense\r\n",
        "250-",
        "\r\n",
        "2",
    ]);
    let opening = select(vec![
        "",
        "220 mx\r\n250 mx\r\n",
        "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 DSN\r\n",
    ]);
    (opening, vec(line, 0..20))
        .prop_map(|(opening, lines)| format!("{opening}{}", lines.concat()).into_bytes())
}

fn play_client(pieces: &[&[u8]]) -> (Vec<ClientEvent>, Vec<u8>) {
    let recipient = |text: &str| EnvelopeRecipient {
        address: text.parse().unwrap(),
        notify: None,
        orcpt: None,
    };
    let envelope = Envelope {
        sender: None,
        size: 9,
        utf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
        recipients: ["a@b", "c@d", "e@f"].map(recipient).to_vec(),
    };
    let mut client = Client::new("me", "mx");
    let mut events = Vec::new();
    let mut output = Vec::new();
    for piece in pieces {
        client.receive(piece);
        while let Some(event) = client.poll() {
            match &event {
                ClientEvent::Ready(_) => client.start(&envelope),
                ClientEvent::SendBody => {
                    client.body(b".text\r\n");
                    client.end_of_body();
                }
                // Some of these are answered by another message, until the server has said all it
                // has to say.
                ClientEvent::Finished(finished) if finished.reusable => client.start(&envelope),
                _ => {}
            }
            events.push(event);
        }
        output.extend_from_slice(&std::mem::take(client.output()));
    }
    (events, output)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_events(bytes in input(), cuts in vec(any::<prop::sample::Index>(), 0..30), reject: bool) {
        let bare_newline = if reject { BareNewline::Reject } else { BareNewline::Normalize };
        let whole = play_server(&[&bytes], bare_newline);
        prop_assert_eq!(&whole, &play_server(&split(&bytes, &cuts), bare_newline));
        let octets: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&whole, &play_server(&octets, bare_newline));
    }

    #[test]
    fn content_is_normal(bytes in input()) {
        let (events, _, _) = play_server(&[&bytes], BareNewline::Normalize);
        for pair in events.windows(2) {
            if let [Event::Body(content), Event::EndOfData(Ok(()))] = pair {
                prop_assert!(is_normal(content), "{content:?}");
            }
        }
    }

    #[test]
    fn stuffing_and_unstuffing_is_the_identity(bytes in message(), cuts in vec(any::<prop::sample::Index>(), 0..10)) {
        let sent = stuff(&split(&bytes, &cuts));
        let content = receive(&sent).unwrap();
        prop_assert!(is_normal(&content));
        // Normal content is left as it is.
        let again = stuff(&split(&content, &cuts));
        prop_assert_eq!(receive(&again).unwrap(), content);
        prop_assert_eq!(sent, again);
    }

    #[test]
    fn nothing_but_its_end_ends_stuffed_data(bytes in message()) {
        let sent = stuff(&[&bytes]);
        prop_assert_eq!(receive(&sent[..sent.len() - 1]), None);
        prop_assert!(is_normal(&sent));
    }

    #[test]
    fn only_crlf_dot_crlf_ends_data(bytes in message()) {
        let ends = [b"\r\n", &bytes[..]].concat().windows(5).any(|window| window == b"\r\n.\r\n");
        prop_assert_eq!(receive(&bytes).is_some(), ends);
    }

    #[test]
    fn outgoing_lines_are_short(length in 0usize..4000, cuts in vec(any::<prop::sample::Index>(), 0..5)) {
        let line = vec![b'x'; length];
        let sent = stuff(&split(&line, &cuts));
        prop_assert!(sent.split(|&byte| byte == b'\n').all(|line| line.len() <= MAX_LINE + 1));
        let unfolded = String::from_utf8(sent).unwrap().replace("\r\n ", "");
        prop_assert_eq!(unfolded.trim_end_matches(".\r\n").trim_end().len(), length);
    }

    #[test]
    fn the_client_is_the_same_for_any_split(bytes in answers(), cuts in vec(any::<prop::sample::Index>(), 1..20)) {
        let whole = play_client(&[&bytes]);
        prop_assert_eq!(&whole, &play_client(&split(&bytes, &cuts)));
        let octets: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&whole, &play_client(&octets));
        for event in whole.0 {
            if let ClientEvent::Finished(finished) = event {
                prop_assert_eq!(finished.recipients.len(), 3);
            }
        }
    }

    #[test]
    fn an_address_parses_back_to_itself(text in address_text()) {
        if let Ok(address) = text.parse::<Address>() {
            let written = address.to_string();
            prop_assert_eq!(&written.parse::<Address>(), &Ok(address.clone()), "{} {}", text, written);
            let ascii = Address::new(address.local(), &address.ascii_domain());
            if !address.is_bare() {
                prop_assert_eq!(&ascii, &Ok(address.clone()), "{} {}", text, written);
            }
        }
        if let Ok(path) = text.parse::<Path>() {
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path));
        }
    }

    #[test]
    fn any_local_part_parses_back(local in "\\PC{1,40}", domain in "[a-zA-Z0-9é_-]{1,8}(\\.[a-z]{1,5}){0,2}") {
        for address in [Address::new(&local, &domain), Address::bare(&local)].into_iter().flatten() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }
}

fn address_text() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "B",
        "@",
        ".",
        "\"",
        "\\",
        " ",
        "é",
        "xn--",
        "xn--mnchen-3ya",
        "xn--0",
        "xn--4db",
        "א",
        "[",
        "]",
        "192.0.2.1",
        "IPv6:::1",
        "<",
        ">",
        ",",
        ":",
        "%",
        "_",
        "-",
        "ß",
        "\u{ff0e}",
        "\u{ff21}",
        "İ",
        "\u{200d}",
        "１",
        "⒈",
    ]);
    prop_oneof![
        vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        "\\PC{0,30}",
        "[a-z.]{1,5}@\\PC{1,10}"
    ]
}
