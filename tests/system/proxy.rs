//! The PROXY protocol: named proxies are believed, others aren't, and what follows a header is
//! untouched by it.

use std::fs;
use std::net::Ipv4Addr;

use facteur_tests::{
    Authority, Client, Dns, Facteur, GATEWAY, Gateway, Haproxy, Key, Machine, letter, machine,
    until,
};

/// Behind proxies: in the clear, and under TLS at once.
const PLAIN: &str = "127.0.0.1:26";
const TLS: &str = "127.0.0.1:466";
/// Where a client has few connections.
const FEW: &str = "127.0.0.1:29";
/// The proxy, and an address that is none.
const PROXY: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";
/// A client in the world, and one of a trusted network.
const STRANGER: &str = "203.0.113.9";
const TRUSTED: &str = "127.0.0.9";

fn start(machine: &Machine) -> (Dns, Facteur) {
    machine.addresses(&[PROXY, OTHER]);
    Authority::new(machine).issue("mx", &["mx.test"], Key::Ecdsa);
    let more = format!(
        "{}[[listen]]\naddress = \"{PLAIN}\"\nproxies = [\"{PROXY}\"]\n\
         [[listen]]\naddress = \"{TLS}\"\ntls = \"implicit\"\nproxies = [\"{PROXY}/32\"]\n\
         [[listen]]\naddress = \"{FEW}\"\nproxies = [\"{PROXY}\"]\nxclient = [\"{OTHER}\"]\n\
         limits = {{ client-connections = 2 }}\n",
        Authority::sections(&["mx"])
    );
    let dns = Dns::start("127.0.0.1", "");
    let config = Gateway { more: &more, ..Gateway::default() }.write(machine, "proxy");
    (dns, Facteur::start(machine, &config))
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 127.0.0.1 40000 25\r\n").into_bytes()
}

/// With an extension behind the addresses, as HAProxy sends them.
fn version_2(client: &str) -> Vec<u8> {
    let client = client.parse::<Ipv4Addr>().unwrap().octets();
    let addresses = [&client[..], &[127, 0, 0, 1, 0x9c, 0x40, 0, 25]].concat();
    let rest = [&addresses[..], &[0x05, 0, 2, b'i', b'd']].concat();
    let length = u8::try_from(rest.len()).unwrap();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0, length], &rest].concat()
}

fn relays(client: &mut Client) -> u16 {
    client.ehlo();
    client.expect("MAIL FROM:<a@sender.test>", 250);
    client.send("RCPT TO:<b@elsewhere.test>").code
}

#[test]
fn the_client_is_the_one_that_the_proxy_names() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        for header in [version_1 as fn(&str) -> Vec<u8>, version_2] {
            for (named, code) in [(STRANGER, 554), (TRUSTED, 250)] {
                let mut client = Client::silent(PROXY, PLAIN).unwrap();
                client.write(&header(named));
                assert_eq!(client.reply(), format!("220 {GATEWAY} ESMTP facteur").as_str());
                assert_eq!(relays(&mut client), code, "{named}");
            }
        }
        // IPv4 that a proxy writes as IPv6 is IPv4, and a client with IPv6 may come over IPv4.
        for (named, code) in [("::ffff:127.0.0.9", 250), ("2001:db8::9", 554)] {
            let mut client = Client::silent(PROXY, PLAIN).unwrap();
            client.write(format!("PROXY TCP6 {named} ::1 40000 25\r\n").as_bytes());
            assert_eq!(client.reply().code, 220);
            assert_eq!(relays(&mut client), code, "{named}");
        }
        // What a proxy in front of the proxy says is none of its own.
        let mut client = Client::silent(PROXY, PLAIN).unwrap();
        client.write(&[version_2(STRANGER), version_1(TRUSTED)].concat());
        assert_eq!(client.reply().code, 220);
        assert_eq!(client.reply(), "500 5.5.2 Error: command not recognized");
        assert_eq!(relays(&mut client), 554);
        // Octet by octet, with the first command in the last packet.
        let mut client = Client::silent(PROXY, PLAIN).unwrap();
        let header = version_2(STRANGER);
        for octet in &header[..header.len() - 1] {
            client.write(&[*octet]);
        }
        client.write(&[&header[header.len() - 1..], b"EHLO client.test\r\n"].concat());
        assert_eq!(client.reply().code, 220);
        assert_eq!(client.reply().code, 250);
        client.deliver("a@sender.test", &["louen@local.test"], &letter("through a proxy"));
        let mail = until("the message", || {
            let mut all = fs::read_dir("/var/mail/louen/new").ok()?;
            all.next().and_then(|file| fs::read_to_string(file.ok()?.path()).ok())
        });
        assert!(mail.contains("from client.test (unknown [203.0.113.9])"), "{mail}");
        assert!(!mail.contains(PROXY), "{mail}");

        // The proxy itself, which looks whether anybody is there.
        for own in [&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..], b"PROXY UNKNOWN\r\n"] {
            let mut client = Client::silent(PROXY, PLAIN).unwrap();
            client.write(own);
            assert_eq!(client.reply().code, 220);
            assert_eq!(relays(&mut client), 250, "it is in a trusted network");
        }
        drop(facteur);
    });
}

#[test]
fn a_header_is_believed_of_named_proxies_alone() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        // From somebody else it is a command like any other, and so it is at the listener that has
        // no proxies.
        for (from, to) in [(OTHER, PLAIN), (PROXY, "127.0.0.1:25")] {
            let mut client = Client::connect(from, to);
            let reply = client.send("PROXY TCP4 127.0.0.9 127.0.0.1 40000 25");
            assert_eq!(reply, "500 5.5.2 Error: command not recognized");
        }
        // A header of version 2 that nobody asked for is lines, of which the third is nobody's.
        let mut client = Client::connect(OTHER, PLAIN);
        client.write(&version_2(TRUSTED));
        for code in [500, 500, 221] {
            assert_eq!(client.reply().code, code);
        }
        client.must_close();
        // A named one must send it.
        for wrong in [
            &b"EHLO client.test\r\nNOOP\r\n"[..],
            b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 x\r\n",
            b"PROXY TCP4 2001:db8::1 127.0.0.1 40000 25\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c\0\0\0\0\0\0\0\0\0\0\0\0",
            // IPv4 that has room for no port; a client of UDP.
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x08\x7f\0\0\x09\x7f\0\0\x01",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c\x7f\0\0\x09\x7f\0\0\x01\0\x19\0\x19",
            // A line without an end.
            &[b'P', b'R', b'O', b'X', b'Y', b' ', b'U', b'N', b'K', b'N', b'O', b'W', b'N', b' ']
                .into_iter()
                .chain([b'x'; 200])
                .collect::<Vec<u8>>(),
        ] {
            let mut client = Client::silent(PROXY, PLAIN).unwrap();
            client.write(wrong);
            client.must_close();
        }
        facteur.wait_for_log("not served");
        // Or it is let go after some seconds.
        let mut silent = Client::silent(PROXY, PLAIN).unwrap();
        silent.write(b"PROXY TCP4 203");
        silent.must_close();
        facteur.wait_for_log("no PROXY header in time");
    });
}

#[test]
fn tls_begins_right_behind_a_header() {
    machine(|machine| {
        let (_dns, _facteur) = start(machine);
        for header in [version_1(STRANGER), version_2(STRANGER)] {
            let mut client = Client::silent(PROXY, TLS).unwrap();
            client.write(&header);
            client.secure(&Authority::client(None), "mx.test").unwrap();
            assert_eq!(client.reply().code, 220);
            assert_eq!(relays(&mut client), 554);

            let mut client = Client::silent(PROXY, PLAIN).unwrap();
            client.write(&header);
            assert_eq!(client.reply().code, 220);
            client.start_tls(&Authority::client(None), "mx.test").unwrap();
            assert_eq!(relays(&mut client), 554, "under TLS it is still the same client");
        }
    });
}

#[test]
fn haproxy_passes_clients_on_in_the_clear_and_under_tls() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        machine.addresses(&["127.0.0.5", STRANGER]);
        let options = "send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy \
                       inter 100ms";
        let _haproxy = Haproxy::start(
            machine,
            PROXY,
            &[
                ("127.0.0.5:25", PLAIN, options),
                ("127.0.0.5:465", TLS, "send-proxy-v2"),
                ("127.0.0.5:26", PLAIN, "send-proxy"),
            ],
        );
        for server in ["127.0.0.5:25", "127.0.0.5:26"] {
            for (from, code) in [(STRANGER, 554), (TRUSTED, 250)] {
                let mut client = Client::connect(from, server);
                assert_eq!(relays(&mut client), code, "{from}");
            }
            let mut client = Client::connect(STRANGER, server);
            client.start_tls(&Authority::client(None), "mx.test").unwrap();
            assert_eq!(relays(&mut client), 554);
        }
        let tls = Authority::client(None);
        let mut client = Client::connect_tls(STRANGER, "127.0.0.5:465", &tls, "mx.test").unwrap();
        assert_eq!(relays(&mut client), 554);
        // Its own checks are nobody's client, and nothing to complain of.
        assert!(!facteur.log().contains("not served"), "{}", facteur.log());
    });
}

#[test]
fn limits_count_the_client_that_is_named() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        let proxied = |named: &str| {
            let mut client = Client::silent(PROXY, FEW).unwrap();
            client.write(&version_2(named));
            let reply = client.reply();
            (client, reply)
        };
        let spoken_for = |named: &str| {
            let mut client = Client::connect(OTHER, FEW);
            let reply = client.send(&format!("XCLIENT ADDR={named}"));
            (client, reply)
        };
        let open = [proxied(STRANGER), spoken_for(STRANGER)];
        assert!(open.iter().all(|(_, reply)| reply.code == 220));
        let refusal = "421 4.7.0 gateway.test Error: too many connections from 203.0.113.9";
        for (mut client, reply) in [proxied(STRANGER), spoken_for(STRANGER)] {
            assert_eq!(reply, refusal);
            client.must_close();
        }
        facteur.wait_for_log("turned away");
        // Nobody else is shut out, however many come through the same two hosts.
        let named = |number: usize| format!("198.51.100.{number}");
        let others: Vec<_> = (1..5)
            .flat_map(|number| [proxied(&named(number)), spoken_for(&named(number))])
            .collect();
        assert!(others.iter().all(|(_, reply)| reply.code == 220));
        drop(open);
    });
}
