//! Random sequences of what the door offers, against a model in memory, with ends and crashes in
//! between.

use facteur_smtp::status;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Later than any clock of a test: what waits for it is not due.
const LATER: u64 = 1 << 45;
const DOMAINS: [&str; 3] = ["one.example", "two.example", "three.example"];

#[derive(Clone, Debug)]
enum Action {
    Insert { recipients: Vec<usize>, large: bool, held: bool },
    InsertAgain(Index),
    Record { outcomes: Vec<(Index, Option<u64>)>, notice: bool },
    Hold(Option<Index>),
    Release(Option<Index>),
    Flush(Option<Index>),
    Delete(Option<Index>),
    Reopen { clean: bool },
}

fn step() -> impl Strategy<Value = Action> {
    let some = || proptest::option::weighted(0.8, any::<Index>());
    let outcome = (any::<Index>(), proptest::option::of(0..1000_u64));
    prop_oneof![
        6 => (vec(0..DOMAINS.len(), 1..5), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2))
            .prop_map(|(recipients, large, held)| Action::Insert { recipients, large, held }),
        1 => any::<Index>().prop_map(Action::InsertAgain),
        6 => (vec(outcome, 1..5), proptest::bool::weighted(0.3))
            .prop_map(|(outcomes, notice)| Action::Record { outcomes, notice }),
        1 => some().prop_map(Action::Hold),
        1 => some().prop_map(Action::Release),
        1 => some().prop_map(Action::Flush),
        1 => some().prop_map(Action::Delete),
        1 => any::<bool>().prop_map(|clean| Action::Reopen { clean }),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct ModelRecipient {
    address: String,
    state: &'static str,
    next_try: u64,
    attempts: u32,
}

#[derive(Clone, Debug)]
struct ModelMessage {
    id: MessageId,
    body: Bytes,
    recipients: BTreeMap<RecipientId, ModelRecipient>,
}

#[derive(Default)]
struct Model {
    messages: BTreeMap<QueueId, ModelMessage>,
    /// Makes every message and recipient another.
    number: usize,
}

impl Model {
    fn new_message(&mut self, domains: &[usize], large: bool, held: bool) -> (NewMessage, Bytes) {
        self.number += 1;
        let addresses: Vec<_> = domains
            .iter()
            .enumerate()
            .map(|(index, domain)| format!("user{}.{index}@{}", self.number, DOMAINS[*domain]))
            .collect();
        let size = if large { SMALL_BODY + self.number } else { self.number };
        let body = Bytes::from(vec![(self.number % 251) as u8; size]);
        let mut message = message(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        message.received_at = Timestamp(self.number as u64);
        message.hold = held.then(|| Hold::Hold("held".to_owned()));
        (message, body)
    }

    fn add(&mut self, queued: &Queued, given: &(MessageId, u64, bool, Vec<String>), body: Bytes) {
        let (id, received_at, held, addresses) = given;
        assert!(!queued.duplicate);
        assert_eq!(queued.recipients.len(), addresses.len());
        let recipients = queued.recipients.iter().zip(addresses).map(|(id, address)| {
            let state = if *held { "hold" } else { "queued" };
            (
                *id,
                ModelRecipient {
                    address: address.clone(),
                    state,
                    next_try: *received_at,
                    attempts: 0,
                },
            )
        });
        let message = ModelMessage { id: *id, body, recipients: recipients.collect() };
        assert!(self.messages.insert(queued.queue_id, message).is_none(), "a queue id given twice");
    }

    fn pick(&self, index: Index) -> Option<QueueId> {
        (!self.messages.is_empty())
            .then(|| *index.get(&self.messages.keys().collect::<Vec<_>>()).to_owned())
    }

    /// The selection, and the messages it means.
    fn select(&self, index: Option<Index>) -> Option<(Selection, Vec<QueueId>)> {
        match index {
            None => Some((Selection::All, self.messages.keys().copied().collect())),
            Some(index) => self.pick(index).map(|id| (Selection::Message(id), vec![id])),
        }
    }

    /// Changes the recipients of the messages that `change` says so for; how many messages had one.
    fn change(
        &mut self,
        messages: &[QueueId],
        change: impl Fn(&mut ModelRecipient) -> bool,
    ) -> u64 {
        let mut changed = 0;
        for id in messages {
            let recipients = &mut self.messages.get_mut(id).unwrap().recipients;
            changed +=
                u64::from(recipients.values_mut().map(&change).fold(false, |any, one| any | one));
        }
        changed
    }
}

fn given(message: &NewMessage) -> (MessageId, u64, bool, Vec<String>) {
    let addresses =
        message.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    (message.id, message.received_at.0, message.hold.is_some(), addresses)
}

async fn body(spool: &Spool, content: &[u8]) -> NewBody {
    let mut body = spool.body();
    body.write(content.to_vec()).await.unwrap();
    body.finish().await.unwrap()
}

async fn take(spool: &mut Option<Spool>, config: &SpoolConfig, model: &mut Model, step: Action) {
    let open = spool.clone().unwrap();
    match step {
        Action::Insert { recipients, large, held } => {
            let (mut message, content) = model.new_message(&recipients, large, held);
            message.body = body(&open, &content).await;
            let given = given(&message);
            let queued = open.insert(message).await.unwrap();
            model.add(&queued, &given, content);
        }
        Action::InsertAgain(index) => {
            let Some(queue_id) = model.pick(index) else { return };
            let (mut message, content) = model.new_message(&[0], true, false);
            message.id = model.messages[&queue_id].id;
            message.body = body(&open, &content).await;
            let queued = open.insert(message).await.unwrap();
            let recipients = model.messages[&queue_id].recipients.keys().copied().collect();
            assert_eq!(queued, Queued { queue_id, recipients, duplicate: true });
        }
        Action::Record { outcomes, notice } => {
            let all: Vec<RecipientId> = model
                .messages
                .values()
                .flat_map(|message| message.recipients.keys().copied())
                .collect();
            if all.is_empty() {
                return;
            }
            let mut recorded = Vec::new();
            for (index, deferred) in outcomes {
                let id = *index.get(&all);
                let what = deferred.map_or(Update::Done, |by| Update::Deferred {
                    next_try: Timestamp(LATER + by),
                    reply: Reply::new(450, status::MAILBOX, "later"),
                    remote: None,
                });
                recorded.push(RecipientUpdate { recipient: id, what });
                // The same recipient may come twice; once done it is gone.
                let Some(message) = model.messages.get_mut(&id.message()) else { continue };
                match deferred {
                    None => drop(message.recipients.remove(&id)),
                    Some(by) => {
                        if let Some(recipient) = message.recipients.get_mut(&id) {
                            recipient.next_try = LATER + by;
                            recipient.attempts += 1;
                        }
                    }
                }
                if message.recipients.is_empty() {
                    model.messages.remove(&id.message());
                }
            }
            let mut notices = Vec::new();
            let mut expected = Vec::new();
            if notice {
                let (mut message, content) = model.new_message(&[1], false, false);
                message.body = content.clone().into();
                expected.push((given(&message), content));
                notices.push(message);
            }
            let queued = open.record(recorded, notices).await.unwrap();
            assert_eq!(queued.len(), expected.len());
            for (queued, (given, content)) in queued.iter().zip(expected) {
                model.add(queued, &given, content);
            }
        }
        Action::Hold(index) => {
            let Some((selection, messages)) = model.select(index) else { return };
            let count =
                model.change(&messages, |it| std::mem::replace(&mut it.state, "hold") != "hold");
            assert_eq!(open.hold(selection, "held").await.unwrap(), count);
        }
        Action::Release(index) => {
            let Some((selection, messages)) = model.select(index) else { return };
            let count = model
                .change(&messages, |it| std::mem::replace(&mut it.state, "queued") != "queued");
            assert_eq!(open.release(selection).await.unwrap(), count);
        }
        Action::Flush(index) => {
            let Some((selection, messages)) = model.select(index) else { return };
            let late = |it: &ModelRecipient| it.state == "queued" && it.next_try >= LATER;
            let before = Timestamp::now();
            let count = open.flush(selection).await.unwrap();
            let after = Timestamp::now();
            // The clock's time is not the model's to know: it is read back.
            let mut now = None;
            for id in &messages {
                let loaded = open.load(*id, None).await.unwrap().unwrap();
                for (loaded, kept) in
                    loaded.recipients.iter().zip(model.messages[id].recipients.values())
                {
                    if late(kept) {
                        assert!(before <= loaded.next_try && loaded.next_try <= after);
                        now = Some(loaded.next_try.0);
                    }
                }
            }
            let expected = model.change(&messages, |it| {
                let late = late(it);
                if late {
                    it.next_try = now.unwrap();
                }
                late
            });
            assert_eq!(count, expected);
        }
        Action::Delete(index) => {
            let Some((selection, messages)) = model.select(index) else { return };
            assert_eq!(open.delete(selection).await.unwrap(), messages.len() as u64);
            model.messages.retain(|id, _| !messages.contains(id));
        }
        Action::Reopen { clean } => {
            if clean {
                open.close().await.unwrap();
            }
            drop(open);
            *spool = None;
            *spool = Some(Spool::open(config).unwrap());
        }
    }
}

/// Everything that can be read is as the model has it.
async fn compare(spool: &Spool, model: &Model) {
    let mut listed = Vec::new();
    loop {
        let page = spool.list(listed.last().map(|last: &Summary| last.queue_id), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), model.messages.len());
    let mut queued: BTreeMap<&str, Vec<(u64, RecipientId)>> = BTreeMap::new();
    for (summary, (queue_id, message)) in listed.iter().zip(&model.messages) {
        assert_eq!(summary.queue_id, *queue_id);
        let recipients: Vec<_> = summary
            .recipients
            .iter()
            .map(|it| (it.address.as_str(), it.state.as_str(), it.next_try.0, it.attempts))
            .collect();
        let expected: Vec<_> = message
            .recipients
            .values()
            .map(|it| (it.address.as_str(), it.state, it.next_try, it.attempts))
            .collect();
        assert_eq!(recipients, expected);
        let loaded = spool.load(*queue_id, None).await.unwrap().unwrap();
        assert_eq!(loaded.id, message.id);
        let read = loaded.body.open().await.unwrap().read_at(0, usize::MAX).await.unwrap();
        assert!(read == message.body);
        for (id, recipient) in &message.recipients {
            if recipient.state == "queued" {
                let (_, domain) = recipient.address.split_once('@').unwrap();
                queued.entry(domain).or_default().push((recipient.next_try, *id));
            }
        }
    }
    for recipients in queued.values_mut() {
        recipients.sort_unstable();
    }
    let destinations: Vec<_> = spool
        .destinations()
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.domain, it.next_try.0))
        .collect();
    let expected: Vec<_> =
        queued.iter().map(|(domain, ids)| ((*domain).to_owned(), ids[0].0)).collect();
    assert_eq!(destinations, expected);
    for domain in DOMAINS {
        let expected = queued.remove(domain).unwrap_or_default();
        let now = Timestamp(LATER - 1);
        let (mut found, mut after) = (Vec::new(), None);
        let next = loop {
            let page = spool.due(domain, now, after, 2).await.unwrap();
            found.extend(page.recipients.iter().map(|it| (it.next_try.0, it.id)));
            match page.recipients.last() {
                Some(last) if page.next.is_some_and(|next| next <= now) => {
                    after = Some((last.next_try, last.id));
                }
                _ => break page.next,
            }
        };
        let due = expected.partition_point(|(next_try, _)| *next_try < LATER);
        assert_eq!(found, expected[..due]);
        assert_eq!(next, expected.get(due).map(|(next_try, _)| Timestamp(*next_try)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_does_as_the_model(steps in vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut spool = Some(Spool::open(&config).unwrap());
            let mut model = Model::default();
            for step in steps {
                take(&mut spool, &config, &mut model, step).await;
                compare(spool.as_ref().unwrap(), &model).await;
            }
            // What has gone has left no file.
            spool.take().unwrap().close().await.unwrap();
            let large = model.messages.values().filter(|message| message.body.len() > SMALL_BODY).count();
            prop_assert_eq!(std::fs::read_dir(directory.path().join("bodies")).unwrap().count(), large);
            Ok(())
        })?;
    }
}
