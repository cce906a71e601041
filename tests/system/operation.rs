//! The operator's day: stopping, starting, the queue commands, `facteur check`.

use std::path::Path;
use std::process::{Command, Stdio};

use facteur_tests::{
    Client, SITE, STRANGER, SULFURA, Sink, Site, crlf, facteur_binary, letter, machine,
    run_facteur, until,
};
use rustix::process::Signal;

const SENDER: &str = "somebody@example.org";

#[test]
fn a_stop_says_421_and_finishes_what_is_under_way() {
    const GOING: &str = "421 4.3.2 sulfura.via.ecp.fr Service shutting down";
    machine(|machine| {
        let site = Site::new(machine);
        let zen = Sink::start(Site::address("zen.via.ecp.fr"));
        let mut facteur = site.sulfura();
        let mut idle = site.stranger();
        let mut amid = site.stranger();
        amid.envelope(SENDER, &["x@via.ecp.fr"]);
        let mut waiting = site.stranger();
        waiting.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
        zen.pause();
        site.stranger().deliver(SENDER, &["x@via.ecp.fr"], &letter("under way"));
        zen.wait_for_paused(1);
        facteur.signal(Signal::TERM);
        for client in [&mut idle, &mut waiting] {
            assert_eq!(client.reply(), GOING);
            client.must_close();
        }
        assert!(Client::try_connect(STRANGER, SULFURA).is_err(), "nobody may listen now");
        // Content that is coming in may come to its end.
        let reply = amid.content(&letter("the last"));
        assert_eq!(reply.code, 250, "{reply}");
        assert_eq!(amid.reply(), GOING);
        amid.must_close();
        zen.resume();
        let status = facteur.wait();
        assert!(status.success(), "{status}");
        facteur.restart();
        facteur.wait_until_empty();
        let mut mails = zen.mail(2);
        mails.sort_by_key(|mail| mail.header("Subject"));
        mails[0].must_be(&letter("the last"), "sulfura.via.ecp.fr");
        mails[1].must_be(&letter("under way"), "sulfura.via.ecp.fr");
    });
}

#[test]
fn what_was_answered_250_survives_a_kill() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut facteur = site.sulfura();
        let mut client = site.stranger();
        let ids: Vec<String> = (0..5)
            .map(|n| client.deliver(SENDER, &["x@via.ecp.fr"], &letter(&format!("{n}"))))
            .collect();
        facteur.kill();
        let zen = site.hop("zen.via.ecp.fr");
        facteur.restart();
        facteur.queue(&["flush", "--all"]);
        let mails = zen.mail(ids.len());
        for (n, mail) in mails.iter().enumerate() {
            mail.must_be(&letter(&format!("{n}")), "sulfura.via.ecp.fr");
        }
        facteur.wait_until_empty();
    });
}

#[test]
fn held_messages_wait_and_deleted_ones_are_gone() {
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        let mut client = site.stranger();
        let mut send = |subject: &str| client.deliver(SENDER, &["x@via.ecp.fr"], &letter(subject));
        let (held, deleted) = (send("held"), send("deleted"));
        facteur.wait_until_deferred(&held, 1);
        facteur.wait_until_deferred(&deleted, 1);
        assert_eq!(facteur.queue(&["hold", &held]).trim(), "1 message");
        assert_eq!(facteur.queue(&["delete", &deleted]).trim(), "1 message");
        let queued = facteur.queued();
        assert_eq!(queued.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&held]);
        assert_eq!(queued[0].recipients[0].state, "hold");

        let zen = site.hop("zen.via.ecp.fr");
        facteur.queue(&["flush", "--all"]);
        // Whatever flush sent out comes before what is sent after it.
        send("after");
        assert_eq!(zen.one().header("Subject").unwrap(), "after");
        // What the next hop has is recorded a moment later.
        until("what was sent to be recorded", || {
            let queued = facteur.queued();
            queued.iter().map(|entry| &entry.id).eq([&held]).then_some(())
        });

        let shown = facteur.queue(&["show", &held]);
        for wanted in [&held, "x@via.ecp.fr", "Subject: held", "held: the first line"] {
            assert!(shown.contains(wanted), "{wanted:?} is not in:\n{shown}");
        }
        assert_eq!(facteur.queue(&["release", &held]).trim(), "1 message");
        facteur.queue(&["flush", &held]);
        let subjects: Vec<_> =
            zen.mail(2).iter().map(|mail| mail.header("Subject").unwrap()).collect();
        assert_eq!(subjects, ["after", "held"]);
        facteur.wait_until_empty();
    });
}

#[test]
fn queue_commands_name_what_is_not_there() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut facteur = site.sulfura();
        for command in ["show", "flush", "hold", "release", "delete"] {
            let output = facteur.run(&["queue", command, "0123456789"]);
            assert_eq!(output.code, 1, "{command}: {output:?}");
            assert!(output.err.contains("0123456789"), "{command}: {output:?}");
            let output = facteur.run(&["queue", command, "no-id"]);
            assert_eq!(output.code, 1, "{command}: {output:?}");
            assert!(output.err.contains("no-id"), "{command}: {output:?}");
        }
        // The queue can be looked at while the program is down, too.
        let id = site.stranger().deliver(SENDER, &["x@via.ecp.fr"], &letter("kept"));
        facteur.wait_until_deferred(&id, 1);
        facteur.stop();
        assert_eq!(facteur.queued().iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&id]);
    });
}

/// `facteur queue list | head -1`.
#[test]
fn what_nobody_reads_ends_every_command_quietly() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut facteur = site.sulfura();
        let id = site.stranger().deliver(SENDER, &["x@via.ecp.fr"], &letter("kept"));
        facteur.wait_until_deferred(&id, 1);
        let unread = |arguments: &[&str]| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = Command::new(facteur_binary());
            command.args(["--config", SITE]).args(arguments).stdout(writer);
            let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let output = output.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), &*told), (Some(0), ""), "{arguments:?}");
        };
        let from_to = ["--from", SENDER, "--to", "x@via.ecp.fr"];
        unread(&["queue", "list"]);
        unread(&["queue", "list", "--json"]);
        unread(&["queue", "show", &id]);
        unread(&["queue", "hold", &id]);
        unread(&["explain", &id]);
        unread(&["explain", "--json", &id]);
        unread(&["plugin", "list"]);
        unread(&["plugin", "list", "--json"]);
        unread(&[&["try", "--client", STRANGER], &from_to[..]].concat());
        unread(&[&["try", "--json", "--client", STRANGER], &from_to[..]].concat());
        unread(&["check"]);
        unread(&["reload"]);
        // Where no server runs, the queue is left as a clean stop leaves it.
        facteur.stop();
        unread(&["queue", "list"]);
        assert!(Path::new("/var/spool/facteur/clean").exists());
    });
}

#[test]
fn permanent_failures_bounce_and_bounces_do_not() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = Sink::start(Site::address("zen.via.ecp.fr"));
        zen.answer("RCPT TO:<gone@via.ecp.fr>", "550 5.1.1 <gone@via.ecp.fr>: no longer here");
        let senders = site.hop("mx2.example.org");
        let facteur = site.sulfura();
        let mut client = site.stranger();
        client.deliver(SENDER, &["gone@via.ecp.fr", "x@via.ecp.fr"], &letter("bounce"));
        assert_eq!(zen.one().recipients, ["x@via.ecp.fr"]);
        let bounce = senders.one();
        assert_eq!((bounce.sender.as_str(), &*bounce.recipients), ("", &[SENDER.to_owned()][..]));
        let text = bounce.text();
        for wanted in [
            "gone@via.ecp.fr",
            "Status: 5.1.1",
            "no longer here",
            "Remote-MTA: dns; zen.via.ecp.fr",
            "Subject: bounce",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
        }
        // A notice that can't be delivered is nobody's.
        client.deliver("", &["gone@via.ecp.fr"], &letter("a notice"));
        facteur.wait_until_empty();
        assert_eq!((zen.count(), senders.count()), (1, 1));
    });
}

#[test]
fn check_says_all_that_is_wrong_at_once() {
    machine(|machine| {
        let _site = Site::new(machine);
        let good = run_facteur(SITE.as_ref(), &["check"]);
        assert_eq!((good.code, good.out.trim()), (0, "all is well"), "{good:?}");
        let text = std::fs::read_to_string(SITE).unwrap();
        let broken = text
            .replace("[dns]\nservers", "[dns]\nserver")
            .replace("origin = \"via.ecp.fr\"", "origin = 3")
            .replace("lookup = [\"transport-via\"", "lookup = [\"transport-vai\"")
            .replace("138.195.130.0/25", "138.195.130.1/25");
        assert_ne!(broken, text);
        let path = machine.write("/etc/facteur/broken.toml", &broken);
        let output = run_facteur(&path, &["check"]);
        assert_eq!(output.code, 1, "{output:?}");
        for wanted in [
            "server",
            "servers",
            "origin",
            "transport-vai",
            "transport-via",
            "138.195.130.0/25",
            "broken.toml",
        ] {
            assert!(output.err.contains(wanted), "{wanted:?} is not in:\n{}", output.err);
        }
        // Nor does it start.
        let output = run_facteur(&path, &["serve"]);
        assert_eq!(output.code, 1, "{output:?}");
    });
}

#[test]
fn check_says_what_is_wrong_with_tables_and_plugins() {
    machine(|machine| {
        let site = Site::new(machine);
        site.edit("aliases", |text| text + "no colon here\n");
        std::fs::remove_file("/etc/facteur/transport.via").unwrap();
        site.edit("facteur.toml", |text| {
            text.replace(
                "\"permit_mynetworks\", \"reject_unauth",
                "\"permit_mynetwork\", \"reject_unauth",
            )
        });
        let output = run_facteur(SITE.as_ref(), &["check"]);
        assert_eq!(output.code, 1, "{output:?}");
        for wanted in ["/etc/facteur/aliases", "/etc/facteur/transport.via", "permit_mynetwork"] {
            assert!(output.err.contains(wanted), "{wanted:?} is not in:\n{}", output.err);
        }
    });
}

#[test]
fn a_loop_of_mail_ends() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        let mut client = site.stranger();
        client.envelope(SENDER, &["x@via.ecp.fr"]);
        let content =
            crlf(&("Received: from a by b; now\n".repeat(51) + "Subject: round\n\nround\n"));
        assert_eq!(client.content(&content), "554 5.4.6 Error: too many hops");
    });
}
