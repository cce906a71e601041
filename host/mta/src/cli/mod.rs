//! The command line.

pub mod demo;
mod log;
mod out;
mod rehearse;

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use facteur_spool::{Spool, State};

use crate::config::{self, Config};
use crate::decisions::{self, Record};
use crate::operate::admin::{self, Answer, Entry, Request, Sink, Which};
use crate::operate::plugins::{self, PluginEntry};
use crate::operate::serve;
use log::Log;

/// Where the configuration is looked for.
const DEFAULT_CONFIG: &str = "/etc/facteur/facteur.toml";

/// How long what runs on threads of its own may still take when all else has ended.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// A mail transfer agent whose policy is WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take mail in and deliver it, until SIGTERM or SIGINT.
    Serve,
    /// Say everything that is wrong with the configuration, its tables and its plugins.
    Check,
    /// Look at the queue, and change it.
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// Tell what was decided about a message or in a session: who was asked, what they answered,
    /// what came of it.
    Explain {
        /// A queue id, or the name of a session from the log.
        id: String,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Play a session to the plugins in force: what would be said, by whom and why. No mail is
    /// queued, no counter moves.
    Try(rehearse::Try),
    /// Write sessions down as they are held, to be played again: what was said, decided, and
    /// answered to plugins.
    Record(rehearse::Record),
    /// Play recorded sessions to the plugins of another configuration, without network: which
    /// verdicts would change.
    Replay(rehearse::Replay),
    /// Look at the plugins.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Load configuration, tables and plugins anew, without losing a session.
    Reload,
    /// Try it out: an embedded configuration, on 127.0.0.1:2525, with everything below one folder.
    Demo {
        /// The folder; made if it isn't there.
        #[arg(default_value = "target/demo")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Every message, with why it is still here.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// One message with its content.
    Show {
        /// Its queue id.
        id: String,
    },
    /// Try messages now.
    Flush(Messages),
    /// Keep messages until they are released.
    Hold(Messages),
    /// Put held messages back. One in quarantine only by its own id.
    Release(Messages),
    /// Remove messages; nobody is told.
    Delete(Messages),
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Those in force: what each is, may do and use, and how it has been doing since its load.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true)]
struct Messages {
    /// A queue id.
    id: Option<String>,
    /// Every message.
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

impl From<Messages> for Which {
    fn from(messages: Messages) -> Self {
        Self { id: messages.id }
    }
}

/// Runs the command that the arguments name. 0: done. 1: it failed. 2: the command line is wrong.
/// (`replay` has codes of its own.)
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve => {
            let file = Some(&*arguments.config);
            load(&arguments.config).and_then(|config| run(config, file, |_| {}))
        }
        Command::Check => load(&arguments.config).and_then(check),
        Command::Queue { command } => {
            load(&arguments.config).and_then(|config| queue(&config, command))
        }
        Command::Explain { id, json } => {
            load(&arguments.config).and_then(|config| explain(&config, id, json))
        }
        Command::Try(session) => {
            load(&arguments.config).and_then(|config| rehearse::try_session(config, session))
        }
        Command::Record(wanted) => {
            load(&arguments.config).and_then(|config| rehearse::record(&config, &wanted))
        }
        Command::Replay(replay) => return rehearse::replay(&replay),
        Command::Plugin { command: PluginCommand::List { json } } => {
            load(&arguments.config).and_then(|config| list_plugins(&config, json))
        }
        Command::Reload => {
            load(&arguments.config).and_then(|config| ask(&config, &Request::Reload, &mut Plain))
        }
        Command::Demo { folder } => try_out(&folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if out::is_unread() => ExitCode::SUCCESS,
        Err(failure) => failure.told(ExitCode::FAILURE),
    }
}

/// What the person at the terminal is told; nothing where that was told already.
struct Failure(String);

impl Failure {
    /// Says it, unless it is that nobody reads what is printed; ends with this code.
    fn told(&self, code: ExitCode) -> ExitCode {
        if !out::is_unread() && !self.0.is_empty() {
            out::note(self.0.trim_end());
        }
        code
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        // Where several things are wrong, each has a line.
        Self(format!("facteur: {error}").replace('\n', "\nfacteur: "))
    }
}

fn told(errors: &[config::ConfigError]) -> Failure {
    Failure(config::render(errors, io::stderr().is_terminal()))
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|errors| told(&errors))
}

fn check(config: Config) -> Result<(), Failure> {
    let log = Log::start(&config.log, tracing::Level::WARN);
    let checked = runtime()?.block_on(serve::check(config));
    log.finish("");
    checked?;
    Ok(out::line("all is well")?)
}

/// Serves until it is told to stop, and waits no longer than [`LAST_PATIENCE`] for what then still
/// computes on a thread of its own, as a component that is compiled for a reload: nothing is lost
/// with it. Why it ended otherwise is the last line of the log, rather than something that would
/// wait for whoever reads it.
fn run(
    config: Config,
    file: Option<&Path>,
    ready: impl FnOnce(&[std::net::SocketAddr]),
) -> Result<(), Failure> {
    let log = Log::start(&config.log, config.log.level);
    let served = runtime().map_err(Failure::from).and_then(|runtime| {
        let ended = runtime.block_on(serve::serve(config, file, ready));
        runtime.shutdown_timeout(LAST_PATIENCE);
        ended.map_err(Failure::from)
    });
    log.finish(served.as_ref().err().map_or("", |Failure(why)| why));
    served.map_err(|_| Failure(String::new()))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn try_out(folder: &Path) -> Result<(), Failure> {
    let prepared =
        demo::prepare(folder).map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
    let (folder, config) = prepared;
    let config = config.map_err(|errors| told(&errors))?;
    let ready = |addresses: &[std::net::SocketAddr]| {
        if let Some(address) = addresses.first() {
            // The server runs on, whoever reads this.
            let _ = out::line(demo::what_to_try(&folder, *address));
        }
    };
    run(config, None, ready)
}

fn queue(config: &Config, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::List { json: true } => ask(config, &Request::List, &mut Json),
        QueueCommand::List { json: false } => {
            let mut listing = Listing::default();
            ask(config, &Request::List, &mut listing)?;
            Ok(listing.finish()?)
        }
        QueueCommand::Show { id } => ask(config, &Request::Show { id }, &mut Plain),
        QueueCommand::Flush(which) => ask(config, &Request::Flush(which.into()), &mut Plain),
        QueueCommand::Hold(which) => ask(config, &Request::Hold(which.into()), &mut Plain),
        QueueCommand::Release(which) => ask(config, &Request::Release(which.into()), &mut Plain),
        QueueCommand::Delete(which) => ask(config, &Request::Delete(which.into()), &mut Plain),
    }
}

fn explain(config: &Config, id: String, json: bool) -> Result<(), Failure> {
    let request = Request::Explain { id };
    if json {
        return ask(config, &request, &mut Json);
    }
    let mut story = Story::default();
    ask(config, &request, &mut story)?;
    Ok(out::text(decisions::tell(&story.0, time))?)
}

/// What was decided, gathered to be told as a whole.
#[derive(Default)]
struct Story(Vec<Record>);

impl Sink for Story {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Decided(record) => {
                self.0.push(*record);
                Ok(())
            }
            other => Plain.put(other).await,
        }
    }
}

fn list_plugins(config: &Config, json: bool) -> Result<(), Failure> {
    if json {
        return ask(config, &Request::Plugins, &mut Json);
    }
    let mut all = Plugins::default();
    ask(config, &Request::Plugins, &mut all)?;
    Ok(out::text(plugins::table(&all.0, time))?)
}

/// The plugins, gathered for one table.
#[derive(Default)]
struct Plugins(Vec<PluginEntry>);

impl Sink for Plugins {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Plugin(entry) => {
                self.0.push(*entry);
                Ok(())
            }
            other => Plain.put(other).await,
        }
    }
}

/// Asks the running program; where there is none, the store itself.
fn ask(config: &Config, request: &Request, sink: &mut (impl Sink + Send)) -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.block_on(async {
        if admin::ask(&config.admin.socket, request, sink).await? {
            return Ok(());
        }
        if !config.spool.path.exists() {
            return Err(Failure(format!(
                "facteur: there is no spool at {}",
                config.spool.path.display()
            )));
        }
        let spool = Spool::open(&serve::spool_settings(config))?;
        let answered = admin::answer(&spool, None, request.clone(), sink).await;
        // Also where nobody reads the answer: the end is a clean one.
        spool.close().await?;
        Ok(answered?)
    })
}

/// Answers as text, as they come.
struct Plain;

impl Sink for Plain {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Message(entry) => out::line(describe(&entry)),
            Answer::Content { text } => out::text(text),
            Answer::Count { count: 1 } => out::line("1 message"),
            Answer::Count { count } => out::line(format_args!("{count} messages")),
            Answer::Decided(record) => out::text(decisions::tell(&[*record], time)),
            Answer::Recorded(session) => out::line(session.dialogue.session),
            Answer::Plugin(entry) => out::text(plugins::table(&[*entry], time)),
            Answer::Done => out::line("done"),
            Answer::Failed { errors } => Err(io::Error::other(errors.join("\n"))),
        }
    }
}

/// Answers as JSON, a line each.
struct Json;

impl Sink for Json {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let line = match &answer {
            Answer::Message(entry) => serde_json::to_string(entry),
            Answer::Decided(record) => serde_json::to_string(record),
            Answer::Plugin(entry) => serde_json::to_string(entry),
            _ => return Plain.put(answer).await,
        };
        out::line(line.map_err(io::Error::other)?)
    }
}

/// A table, printed every so many rows, so that a long queue needs no memory.
#[derive(Default)]
struct Listing {
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

    fn finish(mut self) -> io::Result<()> {
        if self.messages == 0 {
            return out::line("The queue is empty.");
        }
        if !self.rows.is_empty() {
            self.print()?;
        }
        out::line(format_args!("{} messages, {} octets.", self.messages, self.octets))
    }
}

fn describe(entry: &Entry) -> String {
    let mut text = String::new();
    let sender = if entry.sender.is_empty() { "<>" } else { &entry.sender };
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "{}  arrived {}  {} octets  from {sender}",
        entry.id,
        time(entry.received_at),
        entry.size
    );
    if let Some(reason) = &entry.reason {
        let quarantine = entry.recipients.iter().any(|one| one.state == State::Quarantine.as_str());
        let _ = writeln!(text, "  {}: {reason}", if quarantine { "in quarantine" } else { "held" });
    }
    for one in &entry.recipients {
        let why = one.last_reply.as_deref().unwrap_or("not tried yet");
        let remote = one.remote.as_deref().map(|host| format!(" ({host})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {}  {}  tried {} times, next {}: {why}{remote}",
            one.address,
            one.state,
            one.attempts,
            time(one.next_try)
        );
    }
    let left = entry.recipient_count.saturating_sub(entry.recipients.len() as u64);
    if left > 0 {
        let _ = writeln!(text, "  and {left} more");
    }
    text
}

fn time(milliseconds: u64) -> String {
    let moment =
        i64::try_from(milliseconds).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(
        || "?".into(),
        |moment| {
            moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}
