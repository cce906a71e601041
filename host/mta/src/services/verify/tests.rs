//! When callouts are made, and what is made of their answers. Time is the test's own.

use std::sync::atomic::{AtomicUsize, Ordering};

use facteur_smtp::{Reply, status};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

fn settings() -> config::Verify {
    let text = "hostname = \"mx.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\n";
    config::Config::parse(std::path::Path::new("/x/facteur.toml"), text).unwrap().verify
}

fn route() -> SmtpRoute {
    SmtpRoute {
        host: "[192.0.2.1]".into(),
        port: 25,
        mx: false,
        source: None,
        tls: None,
        otherwise: None,
    }
}

fn no() -> Verified {
    Verified::Undeliverable(Reply::new(550, status::BAD_MAILBOX, "who?"))
}

fn later() -> Verified {
    Verified::Unknown("greylisted".into())
}

/// A verifier whose callouts take so long and say this, one after the other; then the last one
/// again.
struct Asked {
    verifier: Verifier,
    callouts: Arc<AtomicUsize>,
}

fn verifier(concurrency: usize, takes: Duration, answers: Vec<Verified>) -> Asked {
    let callouts = Arc::<AtomicUsize>::default();
    let count = callouts.clone();
    let ask = move |_: Address, _: SmtpRoute| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = answers[number.min(answers.len() - 1)].clone();
        async move {
            tokio::time::sleep(takes).await;
            answer
        }
        .boxed()
    };
    let verifier = Verifier::new(Answers::new(concurrency), settings(), Arc::new(ask));
    Asked { verifier, callouts }
}

impl Asked {
    async fn of(&self, address: &str) -> Verified {
        self.verifier.verify(&address.parse().unwrap(), &route()).await
    }

    fn callouts(&self) -> usize {
        self.callouts.load(Ordering::Relaxed)
    }
}

/// Until a callout that was begun has come to its end.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_believed_for_its_time_and_asked_anew_before_its_end() {
    let asked =
        verifier(1, Duration::from_millis(10), vec![Verified::Deliverable, no(), later(), later()]);
    assert_eq!(asked.of("a@b.test").await, Verified::Deliverable);
    tokio::time::sleep(6 * DAY).await;
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (Verified::Deliverable, 1));
    // Old: the answer is given once more, and asked anew meanwhile.
    tokio::time::sleep(2 * DAY).await;
    assert_eq!(asked.of("a@b.test").await, Verified::Deliverable);
    settle().await;
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (no(), 2));
    // What can't be found out changes nothing about what is still believed.
    tokio::time::sleep(DAY).await;
    assert_eq!(asked.of("a@b.test").await, no());
    settle().await;
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (no(), 3));
    settle().await;
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(asked.of("a@b.test").await, later());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cant_say_is_left_alone_for_a_moment() {
    let asked = verifier(1, Duration::from_millis(10), vec![later(), Verified::Deliverable]);
    assert_eq!(asked.of("a@b.test").await, later());
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (later(), 1));
    tokio::time::sleep(MINUTE).await;
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (Verified::Deliverable, 2));
}

#[tokio::test(start_paused = true)]
async fn questions_about_one_address_share_a_callout_that_outlives_them() {
    let asked = verifier(20, Duration::from_secs(30), vec![Verified::Deliverable]);
    let both = futures_util::future::join(asked.of("a@b.test"), asked.of("a@b.test")).await;
    let waiting = Verified::Unknown("address verification is in progress".into());
    assert_eq!((both, asked.callouts()), ((waiting.clone(), waiting), 1));
    tokio::time::sleep(MINUTE).await;
    assert_eq!((asked.of("a@b.test").await, asked.callouts()), (Verified::Deliverable, 1));
}

#[tokio::test(start_paused = true)]
async fn callouts_are_bounded_in_number_and_time() {
    let asked = verifier(2, Duration::from_secs(3_600), vec![Verified::Deliverable]);
    let all: Vec<String> = (0..40).map(|number| format!("u{number}@b.test")).collect();
    let answers = futures_util::future::join_all(all.iter().map(|address| asked.of(address))).await;
    let crowded = Verified::Unknown("too many addresses are being verified".into());
    assert_eq!(answers.iter().filter(|answer| **answer == crowded).count(), 40 - 22);
    assert_eq!(asked.callouts(), 2);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(asked.of("u0@b.test").await, Verified::Unknown("no answer in 60s".into()));
}

#[test]
fn what_is_remembered_is_bounded() {
    let known = |number: usize| {
        let asking = (number == 7).then(|| watch::channel(None).1);
        (format!("u{number}@b.test").parse().unwrap(), Known { answer: None, asking })
    };
    let mut all: HashMap<Address, Known> = (0..KNOWN).map(known).collect();
    make_room(&mut all);
    assert_eq!(all.len(), 1);
}
