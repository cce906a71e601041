//! clamd's protocol: one session (IDSESSION), and in it one message after another by INSTREAM.
//!
//! "Clean" is only ever said where all of the message was handed over and clamd then said so, word
//! for word. What can't be understood, comes too early or belongs to another message is a failure,
//! after which the session is of no use.

use facteur_policy::{Content, Unavailable};
use memchr::memchr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::config::endpoint::Stream;

/// How much of the message is read and sent at once: this is all of it that is ever in memory.
pub(super) const CHUNK: usize = 128 * 1024;
/// The longest answer that is read: the name of a signature and some words.
const ANSWER: usize = 1024;
/// The longest name of a signature that is told.
const SIGNATURE: usize = 256;
/// Messages of one session: the numbers of the answers stay small, and a server that was restarted
/// gets its share again.
const SCANS: u32 = 1_000;

/// What clamd said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It saw the whole message and found nothing.
    Clean,
    /// It found this.
    Infected(String),
    /// It takes less than this.
    TooLarge,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The message can't be read: no other server helps.
    Content(Unavailable),
    /// The server's.
    Server(String),
}

impl Failure {
    fn lost(error: &std::io::Error) -> Self {
        Self::Server(format!("the connection was lost: {error}"))
    }
}

/// One connection.
pub struct Connection {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    /// Messages so far: their answers bear these numbers.
    scans: u32,
    broken: bool,
}

impl Connection {
    /// A connection just made. Nothing is sent before the first message.
    pub fn new(stream: Box<dyn Stream>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader, writer, scans: 0, broken: false }
    }

    /// Whether it can carry another message.
    pub fn is_reusable(&self) -> bool {
        !self.broken && self.scans < SCANS
    }

    /// Hands over a message and reads what clamd says. It reads while it writes: clamd answers
    /// before the end where it has seen enough, and takes no more then.
    ///
    /// # Errors
    /// There is no answer to rely on.
    pub async fn scan(&mut self, content: &dyn Content) -> Result<Said, Failure> {
        let first = self.scans == 0;
        self.scans += 1;
        // Until the answer is there, whatever way this ends.
        self.broken = true;
        let mut answer = std::pin::pin!(read_answer(&mut self.reader));
        let (line, whole) = tokio::select! {
            biased;
            written = write_message(&mut self.writer, content, first) => match written {
                Ok(()) => (answer.await?, true),
                Err(Written::Content(error)) => return Err(Failure::Content(error)),
                // What it said before it closed is still there to be read.
                Err(Written::Lost) => (answer.await?, false),
            },
            early = &mut answer => (early?, false),
        };
        let said = understand(&line, self.scans)?;
        if !whole && said == Said::Clean {
            return Err(Failure::Server(
                "it called the message clean before it had seen all of it".to_owned(),
            ));
        }
        self.broken = !whole || said == Said::TooLarge;
        Ok(said)
    }
}

/// Why a message isn't all handed over.
enum Written {
    Content(Unavailable),
    Lost,
}

async fn write_message(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    content: &dyn Content,
    first: bool,
) -> Result<(), Written> {
    let mut buffer: Vec<u8> = Vec::new();
    if first {
        buffer.extend_from_slice(b"zIDSESSION\0");
    }
    buffer.extend_from_slice(b"zINSTREAM\0");
    let size = content.size();
    let mut offset = 0;
    while offset < size {
        // A read of the page cache: the message was written a moment ago.
        let chunk = content.read(offset, CHUNK).map_err(Written::Content)?;
        if chunk.is_empty() {
            return Err(Written::Content(Unavailable(
                "the message is shorter than it was".to_owned(),
            )));
        }
        offset += chunk.len() as u64;
        // At most CHUNK, which fits.
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(&chunk);
        if offset < size {
            writer.write_all(&buffer).await.map_err(|_| Written::Lost)?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&0_u32.to_be_bytes());
    writer.write_all(&buffer).await.map_err(|_| Written::Lost)
}

/// Reads up to the NUL that ends an answer.
async fn read_answer(reader: &mut ReadHalf<Box<dyn Stream>>) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let mut space = [0; ANSWER];
    loop {
        let count = reader.read(&mut space).await.map_err(|error| Failure::lost(&error))?;
        if count == 0 {
            return Err(Failure::Server("it hung up without an answer".to_owned()));
        }
        line.extend_from_slice(&space[..count]);
        if let Some(end) = memchr(0, &line) {
            if end + 1 < line.len() {
                return Err(Failure::Server("it said more than was asked".to_owned()));
            }
            line.truncate(end);
            return Ok(line);
        }
        if line.len() > ANSWER {
            return Err(Failure::Server("its answer has no end".to_owned()));
        }
    }
}

/// What a line says about the message with this number.
fn understand(line: &[u8], number: u32) -> Result<Said, Failure> {
    let text: String =
        String::from_utf8_lossy(line).chars().map(|c| if is_plain(c) { c } else { '?' }).collect();
    let odd = || Failure::Server(format!("it said {text:?}"));
    let text = text.strip_prefix(&format!("{number}: ")).ok_or_else(odd)?;
    if text == "stream: OK" {
        return Ok(Said::Clean);
    }
    if text == "INSTREAM size limit exceeded. ERROR" {
        return Ok(Said::TooLarge);
    }
    let found = text
        .strip_prefix("stream: ")
        .and_then(|rest| rest.strip_suffix(" FOUND"))
        .filter(|name| !name.is_empty());
    let name = found.ok_or_else(odd)?;
    Ok(Said::Infected(name.chars().take(SIGNATURE).collect()))
}

fn is_plain(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_for_clean_mean_clean() {
        let said = |line: &str| understand(line.as_bytes(), 2);
        assert_eq!(said("2: stream: OK").unwrap(), Said::Clean);
        assert_eq!(
            said("2: stream: Eicar-Test FOUND").unwrap(),
            Said::Infected("Eicar-Test".to_owned())
        );
        assert_eq!(
            said("2: stream: a\r\nb\u{e9} FOUND").unwrap(),
            Said::Infected("a??b?".to_owned())
        );
        assert_eq!(said("2: INSTREAM size limit exceeded. ERROR").unwrap(), Said::TooLarge);
        let odd = [
            "",
            "stream: OK",
            "1: stream: OK",
            "2: stream: OK ",
            "2: stream: ok",
            "2: OK",
            "2: stream:  FOUND",
            "2: ERROR",
        ];
        for line in odd {
            assert!(said(line).is_err(), "{line}");
        }
        let Said::Infected(name) = said(&format!("2: stream: {} FOUND", "x".repeat(900))).unwrap()
        else {
            panic!()
        };
        assert_eq!(name.len(), SIGNATURE);
    }
}
