//! The commands, and what each does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::ask::ask;
use super::begin::load;
use super::failure::Failure;
use super::listing::Listing;
use super::render::{Json, Plain, Plugins, Records, time};
use super::{out, passwd, plugins, serve, simulate};
use crate::config::Config;
use crate::decisions;
use crate::operate::protocol::{Request, Which};

/// Where the configuration is looked for.
const DEFAULT_CONFIG: &str = "/etc/facteur/facteur.toml";

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
        /// What the plugins' answers depended on, too.
        #[arg(long)]
        facts: bool,
    },
    /// Play a session to the plugins in force: what would be said, by whom and why. No mail is
    /// queued, no counter moves.
    Try(simulate::Try),
    /// Write sessions down as they are held, to be played again: what was said, decided, and
    /// answered to plugins.
    Record(simulate::Record),
    /// Play recorded sessions to the plugins of another configuration, without network: which
    /// verdicts would change.
    Replay(simulate::Replay),
    /// Look at the plugins.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Load configuration, tables and plugins anew, without losing a session.
    Reload,
    /// Make the entry of a user who may log in, for the table of users.
    Passwd(passwd::Passwd),
    /// Try it out: on 127.0.0.1:2525, with everything below one folder, its configuration too.
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
            load(&arguments.config).and_then(|config| serve::run(config, file, |_| {}))
        }
        Command::Check => load(&arguments.config).and_then(serve::check),
        Command::Queue { command } => {
            load(&arguments.config).and_then(|config| queue(&config, command))
        }
        Command::Explain { id, json, facts } => {
            load(&arguments.config).and_then(|config| explain(&config, id, json, facts))
        }
        Command::Try(session) => {
            load(&arguments.config).and_then(|config| simulate::try_session(config, session))
        }
        Command::Record(wanted) => {
            load(&arguments.config).and_then(|config| simulate::record(&config, &wanted))
        }
        Command::Replay(replay) => return simulate::replay(&replay),
        Command::Plugin { command: PluginCommand::List { json } } => {
            load(&arguments.config).and_then(|config| list_plugins(&config, json))
        }
        Command::Reload => {
            load(&arguments.config).and_then(|config| ask(&config, &Request::Reload, &mut Plain))
        }
        Command::Passwd(wanted) => passwd::make(&wanted),
        Command::Demo { folder } => serve::try_out(&folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if out::is_unread() => ExitCode::SUCCESS,
        Err(failure) => failure.told(ExitCode::FAILURE),
    }
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

fn explain(config: &Config, id: String, json: bool, facts: bool) -> Result<(), Failure> {
    let request = Request::Explain { id };
    if json {
        return ask(config, &request, &mut Json);
    }
    let mut records = Records::default();
    ask(config, &request, &mut records)?;
    Ok(out::text(decisions::tell(&records.0, facts, time))?)
}

fn list_plugins(config: &Config, json: bool) -> Result<(), Failure> {
    if json {
        return ask(config, &Request::Plugins, &mut Json);
    }
    let mut all = Plugins::default();
    ask(config, &Request::Plugins, &mut all)?;
    Ok(out::text(plugins::table(&all.0, time))?)
}
