//! Answers what an operator asks: on the store itself, and with what only the running program knows
//! where there is one.

use std::io;

use facteur_spool::{QueueId, Selection, Spool, SpoolError};

use super::plugins;
use super::protocol::{Answer, Request, Sink, Which};
use super::reload::Reloader;
use crate::decisions;
use crate::receive::mta::{Mta, told_to_stop};
use crate::simulation::{self, Wanted};

const NO_SERVER: &str = "no server runs with this configuration: `facteur serve` starts one";
/// Messages in one page of a listing.
const PAGE: usize = 500;

/// Answers a request: on the store alone, or with the running program.
///
/// # Errors
/// Those of the sink.
pub async fn answer(
    spool: &Spool,
    running: Option<(&Mta, &Reloader)>,
    request: Request,
    sink: &mut impl Sink,
) -> io::Result<()> {
    let result = match request {
        Request::List => return list(spool, sink).await,
        Request::Show { id } => return show(spool, &id, sink).await,
        Request::Plugins => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            let entries = plugins::entries(&mta.in_force.load());
            for entry in entries {
                sink.put(Answer::Plugin(Box::new(entry))).await?;
            }
            return Ok(());
        }
        Request::Reload => {
            let Some((_, reloader)) = running else {
                return sink.put(failed(NO_SERVER)).await;
            };
            let answer = match reloader.reload().await {
                Ok(()) => Answer::Done,
                Err(errors) => Answer::Failed { errors },
            };
            return sink.put(answer).await;
        }
        Request::Explain { id } => {
            if let Some((mta, _)) = running {
                mta.decisions.flush().await;
            }
            return explain(spool, id, sink).await;
        }
        Request::Try(dialogue) => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            let answer = match simulation::simulate(&mta.in_force.load_full(), dialogue).await {
                Ok(record) => Answer::Decided(Box::new(record)),
                Err(reason) => failed(&reason),
            };
            return sink.put(answer).await;
        }
        Request::Record(wanted) => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            return record(mta, wanted, sink).await;
        }
        Request::Flush(which) => change(spool, running, which, Change::Flush).await,
        Request::Hold(which) => change(spool, running, which, Change::Hold).await,
        Request::Release(which) => change(spool, running, which, Change::Release).await,
        Request::Delete(which) => change(spool, running, which, Change::Delete).await,
    };
    sink.put(result.unwrap_or_else(|reason| failed(&reason))).await
}

pub(super) fn failed(reason: &(impl ToString + ?Sized)) -> Answer {
    Answer::Failed { errors: vec![reason.to_string()] }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Flush,
    Hold,
    Release,
    Delete,
}

async fn change(
    spool: &Spool,
    running: Option<(&Mta, &Reloader)>,
    which: Which,
    change: Change,
) -> Result<Answer, String> {
    let message = which.id.as_deref().map(parse).transpose()?;
    let selection = message.map_or(Selection::All, Selection::Message);
    let done: Result<u64, SpoolError> = match change {
        Change::Flush => spool.flush(selection).await,
        Change::Hold => spool.hold(selection, "held by the operator").await,
        Change::Release => spool.release(selection).await,
        Change::Delete => spool.delete(selection).await,
    };
    let count = done.map_err(|error| error.to_string())?;
    if let (0, Some(message)) = (count, message) {
        // What is due already can't be made so, and is there all the same.
        let there = change == Change::Flush
            && spool.load(message, None).await.is_ok_and(|found| found.is_some());
        if !there {
            return Err(format!("there is no message {message} that this applies to"));
        }
    }
    if let Some((mta, _)) = running {
        match change {
            Change::Flush | Change::Release => mta.queue.rescan().await,
            Change::Hold | Change::Delete => mta.queue.withdraw(message).await,
        }
    }
    Ok(Answer::Count { count })
}

fn parse(id: &str) -> Result<QueueId, String> {
    id.parse().map_err(|error| format!("{id}: {error}"))
}

async fn list(spool: &Spool, sink: &mut impl Sink) -> io::Result<()> {
    let mut after = None;
    loop {
        let page = match spool.list(after, PAGE).await {
            Ok(page) => page,
            Err(error) => return sink.put(failed(&error)).await,
        };
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.queue_id);
        for summary in page {
            sink.put(Answer::Message(summary.into())).await?;
        }
    }
}

async fn show(spool: &Spool, id: &str, sink: &mut impl Sink) -> io::Result<()> {
    let queue_id = match parse(id) {
        Ok(queue_id) => queue_id,
        Err(error) => return sink.put(failed(&error)).await,
    };
    let after = queue_id.number().checked_sub(1).and_then(QueueId::new);
    let page = match spool.list(after, 1).await {
        Ok(page) => page,
        Err(error) => return sink.put(failed(&error)).await,
    };
    let Some(summary) = page.into_iter().next().filter(|summary| summary.queue_id == queue_id)
    else {
        return sink.put(failed(&format!("there is no message {id}"))).await;
    };
    sink.put(Answer::Message(summary.into())).await?;
    match spool.load(queue_id, None).await {
        Ok(Some(message)) => {
            sink.put(Answer::Content {
                text: String::from_utf8_lossy(&message.header).into_owned(),
            })
            .await?;
            let mut reader = message.body.open().await?;
            while let Some(chunk) = reader.next().await? {
                sink.put(Answer::Content { text: String::from_utf8_lossy(&chunk).into_owned() })
                    .await?;
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => sink.put(failed(&error)).await,
    }
}

/// Until the sink fails, which it does when whoever asked is gone, or the program stops.
async fn record(mta: &Mta, wanted: Wanted, sink: &mut impl Sink) -> io::Result<()> {
    let Some(mut reader) = mta.recorder.start(wanted) else {
        return sink
            .put(failed("sessions are being recorded already: one recording at a time"))
            .await;
    };
    tracing::info!(?wanted, "sessions are being recorded");
    // Now the first session may come.
    sink.put(Answer::Done).await?;
    let mut stopping = mta.stopping.clone();
    loop {
        let session = tokio::select! {
            session = reader.sessions.recv() => session,
            () = told_to_stop(&mut stopping) => None,
        };
        let Some(session) = session else { return Ok(()) };
        sink.put(Answer::Recorded(Box::new(session))).await?;
    }
}

async fn explain(spool: &Spool, id: String, sink: &mut impl Sink) -> io::Result<()> {
    let folder = spool.folder().join(decisions::FOLDER);
    let name = id.clone();
    let found = tokio::task::spawn_blocking(move || decisions::find(&folder, &name))
        .await
        .map_err(io::Error::other)?;
    match found {
        Ok(records) if records.is_empty() => {
            let text = format!(
                "nothing is known of {id}: it is no queue id or session of this server, or too \
                 long ago"
            );
            sink.put(failed(&text)).await
        }
        Ok(records) => {
            for record in records {
                sink.put(Answer::Decided(Box::new(record))).await?;
            }
            Ok(())
        }
        Err(error) => sink.put(failed(&format!("what was decided can't be read: {error}"))).await,
    }
}
