//! Components and compiled code on the disk: what is loaded is whole and ours, and nobody waits
//! while that is found out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, letter, machine, machine_within, probe_plugin, renamed,
    with_functions,
};

const SENDER: &str = "somebody@example.org";
const RECIPIENT: &str = "louen@local.test";
const COMPONENT: &str = "/etc/loading/mine.wasm";

/// A server with one plugin whose component is in [`COMPONENT`], not started yet.
fn prepare(machine: &Machine, component: &[u8]) -> PathBuf {
    machine.addresses(&[]);
    let plugin = format!("[[plugin]]\nname = \"mine\"\ncomponent = \"{COMPONENT}\"\n");
    let gateway = Gateway { routes: &[("*", "discard:")], more: &plugin, ..Gateway::default() };
    let config = gateway.write(machine, "loading");
    std::fs::write(COMPONENT, component).unwrap();
    config
}

fn probe() -> Vec<u8> {
    std::fs::read(probe_plugin()).unwrap()
}

fn session() -> Client {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client
}

#[test]
fn sessions_go_on_while_a_reload_compiles() {
    machine_within(Duration::from_secs(120), |machine| {
        let config = prepare(machine, &probe());
        let _dns = Dns::start("127.0.0.1", "");
        // With one thread for all sessions, whatever blocks it blocks them all.
        let mut facteur = Facteur::start_with(machine, &config, |command| {
            command.env("TOKIO_WORKER_THREADS", "1");
        });
        let mut clients = [(); 3].map(|()| session());
        std::fs::write(COMPONENT, with_functions(&probe(), 400)).unwrap();
        let started = Instant::now();
        let (took, longest) = std::thread::scope(|scope| {
            let reload = scope.spawn(|| {
                facteur.run(&["reload"]).success();
                started.elapsed()
            });
            let mut longest = Duration::ZERO;
            while !reload.is_finished() {
                for client in &mut clients {
                    let asked = Instant::now();
                    client.deliver(SENDER, &[RECIPIENT], &letter("meanwhile"));
                    longest = longest.max(asked.elapsed());
                }
            }
            (reload.join().unwrap(), longest)
        });
        println!("the reload took {took:?}, the slowest message {longest:?}");
        assert!(took > Duration::from_millis(500), "nothing was compiled");
        assert!(longest < took / 2, "a message waited for {longest:?} of {took:?}");
        facteur.stop();
    });
}

#[test]
fn a_stop_does_not_wait_for_a_reload() {
    machine_within(Duration::from_secs(120), |machine| {
        let config = prepare(machine, &probe());
        let _dns = Dns::start("127.0.0.1", "");
        let mut facteur = Facteur::start(machine, &config);
        std::fs::write(COMPONENT, with_functions(&probe(), 1_000)).unwrap();
        facteur.signal(rustix::process::Signal::HUP);
        facteur.stop();
        assert!(!facteur.log().contains("reloaded"), "{}", facteur.log());
    });
}

#[test]
fn a_pipe_is_no_component() {
    machine(|machine| {
        let config = prepare(machine, &probe());
        let _dns = Dns::start("127.0.0.1", "");
        let mut facteur = Facteur::start(machine, &config);
        std::fs::remove_file(COMPONENT).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, COMPONENT, mode).unwrap();
        for command in ["check", "reload"] {
            let output = facteur.run(&[command]);
            let words = format!("plugin \"mine\": {COMPONENT}: this is no regular file");
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.err.contains(&words), "{output:?}");
        }
        session().deliver(SENDER, &[RECIPIENT], &letter("as before"));
        facteur.stop();
    });
}

#[test]
fn check_tells_of_a_hook_that_would_never_be_asked() {
    machine(|machine| {
        let lacking = renamed(&probe(), "end-of-data", "end-of-date");
        let config = prepare(machine, &lacking);
        let output = facteur_tests::run_facteur(&config, &["check"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.err.contains(
                "plugin \"mine\": it exports facteur:policy/on-end-of-date@0.1.0, which this host \
                 doesn't know"
            ),
            "{output:?}"
        );
    });
}

/// Zeroes in its machine code, as a torn write leaves them, were a crash at each start.
#[test]
fn damaged_code_is_compiled_again() {
    machine_within(Duration::from_secs(60), |machine| {
        let config = prepare(machine, &probe());
        let _dns = Dns::start("127.0.0.1", "");
        let mut facteur = Facteur::start(machine, &config);
        facteur.stop();
        let files: Vec<_> = std::fs::read_dir("/var/spool/compiled").unwrap().collect();
        assert_eq!(files.len(), 3, "one for each plugin");
        for file in files {
            zero_the_middle(&file.unwrap().path());
        }
        facteur.restart();
        assert_eq!(facteur.log().matches("it is damaged").count(), 3, "{}", facteur.log());
        session().deliver(SENDER, &[RECIPIENT], &letter("as before"));
        facteur.stop();
        // What was compiled again has taken its place.
        facteur.restart();
        assert_eq!(facteur.log().matches("it is damaged").count(), 3, "{}", facteur.log());
        facteur.stop();
    });
}

#[test]
fn code_that_nothing_uses_is_removed_but_for_the_last() {
    machine_within(Duration::from_secs(60), |machine| {
        let config = prepare(machine, &probe());
        let _dns = Dns::start("127.0.0.1", "");
        let mut facteur = Facteur::start(machine, &config);
        facteur.stop();
        let folder = Path::new("/var/spool/compiled");
        let names = || {
            let entries = std::fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
        };
        let used = names();
        for number in 0..40 {
            std::fs::write(folder.join(format!("{number}.cwasm")), "of an older plugin").unwrap();
        }
        facteur.restart();
        let left = names();
        assert!(left.is_superset(&used) && left.len() == used.len() + 16, "{left:?}");
        facteur.stop();
    });
}

fn zero_the_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let (from, to) = (bytes.len() / 4, bytes.len() / 4 * 3);
    bytes[from..to].fill(0);
    std::fs::write(path, bytes).unwrap();
}
