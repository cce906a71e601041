//! The client machine against any server: no panic, the same events for any split, one outcome for
//! each recipient.
//!
//! The first octet of the input says how long the pieces are; seeds begin with one.
#![no_main]

use facteur_smtp::{Client, ClientEvent, Envelope, EnvelopeRecipient};
use libfuzzer_sys::fuzz_target;

const RECIPIENTS: [&str; 3] = ["a@b", "\"c d\"@e", "f@[192.0.2.1]"];
/// Messages tried over one connection.
const MESSAGES: usize = 10;

fn play(bytes: &[u8], piece: usize) -> (Vec<ClientEvent>, Vec<u8>) {
    let recipient = |text: &str| {
        let address = text.parse().expect("a valid address");
        EnvelopeRecipient { address, notify: None, orcpt: Some("rfc822;x+y".into()) }
    };
    let envelope = Envelope {
        sender: None,
        size: 9,
        utf8: false,
        eight_bit: true,
        ret: None,
        envid: Some("id".into()),
        recipients: RECIPIENTS.map(recipient).to_vec(),
    };
    let mut client = Client::new("me", "mx");
    let mut messages = 0;
    let mut events = Vec::new();
    let mut output = Vec::new();
    for piece in bytes.chunks(piece) {
        client.receive(piece);
        while let Some(event) = client.poll() {
            match &event {
                ClientEvent::Ready(_) => client.start(&envelope),
                ClientEvent::Finished(finished) => {
                    assert_eq!(finished.recipients.len(), RECIPIENTS.len());
                    // A message over the server's size limit is finished at once, for ever.
                    messages += 1;
                    if finished.reusable && messages < MESSAGES {
                        client.start(&envelope);
                    }
                }
                ClientEvent::SendBody => {
                    client.body(b".text\r");
                    client.body(b"\n.");
                    client.end_of_body();
                }
                ClientEvent::StartTls => client.secured(),
                ClientEvent::Challenge(_) => client.respond(None),
                ClientEvent::LoggedIn(_) | ClientEvent::TlsRefused(_) | ClientEvent::Refused(_) | ClientEvent::Closed(_) => {}
            }
            events.push(event);
        }
        output.append(&mut std::mem::take(client.output()).to_vec());
    }
    (events, output)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let once = play(bytes, usize::from(piece).max(1));
    assert_eq!(once, play(bytes, 1));
    assert!(once.1.is_empty() || once.1.ends_with(b"\r\n"));
});
