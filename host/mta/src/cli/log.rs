//! The log: lines go to a buffer, from which one thread writes them to standard error.
//!
//! Whoever logs never waits: what reads the log may stall, and mail goes on. While it does, lines
//! that find the buffer full are dropped, and their count is the first line after the gap. Lines
//! are written some milliseconds late, many at once: to wake the writer for each would cost more
//! than all else about it.

mod format;

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::out;
use crate::config::{self, LogFormat};
use format::{JsonLine, TextLine};

/// Octets that may wait, and as many may be on their way out: some thousand lines, which is a
/// second or two of a busy server.
const WAITING: usize = 1 << 20;
/// How long lines gather before they are written together.
const GATHER: Duration = Duration::from_millis(20);
/// How long the end of the program waits for whoever reads.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log of the program. Cheap to clone. Dropping it writes nothing: see [`Log::finish`].
#[derive(Clone)]
pub struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// There is something to write.
    come: Condvar,
    /// All is written.
    gone: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    dropped: u64,
    /// The writer is at work; otherwise it waits to be woken.
    busy: bool,
}

impl Log {
    /// Sends to standard error what is at least as important as `level`, panics too.
    pub fn start(settings: &config::Log, level: tracing::Level) -> Self {
        let log = Self::to(io::stderr());
        let builder = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::from_level(level))
            .with_writer(log.clone())
            .with_ansi(io::stderr().is_terminal());
        match settings.format {
            LogFormat::Json => builder.json().event_format(JsonLine::new()).init(),
            LogFormat::Text => builder.event_format(TextLine).init(),
        }
        // The usual hook would wait for whoever reads.
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        log
    }

    fn to(mut output: impl Write + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let shared = log.0.clone();
        let writer = move || shared.write(&mut output);
        if let Err(error) = thread::Builder::new().name("log".to_owned()).spawn(writer) {
            // Lines wait for nobody then. Whoever starts the program should know.
            out::note(format_args!("facteur: there is no thread for the log: {error}"));
        }
        log
    }

    /// Takes a line, or counts it if there is no room.
    fn take(&self, line: &[u8]) {
        let mut lines = self.0.lines.lock();
        // After a gap comes its count, before any other line.
        if lines.dropped > 0 || lines.waiting.len() + line.len() > WAITING {
            lines.dropped += 1;
        } else {
            lines.waiting.extend_from_slice(line);
        }
        if !std::mem::replace(&mut lines.busy, true) {
            self.0.come.notify_one();
        }
    }

    /// Writes what waits, and these last words if there are any; not for longer than whoever reads
    /// may be waited for.
    pub fn finish(&self, last_words: &str) {
        if !last_words.is_empty() {
            self.take(format!("{}\n", last_words.trim_end()).as_bytes());
        }
        let deadline = Instant::now() + LAST_WORDS;
        let mut lines = self.0.lines.lock();
        while lines.busy && !self.0.gone.wait_until(&mut lines, deadline).timed_out() {}
    }
}

impl Shared {
    fn write(&self, output: &mut impl Write) {
        let mut taken = Vec::new();
        loop {
            let dropped = {
                let mut lines = self.lines.lock();
                if lines.waiting.is_empty() && lines.dropped == 0 {
                    lines.busy = false;
                    self.gone.notify_all();
                    self.come.wait_while(&mut lines, |lines| !lines.busy);
                    drop(lines);
                    thread::sleep(GATHER);
                    lines = self.lines.lock();
                }
                taken.clear();
                std::mem::swap(&mut taken, &mut lines.waiting);
                std::mem::take(&mut lines.dropped)
            };
            if dropped > 0 {
                tracing::warn!(dropped, "lines of the log were dropped: it isn't read");
            }
            put(output, &taken);
        }
    }
}

/// Writes all of it, as long as anybody may read it.
fn put(output: &mut impl Write, mut rest: &[u8]) {
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return,
            Ok(length) => rest = &rest[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever started the program may have left it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(GATHER),
            // Nobody reads it any more.
            Err(_) => return,
        }
    }
}

/// One line; the formatter writes it at once.
pub struct Line(Log);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes a write when it is let, and shows it.
    struct Reader(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Reader {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(octets.to_vec()).map_err(io::Error::other)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        let (go, gate) = mpsc::channel();
        let (show, seen) = mpsc::channel();
        let log = Log::to(Reader(gate, show));
        log.take(b"first\n");
        while !log.0.lines.lock().waiting.is_empty() {
            thread::yield_now();
        }
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let (room, lines) = (WAITING / line.len(), 10 * WAITING / line.len());
        for _ in 0..lines {
            log.take(&line);
        }
        assert_eq!(log.0.lines.lock().dropped, (lines - room) as u64);
        assert_eq!(log.0.lines.lock().waiting.len(), room * line.len());
        let start = Instant::now();
        log.finish("");
        assert!(start.elapsed() < LAST_WORDS * 5, "the end waits for nobody for long");
        // Once it reads again, lines are taken again.
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        assert_eq!(seen.recv().unwrap(), b"first\n");
        assert_eq!(seen.recv().unwrap().len(), room * line.len());
        log.take(b"again\n");
        assert_eq!(seen.recv().unwrap(), b"again\n");
    }

    #[test]
    fn what_was_logged_before_the_end_is_written() {
        let (go, gate) = mpsc::channel();
        let (show, seen) = mpsc::channel();
        let log = Log::to(Reader(gate, show));
        // Lines are gathered into one write, or into as many as there are.
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        log.take(b"one\n");
        log.take(b"two\n");
        log.finish("three");
        let written: Vec<u8> = seen.try_iter().flatten().collect();
        assert_eq!(written, b"one\ntwo\nthree\n");
    }
}
