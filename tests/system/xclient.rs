//! Who may speak for others does so by XCLIENT and XFORWARD; what each is offered is the operator's
//! to say. What is said is what Postfix says: `postfix::extensions` compares.

use std::fs;

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, Reply, letter, machine, probe_plugin, until,
};

/// Where the probe is asked, and where mail is taken.
const PROBE: &str = "127.0.0.1:26";
const MAIL: &str = "127.0.0.1:27";
const SUBMISSION: &str = "127.0.0.1:587";
/// It may speak for others, and this one may not.
const SPEAKER: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";
/// Those that it speaks for.
const STRANGER: &str = "203.0.113.9";
const GREETING: &str = "220 gateway.test ESMTP facteur";

fn start(machine: &Machine, more: &str) -> (Dns, Facteur) {
    machine.addresses(&[SPEAKER, OTHER]);
    let dns = Dns::start("127.0.0.1", "");
    (dns, Facteur::start(machine, &configuration(machine, more)))
}

fn configuration(machine: &Machine, more: &str) -> std::path::PathBuf {
    let speaks = format!("xclient = [\"{SPEAKER}\"]\nxforward = [\"{SPEAKER}\"]");
    let more = format!(
        "[[listen]]\naddress = \"{PROBE}\"\nchain = [\"probe\"]\n{speaks}\n\
         [[listen]]\naddress = \"{MAIL}\"\nchain = [\"restrictions\"]\n{speaks}\n{more}\n\
         [[listen]]\naddress = \"{SUBMISSION}\"\nkind = \"submission\"\n\
         chain = [\"restrictions\"]\n{speaks}\n\
         [auth]\nusers = \"logins\"\n[tables.logins]\ninline = {{ louen = \"*\" }}\n\
         [[plugin]]\nname = \"probe\"\ncomponent = \"{}\"\n[plugin.settings]\n\
         rcpt = \"echo:{{client}} {{port}} {{trusted}} {{name}} {{reverse}} {{helo}} {{esmtp}} \
         {{login}} {{fact proxy.address}} {{fact forwarded.address}} {{fact forwarded.helo}}\"\n",
        probe_plugin().display()
    );
    Gateway { more: &more, ..Gateway::default() }.write(machine, "gateway")
}

/// What the probe sees at RCPT, in a transaction of its own.
fn seen(client: &mut Client) -> String {
    client.expect("MAIL FROM:<a@sender.test>", 250);
    let Reply { code, text } = client.send("RCPT TO:<louen@local.test>");
    assert_eq!(code, 550, "{text}");
    client.expect("RSET", 250);
    text.strip_prefix("5.7.1 ").unwrap_or(&text).to_owned()
}

#[test]
fn plugins_see_the_client_that_is_spoken_for_and_who_speaks() {
    machine(|machine| {
        let (_dns, facteur) = start(machine, "");
        let mut client = Client::connect(SPEAKER, PROBE);
        client.expect("HELO proxy.test", 250);
        let own = seen(&mut client);
        assert!(own.starts_with("127.0.0.2 ") && own.contains(" true "), "{own}");
        assert!(own.ends_with("proxy.test false None None None None"), "{own}");

        let all = "XCLIENT NAME=client.test REVERSE_NAME=ptr.test ADDR=203.0.113.9 PORT=4711 \
                   PROTO=ESMTP HELO=client+20test LOGIN=Louen";
        assert_eq!(client.send(all), GREETING);
        assert_eq!(
            seen(&mut client),
            "203.0.113.9 4711 false Ok(Some(\"client.test\")) Ok(Some(\"ptr.test\")) client?test \
             true Some(\"louen\") Some(\"127.0.0.2\") None None"
        );
        // XFORWARD says of the next message where it came from, and of no other.
        client.expect("XFORWARD ADDR=192.0.2.7 HELO=far.test", 250);
        client.expect("XFORWARD HELO=[UNAVAILABLE]", 250);
        let forwarded = seen(&mut client);
        assert!(forwarded.ends_with("Some(\"127.0.0.2\") Some(\"192.0.2.7\") None"), "{forwarded}");
        let next = seen(&mut client);
        assert!(next.ends_with("Some(\"127.0.0.2\") None None"), "{next}");
        // Who is spoken for can't speak for others.
        let refused = "550 5.7.0 Error: insufficient authorization";
        assert_eq!(client.send("XCLIENT ADDR=127.0.0.9"), refused);
        assert_eq!(seen(&mut client), next);

        // Nobody else is offered it, or believed.
        let mut client = Client::connect(OTHER, PROBE);
        let offered = client.ehlo();
        assert!(!offered.text.contains("XCLIENT") && !offered.text.contains("XFORWARD"));
        assert_eq!(client.send("XCLIENT ADDR=203.0.113.9"), refused);
        assert_eq!(client.send("XFORWARD ADDR=203.0.113.9"), refused);
        assert!(seen(&mut client).starts_with("127.0.0.3 "));
        drop(facteur);
    });
}

#[test]
fn mail_of_a_client_that_is_spoken_for_is_its_own() {
    machine(|machine| {
        let (_dns, facteur) = start(machine, "");
        let mut client = Client::connect(SPEAKER, MAIL);
        assert!(client.ehlo().text.contains("\nXFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"));
        // What comes with it in one packet waits for the new greeting.
        client.write(
            b"XCLIENT ADDR=203.0.113.9 NAME=client.test\r\nEHLO me.test\r\n\
              MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@elsewhere.test>\r\nRSET\r\n",
        );
        for code in [220, 250, 250, 554, 250] {
            assert_eq!(client.reply().code, code);
        }
        client.expect("XFORWARD NAME=far.test ADDR=192.0.2.7 IDENT=4F+0Ax", 250);
        // A header that is missing is added for programs of this machine, not for this client.
        client.envelope("a@sender.test", &["louen@local.test"]);
        let reply = client.content(b"Subject: no date\r\n\r\nx\r\n");
        assert_eq!(reply.code, 250, "{reply}");
        let mail = until("the message", || {
            let mut all = fs::read_dir("/var/mail/louen/new").ok()?;
            all.next().and_then(|file| fs::read_to_string(file.ok()?.path()).ok())
        });
        assert!(mail.contains("Received: from me.test (client.test [203.0.113.9])"), "{mail}");
        assert!(!mail.contains(SPEAKER) && !mail.contains("\nDate:"), "{mail}");
        facteur.wait_for_log("address=192.0.2.7 ident=4F?x name=far.test");
    });
}

#[test]
fn a_login_that_the_speaker_saw_counts() {
    machine(|machine| {
        let (_dns, _facteur) = start(machine, "");
        let mut client = Client::connect(SPEAKER, SUBMISSION);
        assert_eq!(client.send("XCLIENT ADDR=203.0.113.9 LOGIN=[UNAVAILABLE]"), GREETING);
        client.ehlo();
        let refused = "530 5.7.0 Authentication required";
        assert_eq!(client.send("MAIL FROM:<louen@local.test>"), refused);
        let mut client = Client::connect(SPEAKER, SUBMISSION);
        assert_eq!(client.send("XCLIENT ADDR=203.0.113.9 LOGIN=louen"), GREETING);
        client.ehlo();
        client.deliver("louen@local.test", &["louen@local.test"], &letter("as louen"));
    });
}

#[test]
fn a_client_that_is_spoken_for_is_judged_at_the_door() {
    machine(|machine| {
        let door = "[[plugin]]\nname = \"door\"\ncomponent = \"builtin:restrictions\"\n\
                    early = true\nsettings = { client = [\"permit_mynetworks\", \"reject\"] }\n";
        let listen = format!(
            "[[listen]]\naddress = \"127.0.0.1:28\"\nchain = [\"door\"]\nxclient = [\"{SPEAKER}\"]\n"
        );
        let (_dns, _facteur) = start(machine, &format!("{listen}{door}"));
        let mut client = Client::connect(SPEAKER, "127.0.0.1:28");
        let reply = client.send("XCLIENT ADDR=203.0.113.9");
        assert_eq!(reply.code, 554, "{reply}");
        client.expect("EHLO x", 503);
        client.expect("QUIT", 221);
    });
}

#[test]
fn what_a_client_is_offered_goes_by_its_address_and_changes_with_a_reload() {
    machine(|machine| {
        let more = "discard-ehlo-keywords = [\"chunking\", \"DSN\"]\n\
                    discard-ehlo-keyword-addresses = \"offers\"\ndisable-vrfy = true\n\
                    [tables.offers]\nfile = \"/etc/tables/offers\"\nformat = \"cidr\"\n";
        machine.write("/etc/tables/offers", "203.0.113.0/24 size, silent-discard\n");
        let (_dns, mut facteur) = start(machine, more);
        let offered = |client: &mut Client| {
            let text = client.ehlo().text;
            ["SIZE", "VRFY", "DSN", "CHUNKING"].map(|word| text.contains(&format!("\n{word}")))
        };
        let mut client = Client::connect(SPEAKER, MAIL);
        assert_eq!(offered(&mut client), [true, false, false, false]);
        facteur.wait_for_log("discarding EHLO keywords: DSN CHUNKING");
        let size = client.ehlo();
        assert!(size.text.contains("\nLIMITS RCPTMAX=1000\n"), "{size}");
        assert_eq!(client.send(&format!("XCLIENT ADDR={STRANGER}")), GREETING);
        assert_eq!(offered(&mut client), [false, false, true, true]);
        assert!(!facteur.log().contains("keywords: SIZE"));

        configuration(machine, "");
        facteur.run(&["reload"]).success();
        let mut client = Client::connect(SPEAKER, MAIL);
        assert_eq!(offered(&mut client), [true; 4]);
        // A table that can't be asked says nothing, and nobody is served by guesswork.
        configuration(machine, &more.replace("/etc/tables/offers", "/etc/tables/nowhere"));
        facteur.stop();
        facteur.restart();
        let mut client = Client::silent(SPEAKER, MAIL).unwrap();
        assert_eq!(client.reply(), "421 4.3.0 gateway.test Server local data error");
        client.must_close();
    });
}
