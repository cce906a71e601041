//! `facteur reload` and SIGHUP: what is right comes into force, what is wrong changes nothing.

use std::time::Duration;

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Load, Plan, Site, letter, machine, machine_within, probe_plugin,
    sized, until,
};
use rustix::process::Signal;

const SENDER: &str = "somebody@example.org";

fn rcpt(client: &mut Client, recipient: &str) -> u16 {
    client.expect("RSET", 250);
    client.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
    client.send(&format!("RCPT TO:<{recipient}>")).code
}

#[test]
fn a_good_configuration_comes_into_force() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut facteur = site.sulfura();
        let mut old = site.stranger();
        assert_eq!(rcpt(&mut old, "x@example.org"), 554);
        site.edit("facteur.toml", |text| {
            text.replace("\"lepi.org\"", "\"example.org\", \"lepi.org\"")
        });
        assert_eq!(facteur.run(&["reload"]).success().trim(), "done");
        assert_eq!(rcpt(&mut site.stranger(), "x@example.org"), 250);
        // A session keeps the configuration that it began with.
        assert_eq!(rcpt(&mut old, "x@example.org"), 554);

        site.edit("facteur.toml", |text| text.replace("\"example.org\", ", ""));
        facteur.signal(Signal::HUP);
        until("the reload by SIGHUP", || {
            (rcpt(&mut site.stranger(), "x@example.org") == 554).then_some(())
        });
        facteur.stop();
    });
}

#[test]
fn a_broken_configuration_changes_nothing() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut facteur = site.sulfura();
        site.edit("facteur.toml", |text| {
            text.replace("\"lepi.org\"", "\"example.org\", \"lepi.org\"")
                .replace("[dns]\nservers", "[dns]\nserver")
        });
        let output = facteur.run(&["reload"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.err.contains("server"), "{output:?}");
        assert_eq!(rcpt(&mut site.stranger(), "x@example.org"), 554);
        assert_eq!(rcpt(&mut site.stranger(), "x@via.ecp.fr"), 250);

        facteur.signal(Signal::HUP);
        facteur.wait_for_log("not reloaded");
        assert_eq!(rcpt(&mut site.stranger(), "x@example.org"), 554);
        assert_eq!(rcpt(&mut site.stranger(), "x@via.ecp.fr"), 250);
        facteur.stop();
    });
}

/// The file is right, and what it names isn't.
#[test]
fn a_plugin_with_wrong_settings_changes_nothing() {
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        site.edit("facteur.toml", |text| {
            let text = text.replace("\"lepi.org\"", "\"example.org\", \"lepi.org\"");
            text.replace(
                "\"permit_mynetworks\", \"reject_unauth",
                "\"permit_mynetwork\", \"reject_unauth",
            )
        });
        // The command reads the same file as the program, and finds nothing wrong with it.
        let output = facteur.run(&["reload"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.err.contains("permit_mynetwork"), "{output:?}");
        assert_eq!(rcpt(&mut site.stranger(), "x@example.org"), 554);
        assert_eq!(rcpt(&mut site.stranger(), "x@via.ecp.fr"), 250);
    });
}

/// Reloads one after the other while mail comes in, in sessions that go on and in ones that begin:
/// not one of them fails.
#[test]
fn no_session_fails_under_reloads() {
    machine_within(Duration::from_secs(sized(120, 600)), |machine| {
        machine.addresses(&[]);
        let _dns = Dns::start("127.0.0.1", "");
        let shared = format!(
            "[[plugin]]\nname = \"shared\"\ncomponent = \"{}\"\nisolation = \"shared\"\n\
             [plugin.settings]\nrcpt = \"no-opinion\"\n",
            probe_plugin().display()
        );
        let gateway = Gateway { routes: &[("*", "discard:")], more: &shared, ..Gateway::default() };
        let mut facteur = Facteur::start(machine, &gateway.write(machine, "reloads"));
        let load = Load::start(Plan {
            to: "127.0.0.1:25",
            clients: 4,
            messages: usize::MAX / 2,
            recipient: |_| "louen@local.test".to_owned(),
            size: |_| 200,
        });
        let before = facteur.memory("VmRSS");
        for number in 0..sized(100, 1_000) {
            assert_eq!(facteur.run(&["reload"]).success().trim(), "done", "reload {number}");
            // What was loaded takes mail in a session that begins now.
            let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
            client.ehlo();
            client.deliver(SENDER, &["louen@local.test"], &letter("between two reloads"));
        }
        let heard = load.stop();
        assert!(
            heard.ends.is_empty() && heard.others.is_empty(),
            "{:?} {:?}",
            heard.ends,
            heard.others
        );
        assert!(!heard.taken.is_empty());
        // Sessions keep what they began with, and the last one of those lets it go: nothing piles
        // up.
        let grown = facteur.memory("VmRSS").saturating_sub(before);
        assert!(grown < 128 * 1024, "{grown} KiB more than before");
        println!("{} messages meanwhile, {grown} KiB more", heard.taken.len());
        facteur.stop();
    });
}
