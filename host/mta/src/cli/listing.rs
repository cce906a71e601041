//! The table of `facteur queue list`.

use std::io;

use comfy_table::{ContentArrangement, Table, presets};

use super::out;
use super::render::{Plain, time};
use crate::operate::protocol::{Answer, Sink};

/// A table, printed every so many rows, so that a long queue needs no memory.
#[derive(Default)]
pub(super) struct Listing {
    rows: Vec<Vec<String>>,
    messages: u64,
    octets: u64,
}

/// Rows printed at a time.
const ROWS: usize = 1000;

impl Sink for Listing {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let Answer::Message(entry) = answer else { return Plain.put(answer).await };
        self.messages += 1;
        self.octets += entry.size;
        let sender = if entry.sender.is_empty() { "<>" } else { &entry.sender };
        for (number, recipient) in entry.recipients.iter().enumerate() {
            let why = recipient.last_reply.as_deref().or(entry.reason.as_deref()).unwrap_or("");
            let first = |text: String| if number == 0 { text } else { String::new() };
            self.rows.push(vec![
                first(entry.id.clone()),
                first(time(entry.received_at)),
                first(entry.size.to_string()),
                first(sender.to_owned()),
                recipient.address.clone(),
                recipient.state.clone(),
                why.to_owned(),
            ]);
        }
        if self.rows.len() >= ROWS { self.print() } else { Ok(()) }
    }
}

impl Listing {
    fn print(&mut self) -> io::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["ID", "Arrived", "Octets", "Sender", "Recipient", "State", "Why"]);
        table.add_rows(self.rows.drain(..));
        out::line(table)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.messages == 0 {
            return out::line("The queue is empty.");
        }
        if !self.rows.is_empty() {
            self.print()?;
        }
        out::line(format_args!("{} messages, {} octets.", self.messages, self.octets))
    }
}
