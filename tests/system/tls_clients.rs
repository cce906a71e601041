//! Other programs that send mail under TLS: OpenSSL of every kind, Python, curl, Postfix.

use std::process::Command;

use facteur_tests::{
    Authority, Dns, Facteur, Gateway, Key, Machine, Output, Postfix, SmtpSink, machine, output_of,
    until,
};

const HOP: &str = "127.0.0.3:25";

/// What the log says of a client whose suites have no elliptic curves, or that can verify no key of
/// ours.
const NO_CURVES: &str = "no server certificate chain resolved";

/// Facteur with an ECDSA and an RSA certificate, at port 25 and, at once, at port 465; what it
/// takes ends in a smtp-sink.
fn start(machine: &Machine) -> (Dns, Facteur, SmtpSink) {
    let authority = Authority::new(machine);
    authority.issue("new", &["mx.test", "127.0.0.1", "localhost"], Key::Ecdsa);
    authority.issue("old", &["mx.test", "127.0.0.1", "localhost"], Key::Rsa);
    let sink = SmtpSink::start(machine, "hop", HOP, &[]);
    let dns = Dns::start("127.0.0.1", "");
    let more = format!(
        "{}[[listen]]\naddress = \"127.0.0.1:465\"\ntls = \"implicit\"\n",
        Authority::sections(&["new", "old"])
    );
    let gateway =
        Gateway { more: &more, routes: &[("*", "smtp:[127.0.0.3]:25")], ..Gateway::default() };
    let facteur = Facteur::start(machine, &gateway.write(machine, "tls"));
    (dns, facteur, sink)
}

/// `openssl s_client`, which says QUIT after the handshake and waits for the end. (A `Q` would be a
/// command to itself.)
fn s_client(options: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("printf 'quit\\r\\n' | openssl s_client -ign_eof -CAfile /etc/tls/ca.pem \"$@\" 2>&1");
    output_of(command.arg("s_client").args(options))
}

#[test]
fn openssl_of_every_age_agrees_with_us_or_is_told_why_not() {
    machine(|machine| {
        let (_dns, facteur, _sink) = start(machine);
        let by_starttls = ["-connect", "127.0.0.1:25", "-starttls", "smtp"];
        let at_once = ["-connect", "127.0.0.1:465"];
        for how in [&by_starttls[..], &at_once] {
            for (options, version, cipher) in [
                (&[][..], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                (&["-ciphersuites", "TLS_AES_128_GCM_SHA256"], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
                (&["-tls1_2"], "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                (
                    &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
                    "TLSv1.2",
                    "ECDHE-RSA-AES128-GCM-SHA256",
                ),
                (&["-groups", "P-256"], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                // It knows the curve of our ECDSA key neither for that nor for this.
                (&["-groups", "P-384", "-tls1_2"], "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"),
                (&["-groups", "P-384"], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                // HelloRetryRequest: its first choice isn't ours.
                (&["-groups", "P-521:X25519"], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                (&["-sigalgs", "RSA-PSS+SHA256"], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
            ] {
                let output = s_client(&[how, options, &["-servername", "mx.test"]].concat());
                let told = format!("{version}, Cipher is {cipher}");
                assert!(output.out.contains(&told), "{options:?}: {output:?}");
                assert!(
                    output.out.contains("Verify return code: 0 (ok)"),
                    "{options:?}: {output:?}"
                );
            }
            for (options, why) in [
                (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..], "AlgorithmsExtensionRequired"),
                (&["-tls1_2", "-cipher", "AES256-GCM-SHA384"], NO_CURVES),
                (&["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"], NO_CURVES),
                (&["-groups", "P-521"], "NoKxGroupsInCommon"),
                (&["-sigalgs", "ed25519"], NO_CURVES),
            ] {
                let before = facteur.log().len();
                let output = s_client(&[how, options].concat());
                assert!(output.out.contains("Cipher is (NONE)"), "{options:?}: {output:?}");
                until(&format!("{why:?} in the log"), || {
                    let log = facteur.log();
                    let new = log[before..].to_lowercase();
                    (new.contains("no tls") && new.contains(&why.to_lowercase())).then_some(())
                });
            }
        }
    });
}

/// Names that no client may ask for, and some do: none of them keeps TLS from coming about.
#[test]
fn a_name_that_is_none_keeps_nobody_out() {
    machine(|machine| {
        let (_dns, _facteur, _sink) = start(machine);
        let long = "a.".repeat(120) + "test";
        for name in [
            "127.0.0.1",
            "::1",
            "mx.test.",
            "under_score.test",
            "-x.test",
            "MX.Test",
            "localhost",
            "*.test",
            "xn--bcher-kva.test",
            "b\u{fc}cher.test",
            "a..b",
            &long,
        ] {
            let to = ["-connect", "127.0.0.1:25", "-starttls", "smtp", "-servername", name];
            for version in ["-tls1_2", "-tls1_3"] {
                let output = s_client(&[&to[..], &[version]].concat());
                assert!(output.out.contains("Verify return code: 0"), "{name}: {}", output.out);
            }
        }
    });
}

#[test]
fn openssl_resumes_its_session() {
    machine(|machine| {
        let (_dns, _facteur, _sink) = start(machine);
        let to = ["-connect", "127.0.0.1:25", "-starttls", "smtp", "-servername", "mx.test"];
        for version in ["-tls1_2", "-tls1_3"] {
            // Tickets of TLS 1.3 come behind the handshake, and are read with the reply to QUIT.
            let first = s_client(&[&to[..], &[version, "-sess_out", "/etc/tls/session"]].concat());
            assert!(first.out.contains("New, TLSv1"), "{first:?}");
            let again = s_client(&[&to[..], &[version, "-sess_in", "/etc/tls/session"]].concat());
            assert!(again.out.contains("Reused, TLSv1"), "{version}: {again:?}");
        }
    });
}

#[test]
fn smtplib_gets_mail_through_under_tls() {
    machine(|machine| {
        let (_dns, facteur, sink) = start(machine);
        let script = "
import smtplib, ssl
context = ssl.create_default_context(cafile='/etc/tls/ca.pem')
with smtplib.SMTP('127.0.0.1') as smtp:
    smtp.starttls(context=context)
    smtp.sendmail('a@sender.test', ['b@hop.test'], b'Subject: by STARTTLS\\r\\n\\r\\nx\\r\\n')
with smtplib.SMTP_SSL('127.0.0.1', context=context) as smtp:
    smtp.sendmail('a@sender.test', ['b@hop.test'], b'Subject: at once\\r\\n\\r\\n' + b'x' * 78 + \
    b'\\r\\n' + (b'y' * 78 + b'\\r\\n') * 50000)
";
        output_of(Command::new("python3").arg("-c").arg(script)).success();
        let mails = sink.mail(2);
        let subjects: Vec<_> = mails.iter().filter_map(|mail| mail.header("Subject")).collect();
        assert!(subjects.contains(&"by STARTTLS".to_owned()) && subjects.len() == 2);
        for mail in &mails {
            assert!(mail.header("Received").unwrap().contains("with ESMTPS"), "{}", mail.text());
        }
        facteur.wait_until_empty();
    });
}

#[test]
fn curl_gets_mail_through_under_tls() {
    machine(|machine| {
        let (_dns, _facteur, sink) = start(machine);
        machine.write("/etc/mail.eml", "Subject: by curl\n\nx\n");
        for (url, more) in
            [("smtp://localhost", &["--ssl-reqd"][..]), ("smtps://127.0.0.1", &["--tlsv1.3"])]
        {
            let mut curl = Command::new("curl");
            curl.args(["-sS", url, "--cacert", "/etc/tls/ca.pem", "--mail-from", "a@sender.test"]);
            curl.args(["--mail-rcpt", "b@hop.test", "-T", "/etc/mail.eml"]).args(more);
            output_of(&mut curl).success();
        }
        for mail in sink.mail(2) {
            assert!(mail.header("Received").unwrap().contains("with ESMTPS"), "{}", mail.text());
        }
    });
}

#[test]
fn postfix_relays_through_facteur_under_tls() {
    machine(|machine| {
        let (_dns, facteur, sink) = start(machine);
        machine.addresses(&["127.0.0.2"]);
        let main = "myhostname = postfix.test\nmynetworks = 127.0.0.0/8\nmydestination =\n\
                    relayhost = [127.0.0.1]:25\nsmtp_tls_security_level = secure\n\
                    smtp_tls_secure_cert_match = mx.test\nsmtp_tls_CAfile = /etc/tls/ca.pem\n\
                    smtp_tls_loglevel = 1\nsmtp_tls_session_cache_database =\n";
        let postfix = Postfix::start(machine, "pf", "127.0.0.2:25", main, "");
        let mut client = facteur_tests::Client::connect("127.0.0.1", "127.0.0.2:25");
        client.ehlo();
        client.deliver("a@sender.test", &["b@hop.test"], b"Subject: verified\r\n\r\nx\r\n");
        let mail = sink.one();
        assert!(mail.text().contains("with ESMTPS"), "{}\n{}", mail.text(), postfix.log());
        assert!(postfix.log().contains("Verified TLS connection established"), "{}", postfix.log());
        facteur.wait_until_empty();
    });
}
