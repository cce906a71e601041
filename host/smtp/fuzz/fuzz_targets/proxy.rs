//! The header of a proxy: no panic, an end for every input, and never more octets asked for than
//! belong to it.
#![no_main]

use facteur_smtp::ProxyHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut taken = 0;
    while let Ok(ProxyHeader::Needs(more)) = ProxyHeader::parse(&bytes[..taken]) {
        assert!(more > 0);
        if bytes.len() - taken < more {
            return;
        }
        taken += more;
        assert!(taken <= 16 + 4096);
    }
    // What follows a line of version 1 was none of it.
    if bytes.starts_with(b"PROXY ") && ProxyHeader::parse(&bytes[..taken]).is_ok() {
        let end = bytes.windows(2).position(|two| two == b"\r\n");
        assert_eq!(end.map(|end| end + 2), Some(taken));
    }
});
