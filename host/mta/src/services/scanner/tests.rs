//! A scanner against servers that do what they shouldn't. What real ones do is a system test's.

use std::sync::atomic::{AtomicUsize, Ordering};

use facteur_policy::Unavailable;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::*;

/// What a server does with each of its messages.
#[derive(Clone, Copy)]
enum Manner {
    /// Takes all of it and says this.
    Says(&'static str),
    /// Says this at once.
    Early(&'static str),
    /// Takes all of it and says this and nothing more, not even the NUL, then hangs up.
    Half(&'static str),
    /// Takes two at once, and says this when it has both.
    Pairs(&'static str),
    /// Takes all of it and says nothing.
    Silent,
    /// Hangs up at once.
    Closes,
    /// Says this once, then hangs up before the next message.
    Once(&'static str),
}

/// A server and what it saw.
struct Clamd {
    endpoint: Endpoint,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    /// Messages that it had at once.
    most: Arc<AtomicUsize>,
}

/// What the connections of one server share.
#[derive(Clone)]
struct Shared {
    bytes: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
    pair: Arc<Barrier>,
}

impl Clamd {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::tcp(&listener.local_addr().unwrap().to_string()).unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let shared = Shared {
            bytes: Arc::default(),
            most: Arc::default(),
            busy: Arc::default(),
            pair: Arc::new(Barrier::new(2)),
        };
        let (bytes, most, count) = (shared.bytes.clone(), shared.most.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, manner, shared.clone()));
            }
        });
        Self { endpoint, connections, bytes, most }
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, shared: Shared) -> std::io::Result<()> {
    if let Manner::Closes = manner {
        return Ok(());
    }
    word(&mut stream, b"zIDSESSION\0").await?;
    for number in 1.. {
        word(&mut stream, b"zINSTREAM\0").await?;
        if let Manner::Early(text) = manner {
            return stream.write_all(format!("{number}: {text}\0").as_bytes()).await;
        }
        loop {
            let length = stream.read_u32().await?;
            if length == 0 {
                break;
            }
            stream.read_exact(&mut vec![0; length as usize]).await?;
            shared.bytes.fetch_add(length as usize, Ordering::Relaxed);
        }
        match manner {
            Manner::Says(text) => {
                stream.write_all(format!("{number}: {text}\0").as_bytes()).await?;
            }
            Manner::Half(text) => {
                return stream.write_all(format!("{number}: {text}").as_bytes()).await;
            }
            Manner::Once(text) => {
                return stream.write_all(format!("{number}: {text}\0").as_bytes()).await;
            }
            Manner::Pairs(text) => {
                shared
                    .most
                    .fetch_max(shared.busy.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                shared.pair.wait().await;
                shared.busy.fetch_sub(1, Ordering::Relaxed);
                stream.write_all(format!("{number}: {text}\0").as_bytes()).await?;
            }
            Manner::Silent => std::future::pending().await,
            Manner::Early(_) | Manner::Closes => {}
        }
    }
    Ok(())
}

async fn word(stream: &mut TcpStream, expected: &[u8]) -> std::io::Result<()> {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).await?;
    assert_eq!(got, expected);
    Ok(())
}

fn scanner(servers: &[&Clamd]) -> Scanner {
    Scanner::new(config::Scanner {
        clamd: servers.iter().map(|server| server.endpoint.clone()).collect(),
        concurrency: 2,
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        message_size: 10 << 20,
    })
}

async fn scan(scanner: &Scanner, content: &[u8]) -> Result<Scanned, ScanError> {
    scanner.scan("test", &content.to_vec()).await
}

/// None of it is an answer.
async fn is_unavailable(manner: Manner, why: &str) {
    let clamd = Clamd::start(manner).await;
    let scanner = scanner(&[&clamd]);
    match scan(&scanner, b"hello").await {
        Err(ScanError::Unavailable(told)) => assert!(told.contains(why), "{told}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_answer_is_never_clean() {
    is_unavailable(Manner::Half("stream: OK"), "hung up without an answer").await;
    is_unavailable(Manner::Silent, "no answer in 500ms").await;
    is_unavailable(Manner::Closes, "").await;
    is_unavailable(Manner::Says("stream: OK\0more"), "more than was asked").await;
    is_unavailable(Manner::Says("Can't allocate memory ERROR"), "Can't allocate memory ERROR")
        .await;
    is_unavailable(Manner::Says("\u{1}garbage"), "garbage").await;
    let large: &str = Box::leak("x".repeat(5_000).into_boxed_str());
    is_unavailable(Manner::Half(large), "no end").await;
}

#[tokio::test]
async fn an_answer_before_the_end_may_refuse_but_never_clear() {
    // More than the sockets hold, so that the answer comes while the message is still being
    // written.
    let large = vec![b'x'; 9 << 20];
    let clamd = Clamd::start(Manner::Early("stream: OK")).await;
    assert!(matches!(scan(&scanner(&[&clamd]), &large).await, Err(ScanError::Unavailable(_))));
}

#[tokio::test]
async fn a_session_carries_many_messages_whole() {
    let clamd = Clamd::start(Manner::Says("stream: OK")).await;
    let scanner = scanner(&[&clamd]);
    for size in [0, 1, clamd::CHUNK - 1, clamd::CHUNK, clamd::CHUNK + 1, 1 << 20] {
        clamd.bytes.store(0, Ordering::Relaxed);
        assert_eq!(scan(&scanner, &vec![b'x'; size]).await, Ok(Scanned::Clean));
        assert_eq!(clamd.bytes.load(Ordering::Relaxed), size);
    }
    assert_eq!(clamd.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_session_that_ended_while_idle_is_made_anew() {
    let clamd = Clamd::start(Manner::Once("stream: Eicar FOUND")).await;
    let scanner = scanner(&[&clamd]);
    for _ in 0..3 {
        assert_eq!(scan(&scanner, b"x").await, Ok(Scanned::Infected("Eicar".into())));
    }
    assert_eq!(clamd.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_next_server_answers_for_one_that_fails_and_is_asked_first_from_then_on() {
    let (dead, well) =
        (Clamd::start(Manner::Silent).await, Clamd::start(Manner::Says("stream: OK")).await);
    let scanner = scanner(&[&dead, &well]);
    for _ in 0..3 {
        assert_eq!(scan(&scanner, b"x").await, Ok(Scanned::Clean));
    }
    assert_eq!(dead.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_sent() {
    let clamd = Clamd::start(Manner::Says("stream: OK")).await;
    let scanner = scanner(&[&clamd]);
    assert_eq!(scan(&scanner, &vec![b'x'; (10 << 20) + 1]).await, Err(ScanError::TooLarge));
    assert_eq!(clamd.connections.load(Ordering::Relaxed), 0);
    let small = Clamd::start(Manner::Says("INSTREAM size limit exceeded. ERROR")).await;
    assert_eq!(scan(&self::scanner(&[&small]), b"x").await, Err(ScanError::TooLarge));
}

#[tokio::test]
async fn more_scans_than_allowed_wait_for_their_turn() {
    let clamd = Clamd::start(Manner::Pairs("stream: OK")).await;
    let scanner = Arc::new(scanner(&[&clamd]));
    let scan = |_| {
        let scanner = scanner.clone();
        tokio::spawn(async move { scan(&scanner, b"x").await })
    };
    for done in (0..8).map(scan).collect::<Vec<_>>() {
        assert_eq!(done.await.unwrap(), Ok(Scanned::Clean));
    }
    assert_eq!(clamd.most.load(Ordering::Relaxed), 2);
    // A pair that is never complete holds its turns: a third one is told so.
    let silent = Clamd::start(Manner::Silent).await;
    let scanner = Arc::new(self::scanner(&[&silent]));
    let _turns = (scanner.turns.acquire().await.unwrap(), scanner.turns.acquire().await.unwrap());
    let Err(ScanError::Unavailable(why)) = self::scan(&scanner, b"x").await else {
        panic!("there was no turn")
    };
    assert_eq!(why, "all of its 2 scans are taken");
}

/// A message whose second half can't be read.
struct Torn;

impl Content for Torn {
    fn size(&self) -> u64 {
        1 << 20
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        if offset < 1 << 19 {
            Ok(vec![b'x'; length])
        } else {
            Err(Unavailable("the disk is away".into()))
        }
    }
}

#[tokio::test]
async fn a_message_that_cant_be_read_to_its_end_is_never_clean() {
    let clamd = Clamd::start(Manner::Says("stream: OK")).await;
    let answer = scanner(&[&clamd]).scan("test", &Torn).await;
    assert_eq!(answer, Err(ScanError::Unavailable("the disk is away".into())));
}
