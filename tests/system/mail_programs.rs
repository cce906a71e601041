//! Mail programs of every kind log in under TLS, by each mechanism that they know, and hand in a
//! message; with a wrong password they don't.

use std::process::Command;
use std::time::Duration;

use facteur_tests::{
    Authority, Dns, Facteur, Key, Machine, Postfix, SmtpSink, machine_within, output_of, peer,
    probe_plugin, target_folder, until,
};

use crate::submission::{ADDRESSES, FROM, HOP, under_tls, users};

const NAME: &str = "mail.example.net";
const CA: &str = "/etc/tls/ca.pem";
/// By STARTTLS; at once; for those with a token, by STARTTLS.
const BY_STARTTLS: &str = "587";
const AT_ONCE: &str = "465";
const TOKENS: &str = "588";
const PASSWORD: &str = "pa ss-louen";
const TOKEN: &str = "secret-token";
/// What they hand in, where the test says it.
const LETTER: &str = "/etc/mail/letter";

/// How a program logs in.
struct Way<'a> {
    mechanism: &'a str,
    port: &'a str,
    secret: &'a str,
    subject: &'a str,
}

impl Way<'_> {
    fn at_once(&self) -> bool {
        self.port == AT_ONCE
    }

    fn has_token(&self) -> bool {
        self.port == TOKENS
    }
}

/// A server with everything, and what it sends on.
struct World {
    _dns: Dns,
    facteur: Facteur,
    sink: SmtpSink,
}

impl World {
    fn new(machine: &Machine) -> Self {
        machine.addresses(&ADDRESSES);
        let dns = Dns::start("127.0.0.1", &format!("{NAME} A 192.0.2.1"));
        let authority = Authority::new(machine);
        authority.issue("mx", &[NAME], Key::Ecdsa);
        authority.issue("client", &["client.example.net"], Key::Rsa);
        let sink = SmtpSink::start(machine, "hop", HOP, &[]);
        // With SCRAM verifiers all mechanisms are offered. Of tokens plugins know.
        let users = users(machine, "scram-sha-256", &["louen"]);
        let auth = format!(
            r#"{users}
[[plugin]]
name = "probe"
component = "{}"
settings = {{ authenticate = {{ {TOKEN} = "is:louen" }} }}
[[listen]]
address = "192.0.2.1:{AT_ONCE}"
kind = "submission"
tls = "implicit"
chain = ["restrictions"]
[[listen]]
address = "192.0.2.1:{TOKENS}"
kind = "submission"
tls = "encrypt"
chain = ["restrictions", "probe"]
"#,
            probe_plugin().display()
        );
        let listen = "tls = \"encrypt\"\nchain = [\"restrictions\"]";
        let config = under_tls(machine, listen, &auth);
        let facteur = Facteur::start(machine, &config);
        write_letter(machine, "handed in");
        Self { _dns: dns, facteur, sink }
    }

    /// Waits for so many messages. The one with this subject came from somebody who had logged in.
    fn must_have_come(&self, count: usize, subject: &str) {
        let all = self.sink.mail(count);
        let mail = all.iter().find(|mail| mail.header("Subject").as_deref() == Some(subject));
        let mail = mail.unwrap_or_else(|| panic!("{subject} isn't there"));
        assert_eq!(mail.recipients, ["friend@elsewhere.test"], "{subject}");
        let received = mail.header("Received").unwrap();
        assert!(received.contains("with ESMTPSA id"), "{subject}: {received}");
        let text = mail.text();
        assert!(text.contains("\nx\n.dot\n.\nlast\n"), "{subject}: {text}");
    }
}

/// What is handed in, where programs read it.
fn write_letter(machine: &Machine, subject: &str) {
    let headers = "From: louen@example.net\nTo: friend@elsewhere.test";
    machine.write(LETTER, &format!("{headers}\nSubject: {subject}\n\nx\n.dot\n.\nlast\n"));
}

/// A mail program, and the mechanisms that it knows.
type Program = (&'static str, fn(&Way<'_>) -> Command, &'static [&'static str]);

const PROGRAMS: [Program; 6] = [
    ("swaks", swaks, &["PLAIN", "LOGIN"]),
    ("msmtp", msmtp, &["PLAIN", "LOGIN", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"]),
    ("s-nail", s_nail, &["PLAIN", "LOGIN", "XOAUTH2"]),
    ("curl", curl, &["PLAIN", "LOGIN", "OAUTHBEARER"]),
    ("smtplib", smtplib, &["PLAIN", "LOGIN", "XOAUTH2"]),
    ("nodemailer", nodemailer, &["PLAIN", "LOGIN", "XOAUTH2"]),
];

fn swaks(way: &Way<'_>) -> Command {
    let mut swaks = Command::new(peer("swaks"));
    swaks.args(["--server", NAME, "--port", way.port, "--local-interface", FROM]);
    swaks.arg(if way.at_once() { "--tls-on-connect" } else { "--tls" });
    swaks.args(["--tls-verify", "--tls-ca-path", CA, "--pipeline"]);
    swaks.args(["--from", "louen@example.net", "--to", "friend@elsewhere.test"]);
    swaks.args(["--auth", way.mechanism, "--auth-user", "louen", "--auth-password", way.secret]);
    swaks.args(["--data", "@/etc/mail/letter"]);
    swaks
}

fn msmtp(way: &Way<'_>) -> Command {
    let mut msmtp = Command::new("sh");
    msmtp.arg("-c").arg(format!("exec \"$0\" \"$@\" <{LETTER}")).arg(peer("msmtp"));
    let option = |name: &str, value: &str| format!("--{name}={value}");
    msmtp.args(["--file=/dev/null".to_owned(), option("host", NAME), option("port", way.port)]);
    msmtp.args([option("source-ip", FROM), option("tls-trust-file", CA), option("tls", "on")]);
    msmtp.arg(option("tls-starttls", if way.at_once() { "off" } else { "on" }));
    msmtp.args([option("auth", &way.mechanism.to_lowercase()), option("user", "louen")]);
    msmtp.arg(format!("--passwordeval=echo '{}'", way.secret));
    msmtp.args(["--from=louen@example.net", "friend@elsewhere.test"]);
    msmtp
}

fn s_nail(way: &Way<'_>) -> Command {
    let mut nail = Command::new("sh");
    nail.arg("-c").arg("printf 'x\\n.dot\\n.\\nlast\\n' | exec \"$0\" \"$@\"").arg(peer("s-nail"));
    let set = |name: &str, value: &str| format!("{name}={value}");
    let protocol = if way.at_once() { "smtps" } else { "smtp" };
    let to = format!("{protocol}://louen:{}@{NAME}:{}", way.secret.replace(' ', "%20"), way.port);
    // What it calls OAUTHBEARER is XOAUTH2.
    let method = match way.mechanism {
        "PLAIN" => "plain",
        "LOGIN" => "login",
        _ => "oauthbearer",
    };
    nail.args(["-n", "-#", "-Sv15-compat", "-Ssmtp-use-starttls", "-Stls-ca-no-defaults"]);
    for setting in [
        set("mta", &to),
        set("tls-ca-file", CA),
        set("tls-verify", "strict"),
        set("smtp-auth", method),
        set("from", "louen@example.net"),
        set("hostname", "client.example.net"),
        set("sendwait", ""),
        // No terminal, no file of what failed.
        set("DEAD", "/dev/null"),
    ] {
        nail.arg("-S").arg(setting);
    }
    nail.args(["-s", way.subject, "friend@elsewhere.test"]);
    nail
}

fn curl(way: &Way<'_>) -> Command {
    let mut curl = Command::new("curl");
    let protocol = if way.at_once() { "smtps" } else { "smtp" };
    curl.arg("-sS").arg(format!("{protocol}://{NAME}:{}/client.example.net", way.port));
    curl.args(["--ssl-reqd", "--cacert", CA, "--interface", FROM]);
    curl.args(["--mail-from", "louen@example.net", "--mail-rcpt", "friend@elsewhere.test"]);
    curl.arg("--login-options").arg(format!("AUTH={}", way.mechanism));
    if way.has_token() {
        curl.args(["--user", "louen", "--oauth2-bearer", way.secret]);
    } else {
        curl.arg("--user").arg(format!("louen:{}", way.secret));
    }
    // --crlf: the file's lines end in LF.
    curl.args(["--crlf", "--upload-file", LETTER]);
    curl
}

fn smtplib(way: &Way<'_>) -> Command {
    let script = r"
import smtplib, ssl, sys
name, port, mechanism, secret = sys.argv[1:]
context = ssl.create_default_context(cafile='/etc/tls/ca.pem')
if port == '465':
    smtp = smtplib.SMTP_SSL(name, 465, context=context, source_address=('203.0.113.25', 0))
else:
    smtp = smtplib.SMTP(name, int(port), source_address=('203.0.113.25', 0))
    smtp.starttls(context=context)
smtp.ehlo()
smtp.user, smtp.password = 'louen', secret
own = {
    'PLAIN': smtp.auth_plain,
    'LOGIN': smtp.auth_login,
    'XOAUTH2': lambda challenge=None: '' if challenge else 'user=louen\1auth=Bearer %s\1\1' % secret,
}
smtp.auth(mechanism, own[mechanism])
smtp.sendmail('louen@example.net', ['friend@elsewhere.test'], open('/etc/mail/letter').read())
smtp.quit()
";
    let mut python = Command::new("python3");
    python.args(["-c", script, NAME, way.port, way.mechanism, way.secret]);
    python
}

fn nodemailer(way: &Way<'_>) -> Command {
    let script = r"
const [module, host, port, mechanism, secret, subject] = process.argv.slice(1);
const auth = mechanism === 'XOAUTH2'
    ? { type: 'OAuth2', user: 'louen', accessToken: secret }
    : { user: 'louen', pass: secret };
const transport = require(module).createTransport({
    host, port, auth, authMethod: mechanism, secure: port === '465', requireTLS: true,
    localAddress: '203.0.113.25', tls: { ca: require('fs').readFileSync('/etc/tls/ca.pem') },
});
transport.sendMail({
    from: 'louen@example.net', to: 'friend@elsewhere.test', subject,
    text: 'x\n.dot\n.\nlast\n',
}).then(() => transport.close(), error => { console.error(error); process.exit(1); });
";
    let mut node = Command::new("node");
    node.args(["-e", script]).arg(target_folder().join("peers/nodemailer/node_modules/nodemailer"));
    node.args([NAME, way.port, way.mechanism, way.secret, way.subject]);
    node
}

#[test]
fn mail_programs_log_in_by_each_mechanism_they_know_and_hand_in_a_message() {
    machine_within(Duration::from_mins(3), |machine| {
        let world = World::new(machine);
        let mut count = 0;
        for (name, program, mechanisms) in PROGRAMS {
            for mechanism in mechanisms {
                let token = mechanism.contains("OAUTH");
                let secret = if token { TOKEN } else { PASSWORD };
                let ports = if token { &[TOKENS][..] } else { &[BY_STARTTLS, AT_ONCE] };
                for port in ports {
                    let subject = format!("by {name} {mechanism} {port}");
                    write_letter(machine, &subject);
                    let way = |secret| Way { mechanism, port, secret, subject: &subject };
                    let before = world.facteur.log().len();
                    let output = output_of(&mut program(&way(secret)));
                    assert_eq!(output.code, 0, "{subject}: {output:?}");
                    count += 1;
                    world.must_have_come(count, &subject);
                    let told = format!("mechanism=\"{mechanism}\" login=\"louen\"");
                    until(&format!("{told} for {subject}"), || {
                        world.facteur.log()[before..].contains(&told).then_some(())
                    });
                    let wrong = output_of(&mut program(&way("wrong")));
                    assert_ne!(wrong.code, 0, "{subject} with a wrong secret: {wrong:?}");
                }
            }
        }
        assert_eq!(world.sink.mail(count).len(), count);
        let log = world.facteur.log();
        for secret in [PASSWORD, TOKEN] {
            assert!(!log.contains(secret), "{log}");
        }
    });
}

/// What swaks can do besides: a version and a cipher of TLS, a name to ask for, a certificate of
/// its own, several mechanisms to try, TLS and a login where they are there.
#[test]
fn swaks_tries_all_that_it_knows() {
    machine_within(Duration::from_mins(2), |machine| {
        let world = World::new(machine);
        let run = |port: &str, options: &[&str]| {
            let mut swaks = Command::new(peer("swaks"));
            swaks.args(["--server", NAME, "--port", port, "--local-interface", FROM]);
            swaks.args(["--from", "louen@example.net", "--to", "friend@elsewhere.test"]);
            swaks.args(["--data", "@/etc/mail/letter"]);
            if options.iter().any(|option| option.starts_with("--auth")) {
                swaks.args(["--auth-user", "louen", "--auth-password", PASSWORD]);
            }
            output_of(swaks.args(options))
        };
        let mut count = 0;
        for (port, options, seen) in [
            (BY_STARTTLS, &["--tls", "--auth", "--tls-protocol", "tlsv1_2"][..], "TLSv1.2"),
            (BY_STARTTLS, &["--tls", "--auth", "--tls-protocol", "tlsv1_3"], "TLSv1.3"),
            (AT_ONCE, &["--tlsc", "--auth", "--tls-sni", NAME], "235 2.7.0"),
            (
                AT_ONCE,
                &[
                    "--tlsc",
                    "--auth",
                    "--tls-protocol",
                    "tlsv1_2",
                    "--tls-cipher",
                    "ECDHE-ECDSA-AES128-GCM-SHA256",
                ],
                "ECDHE-ECDSA-AES128-GCM-SHA256",
            ),
            (
                BY_STARTTLS,
                &[
                    "--tls",
                    "--auth",
                    "--tls-cert",
                    "/etc/tls/client.pem",
                    "--tls-key",
                    "/etc/tls/client.key",
                ],
                "235 2.7.0",
            ),
            (BY_STARTTLS, &["--tls", "--auth", "CRAM-MD5,LOGIN"], "AUTH LOGIN"),
            (BY_STARTTLS, &["--tls-optional", "--auth-optional", "PLAIN"], "AUTH PLAIN"),
            (BY_STARTTLS, &["--tls-optional-strict", "--auth-optional-strict"], "235 2.7.0"),
            (BY_STARTTLS, &["--protocol", "ESMTPSA", "--auth", "--ehlo", "x.test"], "235 2.7.0"),
            (
                AT_ONCE,
                &["--tlsc", "--auth", "PLAIN", "--auth-plaintext", "--pipeline"],
                "235 2.7.0",
            ),
        ] {
            let subject = options.join(" ");
            write_letter(machine, &subject);
            let output = run(port, options);
            assert!(output.code == 0 && output.out.contains(seen), "{options:?}: {output:?}");
            count += 1;
            world.must_have_come(count, &subject);
        }
        // Without TLS it isn't told how to log in; without a login it may not send; nor does it
        // find a mechanism that isn't there.
        for (options, code) in
            [(&["--auth"][..], 28), (&["--tls"], 23), (&["--tls", "--auth", "CRAM-MD5"], 28)]
        {
            let output = run(BY_STARTTLS, options);
            assert_eq!(output.code, code, "{options:?}: {output:?}");
        }
    });
}

/// Postfix as the program of a machine that sends through its provider.
#[test]
fn postfix_logs_in_under_verified_tls() {
    machine_within(Duration::from_mins(2), |machine| {
        let world = World::new(machine);
        machine.addresses(&["192.0.2.9"]);
        machine.write("/etc/mail/passwords", &format!("{NAME} louen:{PASSWORD}\n"));
        let ways = [
            ("plain", BY_STARTTLS),
            ("login", BY_STARTTLS),
            ("scram-sha-256", BY_STARTTLS),
            ("plain", AT_ONCE),
            ("scram-sha-256", AT_ONCE),
        ];
        // A service for each way, a domain for each service.
        let (mut services, mut transports) = (Vec::new(), Vec::new());
        for (number, (mechanism, port)) in ways.into_iter().enumerate() {
            let wrapped = if port == AT_ONCE { "yes" } else { "no" };
            services.push(format!(
                "way{number} unix - - n - - smtp -o smtp_sasl_mechanism_filter={mechanism} -o \
                 smtp_tls_wrappermode={wrapped}\n"
            ));
            transports.push(format!("way{number}.test way{number}:[{NAME}]:{port}\n"));
        }
        machine.write("/etc/mail/transports", &transports.concat());
        let main = format!(
            "myhostname = postfix.test\nmynetworks = 192.0.2.0/24 127.0.0.0/8\nmydestination =\n\
             transport_maps = texthash:/etc/mail/transports\nsmtp_tls_security_level = secure\n\
             smtp_tls_CAfile = {CA}\nsmtp_tls_loglevel = 1\nsmtp_sasl_auth_enable = yes\n\
             smtp_sasl_password_maps = texthash:/etc/mail/passwords\n\
             smtp_sasl_security_options = noanonymous\n"
        );
        let postfix = Postfix::start(machine, "pf", "192.0.2.9:25", &main, &services.concat());
        for (number, (mechanism, port)) in ways.into_iter().enumerate() {
            let mut client = facteur_tests::Client::connect("192.0.2.9", "192.0.2.9:25");
            client.ehlo();
            let to = format!("friend@way{number}.test");
            client.deliver("louen@example.net", &[&to], b"Subject: relayed\r\n\r\nx\r\n");
            let mail = world.sink.mail(number + 1).pop().unwrap();
            let received = mail.header("Received").unwrap();
            assert!(received.contains("with ESMTPSA id"), "{mechanism} {port}: {received}");
            let told = format!("mechanism=\"{}\"", mechanism.to_uppercase());
            world.facteur.wait_for_log(&told);
        }
        let log = postfix.log();
        let verified = log.matches("Verified TLS connection established").count();
        assert_eq!(verified, ways.len(), "{log}");
    });
}

/// Exim as the same, by its own words.
#[test]
fn exim_logs_in_under_verified_tls() {
    machine_within(Duration::from_mins(2), |machine| {
        let world = World::new(machine);
        machine.add_user("Debian-exim", 2101);
        let spool = machine.open_folder("exim");
        let program = target_folder().join("peers/exim4-daemon-light/usr/sbin/exim4");
        let mut count = 0;
        for (port, protocol) in [(BY_STARTTLS, "smtp"), (AT_ONCE, "smtps")] {
            for (mechanism, send) in [
                ("PLAIN", format!("^louen^{PASSWORD}")),
                ("LOGIN", format!(": louen : {PASSWORD}")),
            ] {
                machine.write(
                    "/etc/exim4/exim4.conf",
                    &format!(
                        r"
primary_hostname = exim.test
exim_path = {program}
keep_environment = LD_LIBRARY_PATH
# Started anew as another user it would lose its libraries.
deliver_drop_privilege = yes
spool_directory = {spool}
log_file_path = {spool}/%slog
host_lookup =
begin routers
provider:
  driver = manualroute
  route_list = * {NAME} byname
  transport = provider
  self = send
begin transports
provider:
  driver = smtp
  port = {port}
  protocol = {protocol}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = {CA}
  tls_verify_hosts = *
begin authenticators
way:
  driver = plaintext
  public_name = {mechanism}
  client_send = {send}
",
                        program = program.display(),
                        spool = spool.display(),
                    ),
                );
                let mut exim = Command::new("sh");
                exim.arg("-c").arg(format!("exec \"$0\" \"$@\" <{LETTER}")).arg(peer("exim4"));
                exim.args(["-odf", "-oi", "-f", "louen@example.net", "friend@elsewhere.test"]);
                output_of(&mut exim).success();
                count += 1;
                let log = || std::fs::read_to_string(spool.join("mainlog")).unwrap_or_default();
                let mails = world.sink.mail(count);
                let received = mails.last().unwrap().header("Received").unwrap();
                assert!(received.contains("with ESMTPSA id"), "{mechanism}: {received} {}", log());
                assert_eq!(log().matches("CV=yes A=way").count(), count, "{}", log());
            }
        }
    });
}
