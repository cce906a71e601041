//! Conversations with servers on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::*;
use crate::config::endpoint::Endpoint;

fn service(address: Endpoint) -> Service {
    let settings = config::Service {
        address,
        concurrency: 2,
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        response: 100,
    };
    Service { turns: Semaphore::new(settings.concurrency), settings }
}

/// A server that does this with each connection.
async fn serve<F>(talk: impl Fn(TcpStream) -> F + Send + 'static) -> Service
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Endpoint::tcp(&listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    service(address)
}

/// A server that says this at once, in pieces, and then waits for the end, or hangs up.
async fn saying(pieces: &'static [&'static str], hangs_up: bool) -> Service {
    serve(move |mut stream| async move {
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        if !hangs_up {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

fn step(send: &str, until: Ending) -> Step {
    Step { send: send.into(), until }
}

fn after(end: &str) -> Ending {
    Ending::After(end.into())
}

async fn ask(service: &Service, steps: &[Step]) -> Result<Vec<String>, ConnectError> {
    let answers = service.exchange(steps).await?;
    Ok(answers.into_iter().map(|answer| String::from_utf8(answer).unwrap()).collect())
}

#[tokio::test]
async fn answers_end_where_the_steps_say() {
    let lines = saying(&["one\r", "\ntwo\r\nthr", "ee"], false).await;
    let steps = [
        step("", after("\r\n")),
        step("", after("\r\n")),
        step("", Ending::Length(3)),
        step("", Ending::Length(0)),
    ];
    assert_eq!(ask(&lines, &steps).await.unwrap(), ["one\r\n", "two\r\n", "thr", ""]);
    let closing = saying(&["all of ", "it"], true).await;
    assert_eq!(ask(&closing, &[step("", Ending::Closed)]).await.unwrap(), ["all of it"]);
    let early = ask(&closing, &[step("", after("\n"))]).await;
    assert!(matches!(early, Err(ConnectError::Unavailable(why)) if why.contains("hung up")));
}

#[tokio::test]
async fn each_request_is_sent_after_the_answer_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let mut word = [0; 4];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
            stream.write_all(b" yes\n").await.unwrap();
        }
    });
    let steps = [step("", after("\n")), step("one?", after("\n")), step("two?", after("\n"))];
    let answers = ask(&service(Endpoint::Unix(path)), &steps).await.unwrap();
    assert_eq!(answers, ["hello\n", "one? yes\n", "two? yes\n"]);
}

#[tokio::test]
async fn a_service_may_not_talk_or_think_for_ever() {
    let long: &'static [&'static str] =
        &["0123456789012345678901234567890123456789012345678901234567890123456789"; 2];
    let talking = saying(long, false).await;
    assert_eq!(ask(&talking, &[step("", after("\n"))]).await, Err(ConnectError::TooLarge));
    let silent = saying(&[], false).await;
    assert_eq!(ask(&silent, &[step("x", after("\n"))]).await, Err(ConnectError::Timeout));
    let nobody = service(Endpoint::Unix("/nowhere/socket".into()));
    assert!(matches!(
        ask(&nobody, &[step("x", Ending::Closed)]).await,
        Err(ConnectError::Unavailable(_))
    ));
}

#[tokio::test]
async fn more_conversations_than_allowed_wait_for_their_turn() {
    let (most, busy) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (seen, pair) = (most.clone(), Arc::new(tokio::sync::Barrier::new(2)));
    let service = serve(move |mut stream| {
        let (seen, busy, pair) = (seen.clone(), busy.clone(), pair.clone());
        async move {
            seen.fetch_max(busy.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            pair.wait().await;
            busy.fetch_sub(1, Ordering::Relaxed);
            stream.write_all(b"done").await.unwrap();
        }
    })
    .await;
    let steps = [step("", Ending::Closed)];
    let all = futures_util::future::join_all((0..8).map(|_| ask(&service, &steps))).await;
    assert!(
        all.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer == &["done"])),
        "{all:?}"
    );
    assert_eq!(most.load(Ordering::Relaxed), 2);
    let _turns = (service.turns.acquire().await.unwrap(), service.turns.acquire().await.unwrap());
    let crowded = ask(&service, &steps).await;
    assert!(matches!(crowded, Err(ConnectError::Unavailable(why)) if why == "all of its 2 \
         conversations are taken"));
}
