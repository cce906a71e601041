//! What clients say to log in: no panic, and what is read is what was said.
//!
//! The two files that part these messages are taken from the program as they are: it brings far
//! more than the fuzzer needs. The first octet of the input says which mechanism it is.
#![no_main]
#![allow(dead_code, reason = "the program uses all of it")]

use base64ct::{Base64, Encoding as _};
use libfuzzer_sys::fuzz_target;

#[path = "../../../mta/src/auth/message.rs"]
mod message;
#[path = "../../../mta/src/auth/scram/messages.rs"]
mod scram;

fuzz_target!(|input: &[u8]| {
    let Some((&mechanism, said)) = input.split_first() else { return };
    match mechanism {
        b'p' => {
            if let Some(plain) = message::plain(said) {
                let parts = [&plain.authorization, &plain.name, &*plain.password];
                assert_eq!(parts.map(|part| part.as_bytes()).join(&0), said);
                assert!(!plain.password.is_empty());
            }
        }
        b'l' => {
            let password = message::password_of(said);
            assert!(password.is_none_or(|password| password.as_bytes() == said));
        }
        b'o' | b'x' => {
            let read =
                if mechanism == b'o' { message::oauth_bearer(said) } else { message::xoauth2(said) };
            if let Some(bearer) = read {
                let token = bearer.token.as_bytes();
                assert!(!token.is_empty() && !token.contains(&1));
                assert!(said.windows(token.len()).any(|part| part == token));
                assert!(said.ends_with(b"\x01\x01"));
            }
        }
        b'f' | b'F' => {
            let exported = (mechanism == b'F').then_some(&[7; 32][..]);
            for plus in [false, true] {
                let Ok(first) = scram::First::parse(said, plus, exported) else { continue };
                assert!(!first.name.is_empty() && said.ends_with(first.bare.as_bytes()));
                let header = &said[..said.len() - first.bare.len()];
                let bound = [header, exported.filter(|_| plus).unwrap_or_default()].concat();
                assert_eq!(first.bound, bound);
                assert!(!first.bare.split(',').any(|part| part.starts_with("m=")));
                assert!(first.nonce.bytes().all(|octet| octet.is_ascii_graphic()));
                assert!(!plus || header.starts_with(b"p=tls-exporter,"));
            }
        }
        _ => {
            if let Ok(last) = scram::Last::parse(said) {
                let proof = Base64::encode_string(&last.proof);
                assert_eq!([last.without_proof, ",p=", &proof].concat().as_bytes(), said);
                let bound = Base64::encode_string(&last.bound);
                assert!(last.without_proof.starts_with(&format!("c={bound},r={}", last.nonce)));
            }
        }
    }
});
