//! Users log in and send: by the real program, with other programs as clients.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64ct::{Base64, Encoding as _};
use facteur_tests::{
    Authority, Client, Dns, Facteur, Key, Machine, SmtpSink, facteur_binary, letter, machine,
    output_of, peer, probe_plugin, run_facteur,
};

pub(super) const SERVER: &str = "192.0.2.1:587";
const OTHERS: &str = "192.0.2.1:25";
pub(super) const FROM: &str = "203.0.113.25";
pub(super) const HOP: &str = "192.0.2.3:25";
pub(super) const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.3", FROM];

/// Whom a sender address belongs to.
const OWNERS: &str = "\
louen@example.net louen, louen@example.net
ann@example.net ann, ann@example.net
team@example.net louen, ann
";

/// A server for users at [`SERVER`] and for others at [`OTHERS`], which lets users send on to
/// [`HOP`]. `auth` is `[auth]` without its head, and more sections.
pub(super) fn configuration(machine: &Machine, listen: &str, auth: &str) -> PathBuf {
    machine.write("/etc/facteur/owners", OWNERS);
    machine.write(
        "/etc/facteur/facteur.toml",
        &format!(
            r#"
hostname = "mail.example.net"
[[listen]]
address = "{SERVER}"
kind = "submission"
{listen}
[[listen]]
address = "{OTHERS}"
[domains]
local = ["example.net"]
[dns]
servers = ["127.0.0.1"]
[mailboxes]
users = "table:boxes"
owner = "louen"
[spool]
path = "/var/spool/facteur"
reserve = "16MiB"
[tables.boxes]
inline = {{ louen = "", ann = "" }}
[tables.routes]
inline = {{ "*" = "smtp:[192.0.2.3]:25" }}
[tables.owners]
file = "/etc/facteur/owners"
[auth]
tls-only = false
failure-delay = "1ms"
failure-delay-limit = "1ms"
{auth}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["permit_sasl_authenticated", "reject_unauth_destination"]
sender = ["reject_known_sender_login_mismatch"]
sender-logins = ["owners"]
[plugin.grants]
relay = true
lookup = ["owners"]
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
settings = {{ tables = ["routes"] }}
grants = {{ lookup = ["routes"] }}
"#
        ),
    )
}

/// [`configuration`] where clients must come under TLS, with the certificate `mx`.
pub(super) fn under_tls(machine: &Machine, listen: &str, auth: &str) -> PathBuf {
    let auth = format!("{auth}{}", Authority::sections(&["mx"]));
    let config = configuration(machine, listen, &auth);
    let text = std::fs::read_to_string(&config).unwrap().replace("tls-only = false", "");
    machine.write("/etc/facteur/facteur.toml", &text)
}

/// The table of users, by `facteur passwd`: each name has the password "pa ss-NAME".
pub(super) fn users(machine: &Machine, scheme: &str, names: &[&str]) -> &'static str {
    let passwords: Vec<_> = names.iter().map(|name| format!("pa ss-{name}")).collect();
    let passwords = passwords.iter().map(String::as_str);
    users_with(machine, scheme, &names.iter().copied().zip(passwords).collect::<Vec<_>>())
}

/// The table of users with these passwords.
pub(super) fn users_with(machine: &Machine, scheme: &str, users: &[(&str, &str)]) -> &'static str {
    let mut table = String::new();
    for (name, password) in users {
        let mut passwd = Command::new(facteur_binary());
        passwd.args(["passwd", "--scheme", scheme, name]);
        let mut passwd =
            passwd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is there");
        let mut stdin = passwd.stdin.take().expect("it is piped");
        writeln!(stdin, "{password}").expect("it reads");
        drop(stdin);
        let output = passwd.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{name}");
        table += &String::from_utf8(output.stdout).expect("an entry is text");
    }
    machine.write("/etc/facteur/users", &table);
    "users = \"users\"\n[tables.users]\nfile = \"/etc/facteur/users\"\n"
}

/// `\0name\0password` in base64, where a bar stands for each NUL.
pub(super) fn base64(text: &str) -> String {
    Base64::encode_string(text.replace('|', "\0").as_bytes())
}

fn greeted(to: &str) -> Client {
    let mut client = Client::connect(FROM, to);
    client.ehlo();
    client
}

/// A client that has logged in.
fn logged_in(name: &str) -> Client {
    let mut client = greeted(SERVER);
    let plain = base64(&format!("|{name}|pa ss-{name}"));
    assert_eq!(client.send(&format!("AUTH PLAIN {plain}")), "235 2.7.0 Authentication successful");
    client
}

#[test]
fn swaks_smtplib_and_curl_log_in_and_send() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let auth = users(machine, "argon2id", &["louen", "Ann@Example.net"]);
        let facteur = Facteur::start(machine, &configuration(machine, "", auth));
        let mut sent = 0;
        let mut arrived = |who: &str| {
            sent += 1;
            let mail = sink.mail(sent).pop().expect("there are so many");
            assert_eq!(mail.recipients, ["friend@elsewhere.test"], "by {who}");
            let received = mail.header("Received").unwrap();
            assert!(received.contains("with ESMTPA id"), "by {who}: {received}");
        };
        for mechanism in ["PLAIN", "LOGIN"] {
            let mut swaks = Command::new(peer("swaks"));
            swaks.args(["--server", "192.0.2.1:587", "--local-interface", FROM]);
            swaks.args(["--from", "louen@example.net", "--to", "friend@elsewhere.test"]);
            swaks.args(["--auth", mechanism, "--auth-user", "louen"]);
            output_of(swaks.args(["--auth-password", "pa ss-louen"])).success();
            arrived(mechanism);
        }
        let script = "
import smtplib
with smtplib.SMTP('192.0.2.1', 587, source_address=('203.0.113.25', 0)) as smtp:
    smtp.ehlo()
    assert smtp.esmtp_features['auth'].split() == ['PLAIN', 'LOGIN'], smtp.esmtp_features
    try:
        smtp.login('louen', 'wrong')
        raise AssertionError('let in')
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    smtp.login('ANN@example.NET', 'pa ss-Ann@Example.net')
    smtp.sendmail('ann@example.net', ['friend@elsewhere.test'], b'Subject: x\\r\\n\\r\\nx\\r\\n')
";
        output_of(Command::new("python3").args(["-c", script])).success();
        arrived("smtplib");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "smtp://192.0.2.1:587/client", "--interface", FROM]);
        curl.args(["--mail-from", "louen@example.net", "--mail-rcpt", "friend@elsewhere.test"]);
        curl.args(["--user", "louen:pa ss-louen", "--upload-file"]);
        let file = machine.folder().join("letter.eml");
        std::fs::write(&file, letter("by curl")).expect("the folder is the test's");
        output_of(curl.arg(&file)).success();
        arrived("curl");
        facteur.wait_for_log("logged in");
        assert!(!facteur.log().contains("pa ss"), "{}", facteur.log());
    });
}

#[test]
fn nobody_sends_without_a_login_nor_as_somebody_else() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "bcrypt", &["louen", "ann"]);
        let facteur = Facteur::start(machine, &configuration(machine, "", auth));
        let mut stranger = greeted(SERVER);
        let refused = "530 5.7.0 Authentication required";
        assert_eq!(stranger.send("MAIL FROM:<louen@example.net>"), refused);
        assert_eq!(stranger.send("MAIL FROM:<>"), refused);
        for (login, sender, reply) in [
            ("louen", "louen@example.net", "250 2.1.5 Ok"),
            ("louen", "team@example.net", "250 2.1.5 Ok"),
            ("louen", "", "250 2.1.5 Ok"),
            (
                "ann",
                "louen@example.net",
                "553 5.7.1 <louen@example.net>: Sender address rejected: not owned by user ann",
            ),
            ("ann", "ann@elsewhere.test", "250 2.1.5 Ok"),
        ] {
            let mut client = logged_in(login);
            client.expect(&format!("MAIL FROM:<{sender}>"), 250);
            assert_eq!(client.send("RCPT TO:<friend@elsewhere.test>"), reply);
        }
        // Where servers come there is no login, and who has none relays nothing.
        let mut other = greeted(OTHERS);
        let off = "503 5.5.1 Error: authentication not enabled";
        assert_eq!(other.send("AUTH PLAIN AGxvdWVuAHg="), off);
        for (sender, to, reply) in [
            (
                "louen@example.net",
                "louen@example.net",
                "553 5.7.1 <louen@example.net>: Sender address rejected: not logged in",
            ),
            (
                "a@elsewhere.test",
                "friend@elsewhere.test",
                "554 5.7.1 <friend@elsewhere.test>: Relay access denied",
            ),
            ("a@elsewhere.test", "louen@example.net", "250 2.1.5 Ok"),
        ] {
            other.expect(&format!("MAIL FROM:<{sender}>"), 250);
            assert_eq!(other.send(&format!("RCPT TO:<{to}>")), reply);
            other.expect("RSET", 250);
        }
        drop(facteur);
    });
}

#[test]
fn what_a_mail_program_left_out_is_added_and_the_client_hidden() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let auth = users(machine, "bcrypt", &["louen"]);
        let config = configuration(machine, "hide-client = true", auth);
        let facteur = Facteur::start(machine, &config);
        let mut client = logged_in("louen");
        let bare = b"Subject: bare\r\n\r\nx\r\n";
        client.deliver("louen@example.net", &["friend@elsewhere.test"], bare);
        facteur.wait_until_empty();
        let mail = sink.one();
        for field in ["Date", "Message-ID"] {
            assert!(mail.header(field).is_some(), "{field}: {}", mail.text());
        }
        assert_eq!(mail.header("From").unwrap(), "louen@example.net");
        let received = mail.header("Received").unwrap();
        assert!(received.starts_with("from hidden"), "{received}");
        assert!(!mail.text().contains(FROM) && !mail.text().contains("client.example.net"));
    });
}

#[test]
fn a_failure_is_slowed_told_and_no_harm_to_others() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "bcrypt", &["louen"]);
        let facteur = Facteur::start(machine, &configuration(machine, "", auth));
        let mut client = greeted(SERVER);
        let failed = "535 5.7.8 Error: authentication failed";
        for (say, answer) in [
            (format!("AUTH PLAIN {}", base64("|louen|wrong")), failed),
            (format!("AUTH PLAIN {}", base64("|nobody|wrong")), failed),
            (format!("AUTH PLAIN {}", base64("ann|louen|pa ss-louen")), failed),
            ("AUTH PLAIN AGxvdWVu".to_owned(), failed),
            ("AUTH PLAIN AGxvdWV".to_owned(), "501 5.5.2 Error: no valid base64"),
            ("AUTH CRAM-MD5".to_owned(), "504 5.5.4 Error: authentication mechanism not supported"),
            ("AUTH LOGIN".to_owned(), "334 VXNlcm5hbWU6"),
            ("*".to_owned(), "501 5.7.0 Authentication aborted"),
        ] {
            assert_eq!(client.send(&say), answer, "{say}");
        }
        // However often a stranger tried it, the login is its owner's.
        logged_in("louen");
        for line in [
            "warning: unknown[203.0.113.25]: SASL PLAIN authentication failed: wrong name or \
             password, sasl_username=louen",
            "warning: unknown[203.0.113.25]: SASL PLAIN authentication failed: wrong name or \
             password, sasl_username=nobody",
            "SASL PLAIN authentication failed: it may not act for another, sasl_username=louen",
            "SASL PLAIN authentication failed: malformed message, sasl_username=(unavailable)",
            "SASL LOGIN authentication aborted: the client gave up",
        ] {
            facteur.wait_for_log(line);
        }
    });
}

/// A mail program that knows SCRAM. Its arguments: name, password, what it does wrong.
pub(super) const SCRAM: &str = r"
import base64, hashlib, hmac, os, smtplib, sys
name, password, wrong = sys.argv[1:]
h = lambda key, text: hmac.new(key, text, 'sha256').digest()
state = {}
def scram(challenge=None):
    if challenge is None or challenge == b'':
        flag = 'y' if wrong == 'flag' else 'n'
        state['bare'] = 'n=%s,r=%s' % (name, base64.b64encode(os.urandom(18)).decode())
        return flag + ',,' + state['bare']
    text = challenge.decode()
    if text.startswith('v='):
        assert text[2:] == state['server'], text
        return ''
    part = dict(one.split('=', 1) for one in text.split(','))
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(part['s']), \
    int(part['i']))
    client = h(salted, b'Client Key')
    end = 'c=%s,r=%s' % ('eSws' if wrong in ('binding', 'flag') else 'biws', part['r'])
    said = ','.join([state['bare'], text, end]).encode()
    proof = bytes(a ^ b for a, b in zip(client, h(hashlib.sha256(client).digest(), said)))
    state['server'] = base64.b64encode(h(h(salted, b'Server Key'), said)).decode()
    print('salt', part['s'])
    return end + ',p=' + base64.b64encode(proof).decode()
with smtplib.SMTP('192.0.2.1', 587, source_address=('203.0.113.25', 0)) as smtp:
    smtp.ehlo()
    assert smtp.esmtp_features['auth'].split()[0] == 'SCRAM-SHA-256', smtp.esmtp_features
    try:
        print(smtp.auth('SCRAM-SHA-256', scram)[0])
    except smtplib.SMTPAuthenticationError as error:
        print(error.smtp_code)
";

#[test]
fn a_password_is_proven_without_being_sent() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "scram-sha-256", &["louen"]);
        let mut facteur = Facteur::start(machine, &configuration(machine, "", auth));
        let ask = |name: &str, password: &str, wrong: &str| {
            let mut python = Command::new("python3");
            output_of(python.args(["-c", SCRAM, name, password, wrong])).success()
        };
        let right = ask("louen", "pa ss-louen", "");
        assert!(right.ends_with("235\n"), "{right}");
        assert!(ask("louen", "wrong", "").ends_with("535\n"));
        assert!(ask("louen", "pa ss-louen", "binding").ends_with("535\n"));
        // Without TLS there is nothing that could have been bound to.
        assert!(ask("louen", "pa ss-louen", "flag").ends_with("235\n"));
        let nobody = ask("nobody", "x", "");
        assert!(nobody.ends_with("535\n"), "{nobody}");
        facteur.stop();
        facteur.restart();
        assert_eq!(ask("nobody", "x", ""), nobody, "who isn't there has the same salt again");
        // The same entry takes a password that is sent.
        logged_in("louen");
    });
}

#[test]
fn plugins_are_asked_for_those_whom_the_table_does_not_know() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "scram-sha-256", &["louen"]);
        let auth = format!(
            "{auth}[[plugin]]\nname = \"probe\"\ncomponent = \"{}\"\n[plugin.settings]\n\
             authenticate = {{ louen = \"password:other\", ann = \"password:pa ss-ann\", \
             secret-token = \"is:ann\", broken = \"fail\" }}\n",
            probe_plugin().display()
        );
        let facteur = Facteur::start(machine, &configuration(machine, "", &auth));
        let mut client = Client::connect(FROM, SERVER);
        let offered = client.ehlo();
        // A client would take SCRAM, by which plugins know nobody.
        assert!(offered.text.contains("\nAUTH PLAIN LOGIN OAUTHBEARER XOAUTH2\n"), "{offered}");
        let say = |client: &mut Client, text: &str| {
            let (mechanism, message) = text.split_once(' ').unwrap();
            let message = message.replace('^', "\u{1}");
            client.send(&format!("AUTH {mechanism} {}", base64(&message)))
        };
        for (text, code) in [
            ("PLAIN |louen|other", 535),
            ("PLAIN |ann|wrong", 535),
            ("PLAIN |broken|x", 454),
            ("XOAUTH2 user=ann^auth=Bearer^^", 535),
        ] {
            assert_eq!(say(&mut client, text).code, code, "{text}");
        }
        assert_eq!(say(&mut client, "XOAUTH2 user=ann^auth=Bearer wrong^^").code, 334);
        client.expect("AQ==", 535);
        assert_eq!(say(&mut client, "XOAUTH2 user=ann^auth=Bearer secret-token^^").code, 235);
        for text in ["PLAIN |louen|pa ss-louen", "PLAIN |ann|pa ss-ann"] {
            assert_eq!(say(&mut greeted(SERVER), text).code, 235, "{text}");
        }
        facteur.wait_for_log("login=\"ann\"");
        assert!(!facteur.log().contains("secret-token"), "{}", facteur.log());
    });
}

#[test]
fn what_is_wrong_with_the_users_is_told_before_the_first_login() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let broken = "users = \"users\"\n[tables.users]\ninline = { louen = \"{PLAIN}sesame\", \
                      ann = \"*\" }\n";
        let config = configuration(machine, "", broken);
        let told = run_facteur(&config, &["check"]).err;
        let place = "table \"users\": the entry of \"louen\" is of no scheme that is known here";
        assert!(told.contains(place) && !told.contains("sesame"), "{told}");
        let facteur = Facteur::start(machine, &config);
        let mut client = greeted(SERVER);
        let tried = client.send(&format!("AUTH PLAIN {}", base64("|louen|sesame")));
        assert_eq!(tried, "454 4.7.0 Temporary authentication failure");
        client.expect(&format!("AUTH PLAIN {}", base64("|ann|*")), 535);
        facteur.wait_for_log(place);
        drop(facteur);
        let told = run_facteur(&configuration(machine, "", ""), &["check"]).err;
        assert!(told.contains("nobody can log in at 192.0.2.1:587"), "{told}");
    });
}

#[test]
fn a_password_is_not_asked_for_in_the_clear_unless_the_operator_wants_it() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "bcrypt", &["louen"]);
        let config = configuration(machine, "", auth);
        let text = std::fs::read_to_string(&config).unwrap().replace("tls-only = false", "");
        let _facteur = Facteur::start(machine, &machine.write("/etc/facteur/facteur.toml", &text));
        let mut client = Client::connect(FROM, SERVER);
        assert!(!client.ehlo().text.contains("AUTH"));
        let plain = base64("|louen|pa ss-louen");
        assert_eq!(
            client.send(&format!("AUTH PLAIN {plain}")),
            "538 5.7.11 Encryption required for requested authentication mechanism"
        );
    });
}

/// The last message of SCRAM, in base64, for a challenge in base64. Its arguments: the challenge,
/// what the exchange is bound to in base64, the password.
const LAST: &str = r"
import base64, hashlib, hmac, sys
challenge, bound, password = base64.b64decode(sys.argv[1]).decode(), sys.argv[2], sys.argv[3]
h = lambda key, text: hmac.new(key, text, 'sha256').digest()
part = dict(one.split('=', 1) for one in challenge.split(','))
salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(part['s']), \
    int(part['i']))
client = h(salted, b'Client Key')
end = 'c=%s,r=%s' % (bound, part['r'])
said = ','.join(['n=louen,r=abc', challenge, end]).encode()
proof = bytes(a ^ b for a, b in zip(client, h(hashlib.sha256(client).digest(), said)))
print(base64.b64encode((end + ',p=' + base64.b64encode(proof).decode()).encode()).decode())
";

#[test]
fn under_tls_a_login_is_bound_to_the_connection() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let authority = Authority::new(machine);
        authority.issue("mx", &["mail.example.net"], Key::Ecdsa);
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        let auth = users(machine, "scram-sha-256", &["louen"]);
        let facteur = Facteur::start(machine, &under_tls(machine, "", auth));
        let tls = Authority::client(None);
        let secured = || {
            let mut client = Client::connect(FROM, SERVER);
            assert!(!client.ehlo().text.contains("AUTH"), "in the clear");
            client.start_tls(&tls, "mail.example.net").unwrap();
            client
        };
        let log_in = |mechanism: &str, header: &str, octets: &[u8], mut client: Client| {
            client.ehlo();
            let first = base64(&format!("{header}n=louen,r=abc"));
            let challenge = client.send(&format!("AUTH {mechanism} {first}"));
            if challenge.code != 334 {
                return (client, challenge);
            }
            let bound = Base64::encode_string(&[header.as_bytes(), octets].concat());
            let mut python = Command::new("python3");
            python.args(["-c", LAST, challenge.text.trim(), &bound, "pa ss-louen"]);
            let last = client.send(output_of(&mut python).success().trim_end());
            let end = if last.code == 334 { client.send("") } else { last };
            (client, end)
        };
        let exported = |client: &Client| {
            let label = b"EXPORTER-Channel-Binding";
            client.tls().export_keying_material([0; 32], label, None).unwrap()
        };
        let mut client = secured();
        let offered = client.ehlo();
        assert!(
            offered.text.contains("\nAUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\n"),
            "{offered}"
        );
        let octets = exported(&client);
        let plus = "p=tls-exporter,,";
        let (mut client, end) = log_in("SCRAM-SHA-256-PLUS", plus, &octets, client);
        assert_eq!(end, "235 2.7.0 Authentication successful");
        client.deliver("louen@example.net", &["friend@elsewhere.test"], &letter("bound"));
        assert!(sink.one().header("Received").unwrap().contains("with ESMTPSA id"));
        assert_eq!(log_in("SCRAM-SHA-256", "n,,", &[], secured()).1.code, 235);
        // Another connection's; said to be impossible, where it was offered; left out.
        for (mechanism, header, octets) in [
            ("SCRAM-SHA-256-PLUS", plus, &octets[..]),
            ("SCRAM-SHA-256", "y,,", &[]),
            ("SCRAM-SHA-256-PLUS", "n,,", &[]),
            ("SCRAM-SHA-256-PLUS", "p=tls-unique,,", &[]),
            ("SCRAM-SHA-256", plus, &octets[..]),
        ] {
            let end = log_in(mechanism, header, octets, secured()).1;
            assert_eq!(end, "535 5.7.8 Error: authentication failed", "{mechanism} {header}");
        }
        facteur.wait_for_log("channel binding was taken out on the way, sasl_username=");
    });
}

#[test]
fn failures_count_for_the_client_and_what_is_sent_for_the_login() {
    machine(|machine| {
        const OTHER: [&str; 2] = ["203.0.113.26", "203.0.113.27"];
        machine.addresses(&ADDRESSES);
        machine.addresses(&OTHER);
        let _dns = Dns::start("127.0.0.1", "");
        let auth = users(machine, "argon2id", &["louen", "ann"]);
        let limits = "limits.client-auth-failure-rate = 2\nlimits.client-message-rate = 2";
        let facteur = Facteur::start(machine, &configuration(machine, limits, auth));
        let plain = |name: &str| format!("AUTH PLAIN {}", base64(&format!("|{name}|pa ss-{name}")));
        let wrong = format!("AUTH PLAIN {}", base64("|louen|wrong"));
        for _ in 0..2 {
            assert_eq!(greeted(SERVER).send(&wrong).code, 535);
        }
        assert_eq!(
            greeted(SERVER).send(&plain("louen")),
            "454 4.7.0 Error: too many failures to log in from 203.0.113.25"
        );
        facteur.wait_for_log("too many failures");
        // Nobody else is kept out.
        let client = |from: &str, name: &str| {
            let mut client = Client::connect(from, SERVER);
            client.ehlo();
            client.expect(&plain(name), 235);
            client
        };
        let mail = |client: &mut Client, name: &str| {
            let reply = client.send(&format!("MAIL FROM:<{name}@example.net>"));
            client.expect("RSET", 250);
            reply
        };
        for from in OTHER {
            assert_eq!(mail(&mut client(from, "louen"), "louen").code, 250);
        }
        assert_eq!(
            mail(&mut client(OTHER[0], "louen"), "louen"),
            "450 4.7.1 Error: too much mail from 203.0.113.26"
        );
        assert_eq!(mail(&mut client(OTHER[0], "ann"), "ann").code, 250);
    });
}
