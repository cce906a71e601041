//! `facteur try`, `facteur record`, `facteur replay`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use facteur_policy::{Policy, Services, Taped};
use facteur_smtp::ReversePath;
use facteur_spool::Timestamp;

use super::begin::{load, runtime};
use super::failure::Failure;
use super::out;
use super::render::{Json, Plain, time};
use crate::config::Config;
use crate::operate::protocol::{Answer, Request, Sink};
use crate::operate::{client, serve};
use crate::receive::missing;
use crate::simulation::{self, Dialogue, Extent, Part, Recorded, Redaction, Summary, Wanted, What};
use crate::snapshot::{self, Purpose, Snapshot};

/// The client's port in a simulation, which says nothing.
const PORT: u16 = 25_000;

#[derive(Debug, clap::Args)]
pub struct Try {
    /// The client's IP address.
    #[arg(long)]
    client: IpAddr,
    /// What it says at EHLO.
    #[arg(long, default_value = "client.example")]
    helo: String,
    /// It says HELO instead.
    #[arg(long)]
    no_esmtp: bool,
    /// Who it has proved to be.
    #[arg(long)]
    login: Option<String>,
    /// The sender; "" is the null sender.
    #[arg(long)]
    from: String,
    /// A recipient; may be given several times.
    #[arg(long, required = true)]
    to: Vec<String>,
    /// The listener that it comes to. Default: the first of the configuration.
    #[arg(long, default_value = "")]
    listener: String,
    /// A JSON object in place of text.
    #[arg(long)]
    json: bool,
    /// The message, as a file. Without one the session ends at DATA.
    message: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Record {
    /// Where to: one JSON object a line. "-": to the terminal.
    file: PathBuf,
    /// Ends after so many sessions.
    #[arg(long)]
    sessions: Option<u64>,
    /// Ends after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Sessions of a hundred.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    share: u8,
    /// How much of each message: what isn't kept can't be looked at again.
    #[arg(long, value_enum, default_value_t = Extent::Headers)]
    content: Extent,
    /// Replaces the local parts of addresses.
    #[arg(long)]
    redact: bool,
}

#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The configuration whose plugins are asked.
    #[arg(long)]
    with: PathBuf,
    /// What `facteur record` wrote.
    file: PathBuf,
}

/// Plays the session to the running server; where there is none, to what it would load.
pub fn try_session(config: Config, wanted: Try) -> Result<(), Failure> {
    let mut said = vec![
        What::Connect,
        What::Hello { name: wanted.helo, esmtp: !wanted.no_esmtp },
        What::Mail {
            sender: Some(wanted.from.clone()).filter(|from| !from.is_empty()),
            size: None,
            utf8: false,
        },
    ];
    said.extend(wanted.to.into_iter().map(|to| What::Rcpt { to }));
    said.push(What::Data);
    if let Some(path) = &wanted.message {
        let bytes =
            fs::read(path).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
        // As a session would: a program of this machine's gets the fields that it lacks.
        let is_local = wanted.client.to_canonical().is_loopback();
        let sender: ReversePath = wanted.from.parse().ok();
        let part = Part::received(&bytes, |missing| {
            if is_local {
                missing::fields(missing, sender.as_ref(), &config.hostname)
            } else {
                Ok(Bytes::new())
            }
        });
        said.push(What::Message(part.map_err(|reply| Failure(reply.to_string()))?));
    }
    let dialogue = Dialogue {
        session: "try".into(),
        time: Timestamp::now().0,
        listener: wanted.listener,
        client: SocketAddr::new(wanted.client, PORT),
        login: wanted.login,
        said: said.into_iter().map(Into::into).collect(),
    };
    runtime()?.block_on(async {
        let mut sink = Told { json: wanted.json };
        if client::ask(&config.admin.socket, &Request::Try(dialogue.clone()), &mut sink).await? {
            return Ok(());
        }
        out::note("facteur: no server runs: counters are taken as empty");
        let snapshot = offline(config).await?;
        let record = simulation::simulate(&snapshot, dialogue).await.map_err(Failure)?;
        sink.put(Answer::Decided(Box::new(record))).await?;
        Ok(())
    })
}

async fn offline(config: Config) -> Result<Snapshot, Failure> {
    let runtime = serve::runtime(&config)?;
    let shared = serve::shared(&config, None, serve::DNS_ALONE)?;
    let snapshot = Snapshot::load(config, &runtime, &shared, None, Purpose::Check).await;
    snapshot.map_err(|errors| Failure(errors.join("\n")))
}

struct Told {
    json: bool,
}

impl Sink for Told {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        if self.json { Json.put(answer).await } else { Plain.put(answer).await }
    }
}

/// Records until there is enough, or somebody ends it.
pub fn record(config: &Config, wanted: &Record) -> Result<(), Failure> {
    let to_terminal = wanted.file == Path::new("-");
    let file = (!to_terminal).then(|| private(&wanted.file)).transpose();
    let mut sink = Recording {
        file: file.map_err(|error| Failure(format!("{}: {error}", wanted.file.display())))?,
        redaction: wanted.redact.then(Redaction::default),
        sessions: 0,
        enough: false,
        most: wanted.sessions.unwrap_or(u64::MAX),
    };
    let request = Request::Record(Wanted { content: wanted.content, share: wanted.share });
    let time = wanted.seconds.map_or(Duration::MAX, Duration::from_secs);
    let ended = runtime()?.block_on(async {
        tokio::select! {
            asked = client::ask(&config.admin.socket, &request, &mut sink) => asked,
            () = tokio::time::sleep(time) => Ok(true),
            _ = tokio::signal::ctrl_c() => Ok(true),
        }
    });
    match ended {
        Ok(false) => Err(Failure(
            "facteur: no server runs with this configuration: there is nothing to record".into(),
        )),
        Err(error) if !sink.enough => Err(error.into()),
        _ => {
            out::note(format_args!("{} sessions", sink.sessions));
            Ok(())
        }
    }
}

/// An empty file that nobody else may read: it holds mail. One that was there is made so.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let about = file.metadata()?;
    // A device or a pipe is as its owner wants it.
    if about.is_file() && about.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

struct Recording {
    /// None: to the terminal.
    file: Option<File>,
    redaction: Option<Redaction>,
    sessions: u64,
    enough: bool,
    most: u64,
}

impl Sink for Recording {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let Answer::Recorded(session) = answer else {
            return match answer {
                Answer::Done => {
                    out::note("recording: Ctrl-C ends it");
                    Ok(())
                }
                other => Plain.put(other).await,
            };
        };
        let mut session = serde_json::to_value(&session).map_err(io::Error::other)?;
        if let Some(redaction) = &mut self.redaction {
            redaction.redact(&mut session);
        }
        match &mut self.file {
            Some(file) => file.write_all(format!("{session}\n").as_bytes())?,
            None => out::line(session)?,
        }
        self.sessions += 1;
        self.enough = self.sessions >= self.most;
        if self.enough { Err(io::Error::other("enough")) } else { Ok(()) }
    }
}

/// 0: no verdict changes. 1: some do. 2: it can't be played.
pub fn replay(wanted: &Replay) -> ExitCode {
    let played =
        load(&wanted.with).and_then(|config| runtime()?.block_on(play(config, &wanted.file)));
    let shown = played.and_then(|summary| {
        out::line(summary.shown())?;
        Ok(ExitCode::from(u8::from(summary.is_changed())))
    });
    shown.unwrap_or_else(|failure| failure.told(ExitCode::from(2)))
}

async fn play(config: Config, file: &Path) -> Result<Summary, Failure> {
    let place = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", file.display()));
    let mut lines: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| place(&error))?)
    };
    let runtime = serve::runtime(&config)?;
    // No table, no network: all that plugins may know is on the tapes.
    let nothing = Services::of(&Arc::new(Taped::playing(Vec::new())));
    let (wanted, unreadable) = snapshot::policy_config(&config);
    if !unreadable.is_empty() {
        return Err(Failure(unreadable.join("\n")));
    }
    let policy = Policy::load(&runtime, wanted, nothing).await;
    let policy = policy.map_err(|errors| {
        Failure(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let mut summary = Summary::default();
    for (number, line) in BufReader::new(&mut lines).lines().enumerate() {
        let line = line.map_err(|error| place(&error))?;
        let recorded: Recorded = serde_json::from_str(&line).map_err(|error| {
            place(&format!("line {} is no recorded session: {error}", number + 1))
        })?;
        let told = simulation::replay(&config, &policy, &recorded, &mut summary).await;
        if !told.is_empty() {
            out::line(format_args!("{} {told}", time(recorded.dialogue.time)))?;
        }
    }
    Ok(summary)
}
