//! What plugins are lent by name: the sections that say what it is, and the grants that name them.

use super::super::*;
use super::{error, parse};
use crate::config::endpoint::Endpoint;

/// A plugin with these grants.
fn granting(grants: &str) -> String {
    format!("[[plugin]]\nname = \"x\"\ncomponent = \"x.wasm\"\n[plugin.grants]\n{grants}\n")
}

#[test]
fn all_that_is_lent_can_be_said() {
    let text = r#"
        [verify]
        sender = "postmaster@example.org"
        wait = "5s"
        [scanners.av]
        clamd = ["clamd.sock/x", "/run/clamd.sock", "[::1]:3310", "av.example:3310"]
        concurrency = 2
        connect-timeout = "1s"
        timeout = "30s"
        message-size = "10MiB"
        [counters.rates]
        [counters.greylist]
        keys = 5
        durable = true
        [folders.lists]
        path = "lists"
        file-size = "1kB"
        size = "1MB"
        files = 7
        [services.rspamd]
        address = "127.0.0.1:11333"
        response = "1KiB"
    "#;
    let grants = granting(
        "scanner = [\"av\"]\ncounters = [\"rates\"]\nverify = true\nfiles = [\"lists\"]\n\
         files-write = [\"lists\"]\nconnect = [\"rspamd\"]",
    );
    let least = super::LEAST;
    let config = parse(&format!("{least}{text}{grants}"))
        .unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    assert_eq!(
        config.verify.sender.as_ref().map(ToString::to_string).as_deref(),
        Some("postmaster@example.org")
    );
    assert_eq!(
        (config.verify.wait.as_secs(), config.verify.positive_expire.as_secs()),
        (5, 31 * 86_400)
    );
    let av = &config.scanners["av"];
    let places: Vec<String> = av.clamd.iter().map(ToString::to_string).collect();
    assert_eq!(
        places,
        ["/etc/facteur/clamd.sock/x", "/run/clamd.sock", "[::1]:3310", "av.example:3310"]
    );
    assert_eq!((av.concurrency, av.timeout.as_secs(), av.message_size), (2, 30, 10 << 20));
    assert_eq!(config.counters["rates"], CounterStore { keys: 100_000, durable: false });
    assert_eq!(config.counters["greylist"], CounterStore { keys: 5, durable: true });
    let lists =
        Folder { path: "/etc/facteur/lists".into(), file_size: 1_000, size: 1_000_000, files: 7 };
    assert_eq!(config.folders["lists"], lists);
    let rspamd = &config.services["rspamd"];
    assert_eq!(
        (&rspamd.address, rspamd.response),
        (&Endpoint::Tcp("127.0.0.1".into(), 11_333), 1024)
    );
    let grants = &config.plugins[0].grants;
    assert!(
        grants.verify
            && grants.scanner == ["av"]
            && grants.counters == ["rates"]
            && grants.connect == ["rspamd"]
    );
    assert!(grants.files == ["lists"] && grants.files_write == ["lists"]);
}

#[test]
fn a_grant_names_what_is_there() {
    for (section, grants, expected) in [
        (
            "[scanners.clamav]\nclamd = [\"/x\"]\n",
            "scanner = [\"clamv\"]",
            "no scanner \"clamv\" (did you mean \"clamav\"?)",
        ),
        (
            "",
            "counters = [\"rates\"]",
            "no store of counters \"rates\" (there is no [counters.NAME] in the file)",
        ),
        (
            "[folders.a]\npath = \"/a\"\n",
            "files-write = [\"b\"]",
            "no folder \"b\" (these are there: a)",
        ),
        ("", "connect = [\"x\"]", "there is no [services.NAME] in the file"),
        // What is wrong is told once: that it isn't there would be wrong, too.
        (
            "[scanners.clamav]\n",
            "scanner = [\"clamav\"]",
            "`clamd` is missing in [scanners.clamav]",
        ),
        ("[scanners.clamav]\nclamd = []\n", "scanner = [\"clamav\"]", "a scanner needs a server"),
        ("[services.x]\naddress = \"x\"\n", "connect = [\"x\"]", "or the path of a unix socket"),
        ("[folders.a]\n", "files = [\"a\"]", "`path` is missing"),
        ("[counters.a]\nkey = 1\n", "counters = [\"a\"]", "did you mean `keys`?"),
        ("[verify]\nsender = \"nobody at all\"\n", "verify = true", "`verify.sender` can't be"),
    ] {
        let told = error(&format!("{section}{}", granting(grants)));
        assert!(told.contains(expected), "{section}{grants}\n{told}");
    }
}
