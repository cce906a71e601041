//! What clients of every kind say to log in: what is a login, what is none, and what follows.
//!
//! Most of it once kept somebody out of another mail server, or let somebody in.

use std::path::{Path, PathBuf};

use facteur_tests::{Authority, Client, Dns, Facteur, Key, Machine, machine, probe_plugin, until};

use crate::submission::{ADDRESSES, FROM, SERVER, base64, configuration, users_with};

const YES: &str = "235 2.7.0 Authentication successful";
const NO: &str = "535 5.7.8 Error: authentication failed";
const NOT_BASE64: &str = "501 5.5.2 Error: no valid base64";

/// The configuration with these users and their passwords.
fn users(machine: &Machine, users: &[(&str, &str)], more: &str) -> PathBuf {
    let auth = format!("{}{more}", users_with(machine, "argon2id", users));
    configuration(machine, "limits.errors = 1000", &auth)
}

fn start(machine: &Machine, config: &Path) -> (Dns, Facteur) {
    machine.addresses(&ADDRESSES);
    (Dns::start("127.0.0.1", ""), Facteur::start(machine, config))
}

fn greeted() -> Client {
    let mut client = Client::connect(FROM, SERVER);
    client.ehlo();
    client
}

/// The answer to the last of these lines.
fn last(lines: &[&str]) -> String {
    let mut client = greeted();
    lines.iter().map(|line| client.send(line).to_string()).last().expect("there are lines")
}

#[test]
fn a_password_is_whatever_its_owner_made_it() {
    machine(|machine| {
        let all = [
            ("one", "x"),
            // Base64 with both signs at the end, with one, with none.
            ("padded", "12"),
            ("bars", "bars"),
            ("space", " a b "),
            ("quoted", "\"a\\b'c`$d%e&f;<g>"),
            ("euro", "C@d\u{20ac}t\u{20ac}s.444"),
            ("sign", "12praxis\u{a7}"),
            ("equal", "a=b,c=d:e"),
            ("star", "*"),
            ("longest", &"x".repeat(1_024)),
        ];
        let config = users(machine, &all, "");
        let (_dns, facteur) = start(machine, &config);
        for (name, password) in all {
            let plain = base64(&format!("|{name}|{password}"));
            assert_eq!(last(&[&format!("AUTH PLAIN {plain}")]), YES, "{name}");
            let (user, password) = (base64(name), base64(password));
            assert_eq!(last(&["AUTH LOGIN", &user, &password]), YES, "{name}");
            assert_eq!(last(&[&format!("AUTH LOGIN {user}"), &password]), YES, "{name}");
        }
        // Not the octets of UTF-8: no client may send that, some do.
        let mut client = greeted();
        assert_eq!(client.send("AUTH PLAIN AHNpZ24AMTJwcmF4aXOn"), NO);
        assert_eq!(client.send(&format!("AUTH PLAIN {}", base64("|sign|12praxis\u{a7}"))), YES);
        drop(facteur);
    });
}

#[test]
fn what_is_no_login_is_refused_and_the_session_goes_on() {
    machine(|machine| {
        let config = users(machine, &[("louen", "sesame"), ("ann@example.net", "sesame")], "");
        let (_dns, mut facteur) = start(machine, &config);
        let right = base64("|louen|sesame");
        let right = right.as_str();
        let with = |before: &str, after: &str| format!("{before}{right}{after}");
        // As long as a line may be, and longer by four: what it says is nobody's password.
        let longest = "A".repeat(12_288);
        let longer = "A".repeat(12_292);
        let user = base64("louen");
        for (lines, answer) in [
            // It is one.
            (&["auth pLaIn", right][..], YES),
            (&[&*with("AUTH PLAIN  ", "")], YES),
            (&[&*with("AUTH\tPLAIN\t", " \t")], YES),
            (&[&*with("AUTH PLAIN ", "\r")], YES),
            (&["AUTH PLAIN", &*with("", "\r\r")], YES),
            (&["AUTH PLAIN", &*with(" ", " ")], YES),
            (&[&*format!("AUTH PLAIN {}", base64("louen|louen|sesame"))], YES),
            (&[&*format!("AUTH PLAIN {}", base64("LOUEN|Louen|sesame"))], YES),
            (&[&*format!("AUTH PLAIN {}", base64("|Ann@EXAMPLE.net|sesame"))], YES),
            // Parts that aren't there, or too many.
            (&["AUTH PLAIN", ""], NO),
            (&["AUTH PLAIN ="], NO),
            (&["AUTH PLAIN AA=="], NO),
            (&[&*format!("AUTH PLAIN {}", base64("louen|sesame"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("||sesame"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("|louen|"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("|louen|sesame|"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("|louen|sesame|x"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("ann@example.net|louen|sesame"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("|louen |sesame"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64("|louen\r\n|sesame"))], NO),
            (&[&*format!("AUTH PLAIN {}", base64(&format!("|{}|x", "u".repeat(2_000))))], NO),
            (&[&*format!("AUTH PLAIN {}", base64(&format!("|louen|{}", "p".repeat(2_000))))], NO),
            (&["AUTH LOGIN", "", "c2VzYW1l"], NO),
            (&["AUTH LOGIN", &user, ""], NO),
            (&["AUTH LOGIN =", "c2VzYW1l"], NO),
            // Commands are answers here. This one is base64, of a name that is none.
            (&["AUTH LOGIN", "QUIT", "c2VzYW1l"], NO),
            (&["AUTH LOGIN", "EHLO x"], NOT_BASE64),
            // No base64: white space in it, signs at the end that are missing, too many or wrong,
            // the letters of another alphabet.
            (&["AUTH PLAIN", "AGxvdWVu AHNlc2FtZQ=="], NOT_BASE64),
            (&["AUTH PLAIN AGxvdWVuAHNlc2FtZQ"], NOT_BASE64),
            (&["AUTH PLAIN AGxvdWVuAHNlc2FtZQ="], NOT_BASE64),
            (&["AUTH PLAIN AGxvdWVuAHNlc2FtZQ==="], NOT_BASE64),
            (&["AUTH PLAIN AGxvdWVuAHNlc2FtZR=="], NOT_BASE64),
            (&["AUTH PLAIN AGxvdWVuAHNl-_FtZQ=="], NOT_BASE64),
            (&["AUTH PLAIN", "*="], NOT_BASE64),
            (&["AUTH PLAIN", "**"], NOT_BASE64),
            (&["AUTH LOGIN", &user, "*"], "501 5.7.0 Authentication aborted"),
            (&["AUTH PLAIN", &longest], NO),
            (&["AUTH PLAIN", &longer], "500 5.5.6 SASL response limit exceeded"),
            (&[&*format!("AUTH PLAIN {longest}")], NO),
            // Mechanisms that aren't.
            (&["AUTH"], "501 5.5.4 Syntax: AUTH mechanism"),
            (&["AUTH PLAIN a b"], "501 5.5.4 Syntax: AUTH mechanism"),
            (
                &["AUTH SCRAM-SHA-256 biwsbj11LHI9YWJj"],
                "504 5.5.4 Error: authentication mechanism not supported",
            ),
            (
                &["AUTH ANONYMOUS bG91ZW4="],
                "504 5.5.4 Error: authentication mechanism not supported",
            ),
            (&["AUTH EXTERNAL ="], "504 5.5.4 Error: authentication mechanism not supported"),
            // Not now.
            (
                &[&*with("AUTH PLAIN ", ""), "MAIL FROM:<>", &*with("AUTH PLAIN ", "")],
                "503 5.5.1 Error: MAIL transaction in progress",
            ),
            (
                &[&*with("AUTH PLAIN ", ""), &*with("AUTH PLAIN ", "")],
                "503 5.5.1 Error: already authenticated",
            ),
            (&[&*with("AUTH PLAIN ", ""), "EHLO x", "MAIL FROM:<> AUTH=<>"], "250 2.1.0 Ok"),
            (&[&*with("AUTH PLAIN ", ""), "MAIL FROM:<> AUTH=louen+40x"], "250 2.1.0 Ok"),
        ] {
            let shown: Vec<_> = lines.iter().map(|line| &line[..line.len().min(80)]).collect();
            let mut client = greeted();
            let mut said = String::new();
            for line in lines {
                said = client.send(line).to_string();
            }
            assert_eq!(said, answer, "{shown:?}");
            client.expect("NOOP", 250);
        }
        facteur.stop();
    });
}

#[test]
fn what_is_sent_along_with_a_login_is_judged_by_how_it_ends() {
    machine(|machine| {
        let config = users(machine, &[("louen", "sesame")], "");
        let (_dns, _facteur) = start(machine, &config);
        let (right, wrong) = (base64("|louen|sesame"), base64("|louen|wrong"));
        let (user, password) = (base64("louen"), base64("sesame"));
        let mail = "MAIL FROM:<louen@example.net>\r\nRCPT TO:<louen@example.net>\r\nQUIT\r\n";
        for (login, codes) in [
            (format!("AUTH PLAIN {right}\r\n"), &[235, 250, 250, 221][..]),
            (format!("AUTH PLAIN {wrong}\r\n"), &[535, 530, 503, 221]),
            (format!("AUTH LOGIN\r\n{user}\r\n{password}\r\n"), &[334, 334, 235, 250, 250, 221]),
            (format!("AUTH LOGIN {user}\r\n*\r\n"), &[334, 501, 530, 503, 221]),
            (format!("AUTH PLAIN {right}\r\nAUTH PLAIN {right}\r\n"), &[235, 503, 250, 250, 221]),
            (format!("AUTH PLAIN {wrong}\r\nAUTH PLAIN {right}\r\n"), &[535, 235, 250, 250, 221]),
        ] {
            for piece in [1, 7, 4_096] {
                let mut client = greeted();
                for octets in format!("{login}{mail}").as_bytes().chunks(piece) {
                    client.write(octets);
                }
                let said: Vec<u16> = codes.iter().map(|_| client.reply().code).collect();
                assert_eq!(said, codes, "{login} by {piece}");
                client.must_close();
            }
        }
        // Who goes in the middle has said nothing.
        for lines in [&["AUTH LOGIN"][..], &["AUTH LOGIN", &user], &["AUTH PLAIN"]] {
            let mut client = greeted();
            for line in lines {
                client.expect(line, 334);
            }
            client.end_of_input();
            client.must_close();
        }
        assert_eq!(last(&[&format!("AUTH PLAIN {right}")]), YES);
    });
}

#[test]
fn a_login_in_the_clear_does_not_count_under_tls() {
    machine(|machine| {
        Authority::new(machine).issue("mx", &["mail.example.net"], Key::Ecdsa);
        let config = users(machine, &[("louen", "sesame")], &Authority::sections(&["mx"]));
        let text = std::fs::read_to_string(&config).unwrap();
        let text =
            text.replacen("kind = \"submission\"", "kind = \"submission\"\ntls = \"may\"", 1);
        let config = machine.write("/etc/facteur/facteur.toml", &text);
        let (_dns, _facteur) = start(machine, &config);
        let right = format!("AUTH PLAIN {}", base64("|louen|sesame"));
        let mut client = greeted();
        assert_eq!(client.send(&right), YES);
        client.start_tls(&Authority::client(None), "mail.example.net").unwrap();
        client.ehlo();
        client.expect("MAIL FROM:<louen@example.net>", 530);
        assert_eq!(client.send(&right), YES);
        client.expect("MAIL FROM:<louen@example.net>", 250);
        // Nor does one that is half said.
        let mut client = greeted();
        client.expect("AUTH LOGIN", 334);
        client.expect("*", 501);
        client.start_tls(&Authority::client(None), "mail.example.net").unwrap();
        client.ehlo();
        client.expect("MAIL FROM:<louen@example.net>", 530);
    });
}

/// A client that learns from the first word that a token is wrong waits for that word, and is
/// counted, whatever it does then.
#[test]
fn a_token_that_is_guessed_costs_what_a_password_does() {
    machine(|machine| {
        let probe = format!(
            "[[plugin]]\nname = \"probe\"\ncomponent = \"{}\"\nsettings = {{ authenticate = {{ \
             right = \"is:louen\" }} }}\n",
            probe_plugin().display()
        );
        let config = users(machine, &[("louen", "sesame")], &probe);
        let (_dns, facteur) = start(machine, &config);
        let message =
            |token: &str| base64(&format!("user=louen\u{1}auth=Bearer {token}\u{1}\u{1}"));
        let say = |token: &str| {
            let mut client = greeted();
            let answer = client.send(&format!("AUTH XOAUTH2 {}", message(token)));
            (client, answer.code)
        };
        let failures = || facteur.log().matches("SASL XOAUTH2 authentication failed").count();
        for (number, then) in ["", "AQ==", "*", "!", "QUIT"].into_iter().enumerate() {
            let (mut client, code) = say("wrong");
            assert_eq!(code, 334);
            // It has been told before the client was.
            until("the line", || (failures() == number + 1).then_some(()));
            let answer = match then {
                "*" => "501 5.7.0 Authentication aborted",
                "!" => NOT_BASE64,
                _ => NO,
            };
            assert_eq!(client.send(then), answer, "{then}");
            client.expect("MAIL FROM:<louen@example.net>", 530);
        }
        let (client, _) = say("wrong");
        drop(client);
        until("the line", || (failures() == 6).then_some(()));
        assert_eq!(say("right").1, 235);
        // A token may be longer than commands are, and come on a line of its own.
        assert_eq!(say(&"x".repeat(4_000)).1, 334);
        assert_eq!(last(&["AUTH XOAUTH2", &message("right")]), YES);
        until("the line", || (failures() == 7).then_some(()));
    });
}
