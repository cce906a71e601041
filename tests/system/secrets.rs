//! What proves a login is nowhere afterwards: in no log, no trace, no recording, no file of the
//! spool, and not in memory.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use facteur_tests::{
    Client, Dns, Facteur, Machine, SmtpSink, facteur_binary, letter, machine, output_of,
    probe_plugin, until,
};
use memchr::memmem;

use crate::submission::{ADDRESSES, FROM, HOP, SCRAM, SERVER, base64, configuration, users_with};

const PLUGINS: &str = "192.0.2.1:588";
const PASSWORD: &str = "Sesame-open-now-77";
/// The one that a plugin knows, and so its settings.
const PLUGINS_PASSWORD: &str = "Gentian-open-now-3";
const WRONG: &str = "Crocus-open-now-55";
const TOKEN: &str = "token-of-louen-333";
const WRONG_TOKEN: &str = "token-of-nobody-11";
/// Octets of a page of memory.
const PAGE: usize = 4096;
const SECRETS: [&str; 5] = [PASSWORD, PLUGINS_PASSWORD, WRONG, TOKEN, WRONG_TOKEN];
/// Those that no configuration has.
const UNKNOWN: [&str; 3] = [PASSWORD, WRONG, WRONG_TOKEN];

/// A server that says all that it can, with users of its own and users of a plugin.
fn start(machine: &Machine) -> (Dns, SmtpSink, Facteur) {
    machine.addresses(&ADDRESSES);
    let dns = Dns::start("127.0.0.1", "");
    let sink = SmtpSink::start(machine, "hop", HOP, &[]);
    let users = users_with(machine, "scram-sha-256", &[("louen", PASSWORD)]);
    let auth = format!(
        r#"{users}
[[plugin]]
name = "probe"
component = "{}"
settings = {{ authenticate = {{ {TOKEN} = "is:louen", ann = "password:{PLUGINS_PASSWORD}", broken = "fail" }} }}
[[listen]]
address = "{PLUGINS}"
kind = "submission"
chain = ["restrictions", "probe"]
[log]
level = "trace"
"#,
        probe_plugin().display()
    );
    let config = configuration(machine, "chain = [\"restrictions\"]\nlimits.errors = 100", &auth);
    (dns, sink, Facteur::start(machine, &config))
}

/// All that a client may say, right, wrong and broken; each session hands in a message if it can.
fn say_all() {
    let bearer = |token: &str| base64(&format!("n,a=louen,\u{1}auth=Bearer {token}\u{1}\u{1}"));
    let xoauth2 = |token: &str| base64(&format!("user=louen\u{1}auth=Bearer {token}\u{1}\u{1}"));
    let plain = |name: &str, password: &str| base64(&format!("|{name}|{password}"));
    for to in [SERVER, PLUGINS] {
        for password in [PASSWORD, PLUGINS_PASSWORD, WRONG] {
            for lines in [
                &[format!("AUTH PLAIN {}", plain("louen", password))][..],
                &["AUTH PLAIN".to_owned(), plain("ann", password)],
                &[format!("AUTH PLAIN {}", plain("broken", password))],
                &["AUTH LOGIN".to_owned(), base64("louen"), base64(password)],
                &[format!("AUTH LOGIN {}", base64("ann")), base64(password)],
                // Parts that are missing, broken base64, words that belong to nothing.
                &[format!("AUTH PLAIN {}", base64(password))],
                &[format!("AUTH PLAIN {}!", plain("louen", password))],
                &[format!("AUTH PLAIN x {}", plain("louen", password))],
                &[format!("AUTH {}", plain("louen", password))],
                &[format!("AUTH CRAM-MD5 {}", plain("louen", password))],
                &["AUTH LOGIN".to_owned(), base64("louen"), format!("{}!", base64(password))],
                &["AUTH LOGIN".to_owned(), base64("louen"), "*".to_owned(), base64(password)],
            ] {
                let mut client = Client::connect(FROM, to);
                client.ehlo();
                let said = lines.iter().map(|line| client.send(line).code).last();
                if said == Some(235) {
                    // An address that nobody owns: each login may send from it.
                    let (from, to) = ("somebody@elsewhere.test", &["louen@example.net"]);
                    client.deliver(from, to, &letter("logged in"));
                }
                client.send("QUIT");
            }
        }
    }
    for token in [TOKEN, WRONG_TOKEN] {
        for first in [
            format!("AUTH OAUTHBEARER {}", bearer(token)),
            format!("AUTH XOAUTH2 {}", xoauth2(token)),
            format!("AUTH XOAUTH2 {}", base64(token)),
        ] {
            let mut client = Client::connect(FROM, PLUGINS);
            client.ehlo();
            if client.send(&first).code == 334 {
                client.expect("AQ==", 535);
            }
            client.send("QUIT");
        }
    }
    for (password, wrong) in [(PASSWORD, ""), (WRONG, ""), (PASSWORD, "binding")] {
        let mut python = Command::new("python3");
        output_of(python.args(["-c", SCRAM, "louen", password, wrong])).success();
    }
}

/// A secret as it would be found: as it is, and in base64 wherever in a message it began.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for before in 0..3 {
        let whole = base64(&format!("{}{secret}", &"xxx"[..before]));
        // Without the letters that depend on what stands before and after.
        let whole = whole.trim_end_matches('=');
        forms.push(whole[[0, 2, 3][before]..whole.len() - 2].to_owned());
    }
    forms
}

fn must_not_hold(secrets: &[&str], what: &str, octets: &[u8]) {
    for secret in secrets {
        for form in forms(secret) {
            if let Some(at) = memmem::find(octets, form.as_bytes()) {
                let around = &octets[at.saturating_sub(100)..octets.len().min(at + 100)];
                panic!("{what} holds {form}: {}", String::from_utf8_lossy(around));
            }
        }
    }
}

fn files_must_not_hold(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_must_not_hold(&path);
        } else if path.is_file() {
            must_not_hold(
                &SECRETS,
                &path.display().to_string(),
                &fs::read(&path).unwrap_or_default(),
            );
        }
    }
}

#[test]
fn what_proves_a_login_is_in_no_log_no_trace_and_no_recording() {
    machine(|machine| {
        let (_dns, _sink, mut facteur) = start(machine);
        let config = Path::new("/etc/facteur/facteur.toml");
        let mut record = Command::new(facteur_binary());
        record.arg("--config").arg(config).args(["record", "/var/spool/recorded", "--sessions"]);
        let mut record = record.args(["1000", "--content", "whole"]).spawn().expect("it is there");
        facteur.wait_for_log("sessions are being recorded");
        say_all();
        facteur.wait_until_empty();
        // The test finds what is there.
        let log = facteur.log();
        assert!(log.contains("sasl_username=louen") && log.contains("mechanism=\"SCRAM-SHA-256\""));
        for id in ids(&log) {
            let told = facteur.run(&["explain", &id]).out;
            must_not_hold(&SECRETS, &format!("explain {id}"), told.as_bytes());
        }
        facteur.stop();
        until("the end of the recording", || record.try_wait().unwrap());
        let recorded = fs::read("/var/spool/recorded").unwrap();
        assert!(String::from_utf8_lossy(&recorded).contains("louen@example.net"));
        must_not_hold(&SECRETS, "the log", facteur.log().as_bytes());
        files_must_not_hold(Path::new("/var/spool"));
        files_must_not_hold(Path::new("/var/mail"));
    });
}

/// The sessions that the log names.
fn ids(log: &str) -> Vec<String> {
    let mut ids: Vec<_> = log
        .split("session=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"').map(|(id, _)| id.to_owned()))
        .collect();
    ids.dedup();
    ids.sort();
    ids.dedup();
    ids.truncate(20);
    ids
}

/// What a process has in memory that it may write to.
fn memory(pid: u32) -> Vec<u8> {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("root may look");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let mut all = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').expect("a line of maps");
        let (begin, end) = range.split_once('-').expect("a range");
        let [begin, end] = [begin, end].map(|hex| u64::from_str_radix(hex, 16).expect("hex"));
        if !rest.starts_with("rw") {
            continue;
        }
        // What was never touched reads as zeros, and takes long: a page at a time, by what is
        // there.
        let pages = fs::File::open(format!("/proc/{pid}/pagemap")).expect("root may look");
        for page in (begin..end).step_by(PAGE) {
            let mut entry = [0; 8];
            let at = page / PAGE as u64 * 8;
            let there =
                pages.read_exact_at(&mut entry, at).is_ok() && u64::from_ne_bytes(entry) >> 63 == 1;
            let mut octets = [0; PAGE];
            if there && memory.read_exact_at(&mut octets, page).is_ok() {
                all.extend_from_slice(&octets);
            }
        }
    }
    all
}

#[test]
fn what_proves_a_login_is_not_in_the_memory_afterwards() {
    machine(|machine| {
        let (_dns, _sink, mut facteur) = start(machine);
        say_all();
        facteur.wait_until_empty();
        let memory = memory(facteur.pid());
        let name = b"mail.example.net";
        assert!(memmem::find(&memory, name).is_some(), "it is its memory");
        must_not_hold(&UNKNOWN, "the memory", &memory);
        facteur.stop();
    });
}
