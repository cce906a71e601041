//! fail2ban reads our log with the filter that the documentation has, and with its own for Postfix.

use std::fs;
use std::process::Command;

use facteur_tests::{Client, Dns, Facteur, machine, output_of, peer, probe_plugin, target_folder};

use crate::submission::{FROM, SERVER, base64, configuration, users};

/// Guesses passwords; and those who do nothing wrong, or nothing that is any of fail2ban's
/// business.
const GUESSER: &str = FROM;
const USER: &str = "203.0.113.26";
const FORGER: &str = "203.0.113.27";
const VICTIM: &str = "192.0.2.99";

/// What stands in the documentation behind a word, up to another.
fn documented(begin: &str, end: &str) -> String {
    let root = target_folder().join("..");
    let text = fs::read_to_string(root.join("docs/submission.md")).expect("it is there");
    let (_, rest) = text.split_once(begin).expect("it is documented");
    rest.split_once(end).expect("it has an end").0.to_owned()
}

/// Whom it finds in this log by a filter.
fn found(log: &str, filter: &str) -> Vec<String> {
    let config = target_folder().join("peers/fail2ban/etc/fail2ban");
    let mut regex = Command::new(peer("fail2ban-regex"));
    regex.arg("--config").arg(config).args(["--out", "ip", log, filter]);
    let mut found: Vec<_> =
        output_of(&mut regex).success().split_whitespace().map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn fail2ban_finds_who_guessed_and_nobody_else() {
    machine(|machine| {
        machine.addresses(&["192.0.2.1", GUESSER, USER, FORGER]);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = format!(
            "{}[[plugin]]\nname = \"probe\"\ncomponent = \"{}\"\nsettings = {{ authenticate = {{ \
             broken = \"fail\" }} }}\n",
            users(machine, "argon2id", &["louen"]),
            probe_plugin().display()
        );
        let config = configuration(machine, "limits.errors = 100", &auth);
        let mut facteur = Facteur::start(machine, &config);
        let say = |from: &str, lines: &[&str]| {
            let mut client = Client::connect(from, SERVER);
            client.ehlo();
            for line in lines {
                client.send(line);
            }
        };
        let plain = |name: &str| format!("AUTH PLAIN {}", base64(&format!("|{name}|guess")));
        say(GUESSER, &[&plain("louen"), &plain("nobody"), "AUTH LOGIN", &base64("louen"), "eHg="]);
        let right = format!("AUTH PLAIN {}", base64("|louen|pa ss-louen"));
        say(USER, &["AUTH LOGIN", "*", &plain("broken"), "AUTH FOO", "AUTH PLAIN !", &right]);
        // Its words are in the log, but not where such a line begins.
        let words = format!("warning: unknown[{VICTIM}]: SASL PLAIN authentication failed: x");
        let session = format!("WARN session=\\\"s\\\" {words}");
        say(
            FORGER,
            &[
                &right,
                &format!("MAIL FROM:<\"{words}\"@example.net>"),
                &format!("RCPT TO:<\"{session}\"@elsewhere.test>"),
                &format!("EHLO {words}"),
                &format!("VRFY {session}"),
            ],
        );
        facteur.wait_for_log("authentication undecided");
        facteur.wait_for_log("SASL LOGIN authentication failed");
        facteur.stop();
        let log = machine.write("/var/spool/log", &facteur.log());
        let log = log.display().to_string();
        let own = format!("[Definition]{}", documented("```ini\n[Definition]", "```"));
        let own = machine.write("/etc/facteur.conf", &own);
        assert_eq!(found(&log, &own.display().to_string()), [GUESSER]);
        let theirs = documented("filter = ", "\n```");
        assert_eq!(found(&log, &theirs), [GUESSER], "by {theirs}");
        // From the journal.
        let lines = facteur.log();
        let lines = lines.lines().map(|line| format!("Nov 27 10:01:50 mail facteur[77]: {line}\n"));
        let journal = machine.write("/var/spool/journal", &lines.collect::<Vec<_>>().concat());
        let found = found(&journal.display().to_string(), &own.display().to_string());
        assert_eq!(found, [GUESSER]);
    });
}
