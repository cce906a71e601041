//! XCLIENT and XFORWARD: no panic, an answer to each, and nothing in what is taken that would end a
//! line or a comment.
#![no_main]

use std::sync::Arc;

use facteur_smtp::{Event, KnownName, Reply, Server, ServerConfig};
use libfuzzer_sys::fuzz_target;

fn is_safe(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>()\\\";@".contains(&byte))
}

fn is_name(name: Option<&KnownName>) -> bool {
    !matches!(name, Some(KnownName::Is(name)) if name.is_empty() || name.contains(' '))
}

fuzz_target!(|bytes: &[u8]| {
    let line: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    for verb in [&b"XCLIENT "[..], b"XFORWARD "] {
        let config = ServerConfig { xclient: true, xforward: true, ..ServerConfig::default() };
        let mut server = Server::new(Arc::new(config));
        server.greet(&Reply::plain(220, "mx"));
        server.output().clear();
        server.receive(&[verb, &line, b"\r\n"].concat());
        match server.poll() {
            Some(Event::XClient(said)) => {
                assert!(said.helo.as_deref().is_none_or(is_safe));
                assert!(is_name(said.name.as_ref()) && is_name(said.reverse_name.as_ref()));
                assert!(said.login.is_none_or(|login| !login.chars().any(char::is_control)));
                assert!(said.address.is_none_or(|address| address == address.to_canonical()));
            }
            Some(Event::XForward(said)) => {
                assert!(server.output().starts_with(b"250 "));
                assert!(said.iter().all(|(_, value)| value.as_deref().is_none_or(is_safe)));
            }
            other => {
                assert_eq!(other, None);
                assert!(server.output().starts_with(b"50"), "{:?}", server.output());
            }
        }
    }
});
