//! Nobody stops the others: clients that do nothing, hosts that don't answer and a log that isn't
//! read, where file descriptors are few.

use std::fmt::Write as _;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, Sink, facteur_binary, letter, machine, machine_within,
    until, within,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

const SERVER: &str = "127.0.0.1:25";
const SUBMISSION: &str = "127.0.0.1:587";
/// Long for what takes milliseconds, and far from any timeout.
const PROMPT: Duration = Duration::from_secs(5);

fn client(to: &str) -> Client {
    let mut client = Client::connect("127.0.0.1", to);
    client.ehlo();
    client
}

/// A facteur that may open so few files.
pub fn start_with_files(machine: &Machine, config: &Path, files: u32) -> Facteur {
    Facteur::start_with(machine, config, |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        *command = shell;
    })
}

fn descriptors(facteur: &Facteur) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", facteur.pid())).expect("it runs").count()
}

/// The processor time of a process so far.
fn worked(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|&field| fields[field].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn few_files_are_shared(machine: &Machine, files: u32, idle_clients: usize) {
    let mut names = String::new();
    for number in 0..200 {
        writeln!(names, "hangs{number}.test A 127.0.0.3").unwrap();
    }
    let _dns = Dns::start("127.0.0.1", &names);
    let good = Sink::start("127.0.0.2:25");
    let _hangs = TcpListener::bind("127.0.0.3:25").unwrap();
    let more = format!("[[listen]]\naddress = \"{SUBMISSION}\"");
    let routes = [("good.test", "smtp:[127.0.0.2]:25")];
    let config = Gateway { routes: &routes, more: &more, ..Gateway::default() };
    let facteur = start_with_files(machine, &config.write(machine, "few"), files);
    println!("{} descriptors at the start", descriptors(&facteur));
    // A large message takes a file as well as its connection.
    let large = [&letter("large")[..], &b"a line of text\r\n".repeat(20_000)].concat();
    let mut known = client(SERVER);

    let hosts: Vec<_> = (0..200).map(|number| format!("a@hangs{number}.test")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let ids: Vec<_> = (0..2).map(|_| known.deliver("a@sender.test", &hosts, &large)).collect();
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..idle_clients {
        idle.push(Client::connect("127.0.0.1", SERVER));
    }
    let turned_away = idle.iter().filter(|client| client.greeting.code == 421).count();
    println!("{turned_away} of {idle_clients} were turned away");
    assert!(turned_away > 0 && turned_away < idle_clients);
    println!("{} descriptors under pressure", descriptors(&facteur));
    assert!(descriptors(&facteur) < files as usize);

    // Whoever is there already goes on, and so does the other door, large messages as well.
    let start = Instant::now();
    known.deliver("a@sender.test", &["b@good.test"], &large);
    client(SUBMISSION).deliver("a@sender.test", &["c@good.test", "louen@local.test"], &large);
    within(PROMPT, "the good ones", || (good.count() >= 2).then_some(()));
    facteur_tests::maildir("/var/mail/louen", 1);
    // The operator as well.
    assert!(facteur.queued().iter().filter(|one| ids.contains(&one.id)).count() == 2);
    facteur.queue(&["hold", &ids[0]]);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    drop(idle);
    until("a new client to be served", || {
        (Client::connect("127.0.0.1", SERVER).greeting.code == 220).then_some(())
    });
    let log = facteur.log();
    assert!(!log.contains("os error 24"), "{log}");
    assert!(log.contains("raise `ulimit -n`"), "{log}");
}

#[test]
fn with_256_files_nobody_stops_the_others() {
    machine_within(Duration::from_secs(120), |machine| few_files_are_shared(machine, 256, 300));
}

#[test]
fn with_1024_files_nobody_stops_the_others() {
    machine_within(Duration::from_secs(120), |machine| few_files_are_shared(machine, 1024, 600));
}

/// The usual soft limit is for programs that can't count further.
#[test]
fn the_limit_of_files_is_raised_as_far_as_it_may_be() {
    machine(|machine| {
        let config = Gateway::default().write(machine, "soft");
        let facteur = Facteur::start_with(machine, &config, |command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -Sn 256 && ulimit -Hn 4096 && exec \"$0\" \"$@\""]);
            shell.arg(command.get_program()).args(command.get_args());
            *command = shell;
        });
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", facteur.pid())).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["4096", "4096"]);
    });
}

#[test]
fn a_server_without_a_file_left_waits_and_does_not_spin() {
    machine(|machine| {
        let config = Gateway::default().write(machine, "none");
        let facteur = Facteur::start(machine, &config);
        let pid = Pid::from_raw(i32::try_from(facteur.pid()).unwrap());
        let limit = |files| {
            let limit = Rlimit { current: Some(files), maximum: Some(4096) };
            prlimit(pid, Resource::Nofile, limit).unwrap();
        };
        limit(1);
        let waiting = std::thread::scope(|scope| {
            let operator = scope.spawn(|| facteur.queue(&["list"]));
            let client = scope.spawn(|| Client::connect("127.0.0.1", SERVER));
            facteur.wait_for_log("no connection can be taken");
            let (before, start) = (worked(facteur.pid()), Instant::now());
            within(Duration::from_secs(3), "two seconds", || {
                (start.elapsed() > Duration::from_secs(2)).then_some(())
            });
            let spent = worked(facteur.pid()).saturating_sub(before);
            limit(4096);
            assert_eq!(client.join().unwrap().greeting.code, 220);
            assert_eq!(operator.join().unwrap(), "The queue is empty.\n");
            spent
        });
        assert!(waiting < Duration::from_millis(500), "{waiting:?} of processor time in 2 s");
        let told = facteur.log().matches("no connection can be taken").count();
        assert!(told <= 4, "told {told} times");
    });
}

/// A facteur whose log goes to a pipe that nobody reads and that is full.
fn with_unread_log(machine: &Machine) -> (Child, PathBuf, Client) {
    let gateway = Gateway {
        routes: &[("*", "discard:")],
        more: "[log]\nformat = \"json\"",
        ..Gateway::default()
    };
    let config = gateway.write(machine, "log");
    let mut command = Command::new(facteur_binary());
    command.arg("--config").arg(&config).arg("serve");
    let facteur = command.stderr(Stdio::piped()).spawn().unwrap();
    let connected = || Client::try_connect("127.0.0.1", SERVER).ok();
    let mut client = until("it to be ready", connected);
    client.ehlo();
    // Some megabytes of log: a pipe holds 64 KiB of it.
    let many: Vec<_> = (0..500).map(|number| format!("box{number}@far.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for _ in 0..20 {
        client.deliver("a@sender.test", &many, &letter("on"));
    }
    until_delivered(&config);
    (facteur, config, client)
}

fn until_delivered(config: &Path) {
    let list = || facteur_tests::run_facteur(config, &["queue", "list"]).success();
    until("all to be delivered", || list().contains("empty").then_some(()));
}

#[test]
fn a_log_that_nobody_reads_stops_no_mail() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (mut facteur, config, mut client) = with_unread_log(machine);
        // Whoever reads again hears what is missing, and then all that follows.
        let mut log = facteur.stderr.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).unwrap();
            text
        });
        let id = client.deliver("a@sender.test", &["last@far.test"], &letter("last"));
        until_delivered(&config);
        stop(facteur.id());
        assert!(facteur.wait().unwrap().success());
        let text = reading.join().unwrap();
        assert!(text.contains("lines of the log were dropped") && text.contains("\"dropped\":"));
        assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
        let delivered = text.lines().filter(|line| line.contains("\"delivery\"")).count();
        assert!(delivered < 20 * 500, "{delivered} lines were told");
        assert!(text.contains(&id) && text.contains("\"stopped\""), "{id}");
    });
}

#[test]
fn a_log_that_nobody_reads_stops_no_end() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (mut facteur, _, _client) = with_unread_log(machine);
        stop(facteur.id());
        within(PROMPT, "its end", || facteur.try_wait().unwrap());
    });
}

fn stop(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

#[test]
fn a_client_that_repeats_itself_is_counted_in_the_log() {
    machine(|machine| {
        let gateway = Gateway { limits: "connections = 1", ..Gateway::default() };
        let facteur = Facteur::start(machine, &gateway.write(machine, "repeats"));
        let _first = client(SERVER);
        for _ in 0..300 {
            assert_eq!(Client::connect("127.0.0.1", SERVER).greeting.code, 421);
        }
        facteur.wait_for_log("too many lines about this client");
        let log = facteur.log();
        assert_eq!(log.matches("turned away").count(), 100, "{log}");
        assert!(log.contains("left_out=200"), "{log}");
    });
}

/// 25 servers that nothing is known of, and one that takes mail.
fn silent_servers(last: &str) -> String {
    let mut names = String::new();
    for number in 0..25 {
        writeln!(names, "mute.test MX {number} mx{number}.mute.test").unwrap();
        writeln!(names, "mx{number}.mute.test SILENCE").unwrap();
    }
    writeln!(names, "mute.test MX 90 last.mute.test\n{last}").unwrap();
    names
}

#[test]
fn servers_without_an_address_hold_an_attempt_for_a_bounded_time() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", &silent_servers("last.mute.test A 127.0.0.2"));
        let last = Sink::start("127.0.0.2:25");
        let config = Gateway::default().write(machine, "mute");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("[dns]\n", "[dns]\ntimeout = \"1s\"\n")).unwrap();
        let facteur = Facteur::start(machine, &config);
        let start = Instant::now();
        client(SERVER).deliver("a@sender.test", &["b@mute.test"], &letter("at last"));
        within(Duration::from_secs(15), "the last server's mail", || {
            (last.count() == 1).then_some(())
        });
        println!("it took {:?}", start.elapsed());
        facteur.wait_until_empty();
    });
}

#[test]
fn a_stop_waits_for_nothing_that_can_be_tried_again() {
    machine(|machine| {
        let dns = Dns::start("127.0.0.1", &silent_servers(""));
        let slow = Sink::start("127.0.0.2:25");
        let hangs = TcpListener::bind("127.0.0.3:25").unwrap();
        let routes = [("hangs.test", "smtp:[127.0.0.3]:25"), ("slow.test", "smtp:[127.0.0.2]:25")];
        let config = Gateway { routes: &routes, ..Gateway::default() }.write(machine, "stop");
        let mut facteur = Facteur::start(machine, &config);
        let to = ["a@mute.test", "b@hangs.test"];
        let id = client(SERVER).deliver("a@sender.test", &to, &letter("later"));
        until("the DNS to be asked", || {
            dns.asked().iter().any(|one| one.contains("mx0.mute.test")).then_some(())
        });
        let (_connected, _) = hangs.accept().unwrap();
        let start = Instant::now();
        facteur.stop();
        assert!(start.elapsed() < PROMPT, "the stop took {:?}", start.elapsed());
        // It wasn't tried as far as anybody knows, and is tried at once.
        dns.add("mute.test A 127.0.0.2");
        facteur.restart();
        let (_again, _) = hangs.accept().unwrap();
        let queued = facteur.queued();
        let entry = queued.iter().find(|entry| entry.id == id).unwrap();
        assert!(entry.recipients.iter().all(|one| one.attempts == 0), "{entry:?}");
        // But whoever has the whole message is waited for.
        slow.pause();
        client(SERVER).deliver("a@sender.test", &["c@slow.test"], &letter("whole"));
        slow.wait_for_paused(1);
        facteur.signal(Signal::TERM);
        facteur.wait_for_log("stopping");
        slow.resume();
        assert!(facteur.wait().success());
        assert_eq!(slow.one().recipients, ["c@slow.test"]);
        facteur.restart();
        until("it to be asked for", || {
            (facteur.queued().len() == 1 && slow.count() == 1).then_some(())
        });
    });
}
