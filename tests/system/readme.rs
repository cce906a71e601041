//! The README, done as it says: every command and every file in it, with the real programs.
//!
//! Two folders are others than a reader's, so that a reader's own stay as they are: `target/demo`
//! and `target/no-thirteen`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use facteur_tests::{
    Client, Dns, Machine, Output, Process, Sink, facteur_binary, letter, machine, machine_within,
    maildir, output_of, until, within,
};
use rustix::process::Signal;

const README: &str = include_str!("../../README.md");
const TEMPLATE: &str = include_str!("../../plugin-sdk/rust/template/src/lib.rs");
const CI: &str = include_str!("../../.ci/run");

const RUN: &str = "cargo xtask run";
const TEST: &str = "cargo xtask test";
const SEND: &str = r"printf 'Subject: hello\n\nIt works.\n' | curl -s smtp://127.0.0.1:2525 --mail-from me@localhost --mail-rcpt you@localhost -T -";
const READ: &str = "cat target/demo/mail/you/new/*";
const DEMO_LIST: &str = "facteur --config target/demo/facteur.toml queue list";
const CHECK: &str = "facteur --config facteur.toml check";
const SERVE: &str = "facteur --config facteur.toml serve";
const LIST: &str = "facteur --config facteur.toml queue list";
const FLUSH: &str = "facteur --config facteur.toml queue flush --all";
const TRY: &str =
    "facteur --config facteur.toml try --client 192.0.2.1 --from a@example.com --to x@example.net";
const COPY: &str = "cp -r plugin-sdk/rust/template target/no-thirteen";
const UNIT_TESTS: &str = "cargo test --manifest-path target/no-thirteen/Cargo.toml";
const BUILD: &str = "cargo xtask plugin target/no-thirteen";

/// Where the test's copy of the template is, in place of `target/no-thirteen`: as far below the
/// checkout as that.
const PLUGIN: &str = "target/readme-plugin";
/// A build that finds little to do, on a machine that is busy with other tests.
const BUILDING: Duration = Duration::from_mins(5);

/// The blocks of one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let parts = README.split("\n```").collect::<Vec<_>>();
    // Every second part is inside.
    let inside = parts.iter().skip(1).step_by(2);
    inside.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect()
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the checkout")
}

/// A line of the README in a shell that finds `facteur` and, since a test's machine has no network,
/// looks for no newer crates.
fn shell(line: &str, folder: &Path) -> Command {
    let own = facteur_binary();
    let mut path = OsString::from(own.parent().expect("a program is in a folder"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    // exec: a signal to the shell must be one to the program.
    let exec = if line.contains('|') { "" } else { "exec " };
    command
        .arg("-c")
        .arg(format!("{exec}{line}"))
        .current_dir(folder)
        .env("PATH", path)
        .env("CARGO_NET_OFFLINE", "true");
    command
}

fn run(line: &str, folder: &Path) -> Output {
    output_of(&mut shell(line, folder))
}

#[test]
fn every_command_is_tested_here() {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let commands: Vec<&str> =
        lines.map(|line| line.split(" #").next().unwrap_or_default().trim()).collect();
    let tested =
        [RUN, TEST, SEND, READ, DEMO_LIST, CHECK, SERVE, LIST, FLUSH, TRY, COPY, UNIT_TESTS, BUILD];
    assert_eq!(commands, tested);
    assert_eq!(blocks("toml").len(), 2);
    let [plugin] = blocks("rust")[..] else { panic!("one plugin is shown") };
    assert!(TEMPLATE.contains(plugin.trim()), "the README and the template show two plugins");
    let languages = README.lines().filter(|line| line.starts_with("```")).map(|line| &line[3..]);
    let other: Vec<_> =
        languages.filter(|language| !["", "sh", "toml", "rust"].contains(language)).collect();
    assert!(other.is_empty(), "nobody tests blocks of {other:?}");
    // What ran this test is the other command.
    assert!(CI.lines().any(|line| line == TEST), "{CI}");
}

#[test]
fn one_command_runs_it() {
    machine_within(BUILDING, |machine| {
        let folder = machine.open_folder("demo");
        let demo = folder.to_str().expect("/var/spool/demo is text");
        let mut facteur = Process::start(
            machine.folder(),
            "run",
            &mut shell(&format!("{RUN} -- {demo}"), checkout()),
        );
        within(BUILDING, "facteur to say what to try", || {
            facteur.must_run();
            facteur.log().contains("Ctrl-C stops it.").then_some(())
        });
        run(SEND, checkout()).success();
        maildir(&format!("{demo}/mail/you"), 1);
        let read = run(&READ.replace("target/demo", demo), checkout()).success();
        assert!(read.contains("Subject: hello\n") && read.contains("\n\nIt works.\n"), "{read}");

        let list = DEMO_LIST.replace("target/demo", demo);
        until("the delivery to be recorded", || {
            (run(&list, checkout()).success() == "The queue is empty.\n").then_some(())
        });

        // What it says to try.
        let said = facteur.log();
        let to_try: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        let to_try: Vec<&str> =
            to_try.into_iter().filter(|line| line.starts_with(['p', 'c'])).collect();
        assert_eq!(to_try.len(), 4, "{said}");
        run(to_try[0], checkout()).success();
        maildir(&format!("{demo}/mail/you"), 2);
        assert!(run(to_try[1], checkout()).success().contains("It works."));
        let refused = run(to_try[2], checkout()).success();
        assert!(refused.contains("550 5.1.1") && refused.contains("User unknown"), "{refused}");
        run(to_try[3], checkout()).success();
        maildir(&format!("{demo}/mail/you"), 3);

        facteur.signal(Signal::TERM);
        assert!(facteur.wait().success(), "{}", facteur.log());
    });
}

/// The operator's folder, with the file of the README as it stands there.
fn operator(machine: &Machine, config: &str) -> PathBuf {
    machine.addresses(&["192.0.2.1", "203.0.113.25", "2001:db8::9"]);
    machine.write("/etc/aliases", "postmaster: root\nroot: louen\n");
    let config = machine.write("/etc/operator/facteur.toml", config);
    config.parent().expect("a file is in a folder").to_owned()
}

fn serve(machine: &Machine, folder: &Path) -> Process {
    assert_eq!(run(CHECK, folder).success(), "all is well\n");
    let mut facteur = Process::start(machine.folder(), "serve", &mut shell(SERVE, folder));
    until("facteur to be ready", || {
        facteur.must_run();
        facteur.log().contains(" ready ").then_some(())
    });
    facteur
}

#[test]
fn the_operators_ten_minutes() {
    machine(|machine| {
        let folder = operator(machine, blocks("toml")[0]);
        // The listener has every IPv4 address of this machine.
        let _dns = Dns::start("127.0.0.1", "elsewhere.example AAAA 2001:db8::9");
        let mut facteur = serve(machine, &folder);

        // A machine's own users …
        let mut stranger = Client::connect("203.0.113.25", "192.0.2.1:25");
        stranger.ehlo();
        stranger.expect("MAIL FROM:<a@example.net>", 250);
        assert!(
            stranger.expect("RCPT TO:<nobody-here@example.org>", 550).text.starts_with("5.1.1")
        );
        assert!(
            stranger
                .expect("RCPT TO:<x@elsewhere.example>", 554)
                .text
                .contains("Relay access denied")
        );
        stranger.expect("RSET", 250);
        stranger.deliver(
            "a@example.net",
            &["louen@example.org", "postmaster@example.org"],
            &letter("in"),
        );
        maildir("/var/mail/louen", 1);

        // … and what they write to the world.
        let mut own = Client::connect("127.0.0.1", "127.0.0.1:25");
        own.ehlo();
        let id = own.deliver("louen@example.org", &["x@elsewhere.example"], &letter("out"));
        let listed = until("the queue to say why", || {
            let listed = run(LIST, &folder).success();
            listed.contains("onnection refused").then_some(listed)
        });
        assert!(listed.contains(&id) && listed.contains("x@elsewhere.example"), "{listed}");
        let sink = Sink::start("[2001:db8::9]:25");
        assert_eq!(run(FLUSH, &folder).success(), "1 message\n");
        assert!(run(TRY, &folder).success().contains("RCPT <x@example.net>: refused: 554 5.7.1"));
        assert_eq!(sink.one().recipients, ["x@elsewhere.example"]);

        // What the comments and the text besides promise.
        machine.write("/etc/aliases", "postmaster: root\nroot: louen\nhelp: admin\n");
        within(Duration::from_secs(2), "the new aliases", || {
            facteur.log().contains("entries=3").then_some(())
        });
        own.expect("MAIL FROM:<louen@example.org>", 250);
        own.expect("RCPT TO:<help@example.org>", 250);
        assert_eq!(run(&SERVE.replace("serve", "reload"), &folder).success(), "done\n");
        facteur.signal(Signal::HUP);
        until("a second reload", || {
            (facteur.log().matches(" reloaded").count() == 2).then_some(())
        });
        facteur.signal(Signal::TERM);
        assert!(facteur.wait().success(), "{}", facteur.log());
    });
}

#[test]
fn the_authors_ten_minutes() {
    machine_within(BUILDING, |machine| {
        let component = checkout().join(format!("{PLUGIN}.wasm"));
        let clean = || {
            let _ = fs::remove_dir_all(checkout().join(PLUGIN));
            let _ = fs::remove_file(&component);
        };
        clean();
        let ours = |text: &str| text.replace("target/no-thirteen", PLUGIN);
        run(&ours(COPY), checkout()).success();
        // Beside the other plugins, whose tests built what it needs.
        let built = checkout().join("target/plugins-build");
        let tested = output_of(shell(&ours(UNIT_TESTS), checkout()).env("CARGO_TARGET_DIR", built))
            .success();
        assert!(tested.contains("test result: ok. 1 passed"), "{tested}");
        assert_eq!(run(&ours(BUILD), checkout()).success(), format!("{PLUGIN}.wasm\n"));

        // The block above the other plugins, in a folder that has the checkout's `target`.
        let [config, block] = blocks("toml")[..] else { panic!("two files are shown") };
        let config = config.replacen("[[plugin]]", &format!("{}\n\n[[plugin]]", ours(block)), 1);
        let folder = operator(machine, &config);
        std::os::unix::fs::symlink(checkout().join("target"), folder.join("target"))
            .expect("/etc is the test's");
        let _facteur = serve(machine, &folder);
        for from in ["127.0.0.1", "203.0.113.25"] {
            let mut client = Client::connect(from, "192.0.2.1:25");
            client.ehlo();
            client.expect("MAIL FROM:<a@example.net>", 250);
            assert_eq!(
                client.send("RCPT TO:<louen13@example.org>"),
                "550 5.7.1 that brings bad luck"
            );
            client.expect("RCPT TO:<louen@example.org>", 250);
        }
        clean();
    });
}
