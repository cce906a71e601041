//! Crowds of clients that mean harm: beside each of them a good client is served about as fast as
//! alone, where file descriptors are few, too.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use facteur_tests::{Client, Facteur, Gateway, Machine, letter, machine_within, sized};
use socket2::{Domain, Socket, Type};

use crate::pressure::start_with_files;

const SERVER: &str = "192.0.2.25:25";
const GOOD: &str = "203.0.113.1";
/// Where crowds come from: strangers.
const CROWD: &str = "198.18.0.1/16";
/// Messages that are measured.
const MESSAGES: usize = 31;
/// How much longer than twice its usual time a message may take: on a machine with other work the
/// kernel lets a process wait so long now and then.
const SLACK: Duration = Duration::from_millis(50);
/// How long the good client goes on asking where it is sent away.
const PATIENCE: Duration = Duration::from_secs(20);

/// An address of the crowd.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(number + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(198, 18, high, low).into()
}

fn connect(from: IpAddr) -> std::io::Result<TcpStream> {
    let to: SocketAddr = SERVER.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    Ok(socket.into())
}

/// One message by a connection of its own; sent away with a 421, the client comes again at once.
fn message() -> Duration {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "the good client is never served");
        let Ok(mut client) = Client::try_connect(GOOD, SERVER) else { continue };
        if client.greeting.code != 220 {
            continue;
        }
        client.ehlo();
        client.deliver("a@sender.test", &["admin@local.test"], &letter("good"));
        client.send("QUIT");
        return started.elapsed();
    }
}

/// The median and the longest.
fn times() -> (Duration, Duration) {
    let mut all: Vec<Duration> = (0..MESSAGES).map(|_| message()).collect();
    all.sort();
    (all[MESSAGES / 2], all[MESSAGES - 1])
}

/// Runs the crowd beside a good client.
fn good_client_beside(name: &str, crowd: impl Fn(&AtomicBool, &AtomicUsize) + Sync) {
    let (alone, _) = times();
    let (over, there) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (beside, longest) = std::thread::scope(|scope| {
        scope.spawn(|| crowd(&over, &there));
        facteur_tests::within(Duration::from_secs(60), "the crowd", || {
            (there.load(Ordering::Relaxed) > 0).then_some(())
        });
        let times = times();
        over.store(true, Ordering::Relaxed);
        times
    });
    let (after, _) = times();
    let usual = alone.max(after);
    println!(
        "{name}: {beside:?} (at most {longest:?}) beside {usual:?} alone; {} connections",
        there.into_inner()
    );
    assert!(beside <= usual * 2 + SLACK, "{name}: {beside:?}, and {usual:?} alone");
}

/// So many clients, from a thousand addresses. Each sends an octet once in a while, or nothing;
/// whoever loses its place comes again.
fn idlers(clients: usize, pace: Option<Duration>, over: &AtomicBool, there: &AtomicUsize) {
    let mut open: Vec<Option<TcpStream>> = (0..clients).map(|_| None).collect();
    let mut all_there = false;
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (number, one) in open.iter_mut().enumerate() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            if one.as_mut().is_none_or(|stream| has_ended(stream, pace.is_some())) {
                *one = connect(address(number % 1_000)).ok();
                if let Some(stream) = one {
                    let _ = stream.set_nonblocking(true);
                }
            }
        }
        if !std::mem::replace(&mut all_there, true) {
            there.fetch_add(clients, Ordering::Relaxed);
        }
        while round.elapsed() < pace.unwrap_or(Duration::from_secs(1))
            && !over.load(Ordering::Relaxed)
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether the server hung up, after an octet if it gets one.
fn has_ended(stream: &mut TcpStream, sends: bool) -> bool {
    if sends && stream.write_all(b"N").is_err() {
        return true;
    }
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Connections, one after the other, each ended at once, from so many addresses.
fn flood(addresses: usize, over: &AtomicBool, there: &AtomicUsize) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        if let Ok(stream) = connect(address(number % addresses)) {
            // A reset leaves no port behind that would be waited for.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            there.fetch_add(1, Ordering::Relaxed);
        }
        number += 1;
    }
}

fn crowds(machine: &Machine, files: u32, idle: usize, dripping: usize) {
    machine.addresses(&["192.0.2.25", GOOD]);
    machine.network(CROWD);
    let limits = "client-connections = 5";
    let config = Gateway { listen: SERVER, limits, ..Gateway::default() }.write(machine, "crowds");
    let facteur: Facteur = start_with_files(machine, &config, files);
    let pace = Duration::from_secs(sized(1, 5));
    good_client_beside(&format!("{idle} that say nothing"), |over, there| {
        idlers(idle, None, over, there);
    });
    good_client_beside(&format!("{dripping} that send an octet each {pace:?}"), |over, there| {
        idlers(dripping, Some(pace), over, there);
    });
    good_client_beside("a flood from one address", |over, there| flood(1, over, there));
    good_client_beside("a flood from a thousand", |over, there| flood(1_000, over, there));
    let log = facteur.log();
    assert!(!log.contains("os error 24"), "{log}");
}

#[test]
fn a_good_client_is_served_beside_crowds_with_1024_files() {
    machine_within(Duration::from_secs(180), |machine| {
        crowds(machine, 1024, sized(600, 1_010), sized(600, 3_000));
    });
}

#[test]
fn a_good_client_is_served_beside_crowds_with_256_files() {
    machine_within(Duration::from_secs(180), |machine| {
        crowds(machine, 256, sized(300, 1_010), sized(300, 3_000));
    });
}
