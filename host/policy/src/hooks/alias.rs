//! Alias expansion: what an address at RCPT really stands for.
//!
//! The host repeats single steps of the alias plugins. A result that equals one of its ancestors is
//! final (`root: root, admin` is legal); only depth and count are errors. Results never grant
//! relaying, and are never checked for it. Commands, files and includes count for class local only,
//! and never come from an include. A list is only checked here; its members are found when the
//! message is queued.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use facteur_smtp::{Address, Reply};
use wasmtime::component::Resource;

use crate::asker::{Asker, Question};
use crate::contract::bindings::RecipientHandle;
use crate::contract::bindings::alias::exports::facteur::policy::alias;
use crate::contract::imports::{checked_address, printable};
use crate::contract::sandbox::CallError;
use crate::contract::verdict::{TEXT_LIMIT, check_text};
use crate::domains::Class;
use crate::facts::RecipientFacts;
use crate::story::Told;

/// How many steps may follow on each other (Postfix: virtual_alias_recursion_limit is 1,000; nobody
/// means more than a few).
const DEPTH_LIMIT: usize = 100;
/// What one address may become (Postfix: virtual_alias_expansion_limit).
const COUNT_LIMIT: usize = 1_000;
/// How many members a list may have: each becomes a recipient of one message.
const LIST_LIMIT: usize = 100_000;

/// What an address stands for.
#[derive(Debug)]
pub(crate) struct Expansion {
    pub results: Vec<Resolved>,
}

/// One result.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub address: Address,
    pub class: Class,
    /// The envelope sender of this copy, where it came through a list that has an owner.
    pub sender: Option<Address>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// It exists, or is another server's to know.
    Deliver,
    /// There is nothing there: whether that is known for sure, the reply says (5yz or 4yz).
    Refused(Reply),
    /// A list whose members are to be read from this file.
    List(PathBuf),
}

impl Resolved {
    /// What it has in common with another result that is the same copy: the address, and for a
    /// mailbox of ours, where case doesn't count, its local part in one case.
    pub(crate) fn copy(&self) -> Address {
        let ours = matches!(self.class, Class::Local | Class::VirtualMailbox);
        let folded = ours.then(|| {
            Address::new(&facteur_smtp::key(self.address.local()), self.address.domain()).ok()
        });
        folded.flatten().unwrap_or_else(|| self.address.clone())
    }
}

impl Expansion {
    /// Asks the alias plugins, step by step.
    pub(crate) async fn of(asker: &Asker, address: Address) -> Self {
        let about = address.clone();
        let mut walk = Walk { asker, about, results: Vec::new(), limit: COUNT_LIMIT, steps: 0 };
        walk.run(Step { address, ancestors: Vec::new(), sender: None, in_list: false }).await;
        Self { results: walk.results }
    }

    /// Opens the lists: reads their members and expands each.
    pub(crate) async fn members(asker: &Asker, list: &Resolved, path: &Path) -> Vec<Resolved> {
        let about = list.address.clone();
        let mut walk = Walk { asker, about, results: Vec::new(), limit: LIST_LIMIT, steps: 0 };
        let entries = match asker.services.include(path).await {
            Ok(entries) => entries,
            Err(error) => {
                let reply = Reply::new(451, "4.3.0", format!("the list can't be read: {error}"));
                return vec![Resolved { outcome: Outcome::Refused(reply), ..list.clone() }];
            }
        };
        for entry in entries {
            let parsed = match entry.chars().next() {
                Some('|' | '/' | ':') => {
                    Err(Reply::new(550, "5.7.0", "a list holds addresses only"))
                }
                _ => entry
                    .parse::<Address>()
                    .map_err(|error| Reply::new(550, "5.1.3", error.to_string())),
            };
            match parsed {
                Ok(address) => {
                    let address = asker.policy.domains.complete(address);
                    let ancestors = vec![list.address.clone()];
                    walk.run(Step {
                        address,
                        ancestors,
                        sender: list.sender.clone(),
                        in_list: true,
                    })
                    .await;
                }
                Err(reply) => {
                    walk.results
                        .push(Resolved { outcome: Outcome::Refused(reply), ..list.clone() });
                }
            }
        }
        walk.results
    }

    /// Whether anything of it can be delivered. If that isn't sure, an error.
    pub(crate) fn listed(&self) -> Result<bool, CallError> {
        match self.refusal() {
            None => Ok(true),
            Some(reply) if reply.is_permanent() => Ok(false),
            Some(reply) => Err(CallError::Failure { transient: true, reason: reply.text.clone() }),
        }
    }

    /// The reply if every result is refused: the one that may pass before one that won't.
    pub(crate) fn refusal(&self) -> Option<&Reply> {
        refusal_of_all(self.results.iter().map(|result| match &result.outcome {
            Outcome::Refused(reply) => Some(reply),
            Outcome::Deliver | Outcome::List(_) => None,
        }))
    }
}

/// The reply if every one of them is refused: one that may pass before one that won't.
pub(crate) fn refusal_of_all<'a>(
    all: impl Iterator<Item = Option<&'a Reply>>,
) -> Option<&'a Reply> {
    let mut chosen: Option<&Reply> = None;
    for refused in all {
        let reply = refused?;
        if chosen.is_none_or(|known| known.is_permanent() && reply.is_transient()) {
            chosen = Some(reply);
        }
    }
    chosen
}

struct Walk<'a> {
    asker: &'a Asker,
    /// The address that all of it is about. Refusals name it, and never what it stands for: they
    /// are told to strangers.
    about: Address,
    results: Vec<Resolved>,
    limit: usize,
    steps: usize,
}

struct Step {
    address: Address,
    ancestors: Vec<Address>,
    sender: Option<Address>,
    in_list: bool,
}

/// What is still to be done, in the order it was written.
enum Work {
    Ask(Step),
    Known(Resolved),
}

/// Where a target comes from.
struct From<'a> {
    step: &'a Step,
    class: Class,
    plugin: usize,
    ancestors: &'a [Address],
    sender: Option<&'a Address>,
}

/// What one step came to.
enum Answer {
    NoOpinion,
    Exists,
    Targets { targets: Vec<alias::Target>, owner: Option<Address>, plugin: usize },
    Unknown(Option<String>),
}

impl Told for Answer {
    fn told(&self) -> Cow<'static, str> {
        let target = |target: &alias::Target| match target {
            alias::Target::Address(raw) if raw.domain.is_empty() => raw.local.clone(),
            alias::Target::Address(raw) => format!("{}@{}", raw.local, raw.domain),
            alias::Target::Command(argv) => format!("command {}", argv.join(" ")),
            alias::Target::File(path) => format!("file {path}"),
            alias::Target::Include(path) => format!("list {path}"),
        };
        let told = match self {
            Self::NoOpinion => return "no opinion".into(),
            Self::Exists => return "exists".into(),
            Self::Unknown(None) => return "unknown".into(),
            Self::Unknown(Some(text)) => format!("unknown: {text}"),
            Self::Targets { targets, owner, .. } => {
                let list = targets.iter().map(target).collect::<Vec<_>>().join(", ");
                let owner =
                    owner.as_ref().map_or_else(String::new, |owner| format!("; owner {owner}"));
                format!("stands for {list}{owner}")
            }
        };
        printable(&told).into()
    }
}

impl Walk<'_> {
    async fn run(&mut self, first: Step) {
        // A stack, last in first out and filled in reverse, so that results come in the order they
        // were written in.
        let mut stack = vec![Work::Ask(first)];
        while let Some(work) = stack.pop() {
            let step = match work {
                Work::Ask(step) => step,
                Work::Known(result) => {
                    self.results.push(result);
                    continue;
                }
            };
            self.steps += 1;
            let class = self.asker.policy.domains.class_of(&step.address);
            let too_much = step.ancestors.len() >= DEPTH_LIMIT || self.steps > self.limit;
            if too_much {
                // Not a bounce: the tables are wrong, and can be mended.
                let reply = Reply::new(
                    451,
                    "4.3.5",
                    format!("<{}>: the alias expands too far", self.about),
                );
                self.push(step, class, Outcome::Refused(reply));
                stack.clear();
                return;
            }
            let outcome = match self.ask(&step, class).await {
                Ok(Answer::Targets { targets, owner, plugin }) => {
                    let sender = owner.or_else(|| step.sender.clone());
                    let mut ancestors = step.ancestors.clone();
                    ancestors.push(step.address.clone());
                    let from = From {
                        step: &step,
                        class,
                        plugin,
                        ancestors: &ancestors,
                        sender: sender.as_ref(),
                    };
                    for target in targets.into_iter().rev() {
                        stack.push(self.target(&from, target).await);
                    }
                    continue;
                }
                Ok(Answer::Exists) => Outcome::Deliver,
                Ok(Answer::Unknown(text)) => {
                    Outcome::Refused(unknown_user(&self.about, class, text.as_deref()))
                }
                Ok(Answer::NoOpinion) => self.by_class(&step.address, class).await,
                Err(error) => Outcome::Refused(undecided(&self.about, &error)),
            };
            self.push(step, class, outcome);
        }
    }

    async fn target(&self, from: &From<'_>, target: alias::Target) -> Work {
        let refuse = |text: String| Outcome::Refused(Reply::new(550, "5.7.0", text));
        let sender = from.sender.cloned();
        let outcome = match target {
            alias::Target::Address(raw) => match checked_address(&raw) {
                Ok(address) => {
                    let domains = &self.asker.policy.domains;
                    let address = domains.complete(address);
                    if !from.ancestors.contains(&address) {
                        let ancestors = from.ancestors.to_vec();
                        return Work::Ask(Step {
                            address,
                            ancestors,
                            sender,
                            in_list: from.step.in_list,
                        });
                    }
                    // It stands for itself: final, if it is there at all.
                    let class = domains.class_of(&address);
                    let outcome = self.by_class(&address, class).await;
                    return Work::Known(Resolved { address, class, sender, outcome });
                }
                Err(reason) => refuse(reason),
            },
            alias::Target::Command(_) => refuse("delivery to a command is not granted".to_owned()),
            alias::Target::File(_) => refuse("delivery to a file is not granted".to_owned()),
            alias::Target::Include(path) => {
                let path = PathBuf::from(path);
                if from.step.in_list || from.class != Class::Local {
                    refuse("a list can be named by an alias of this machine only".to_owned())
                } else if self.asker.chain[from.plugin].grants.include(&path) {
                    Outcome::List(path)
                } else {
                    refuse("the list is not granted".to_owned())
                }
            }
        };
        Work::Known(Resolved {
            address: from.step.address.clone(),
            class: from.class,
            sender,
            outcome,
        })
    }

    fn push(&mut self, step: Step, class: Class, outcome: Outcome) {
        self.results.push(Resolved { address: step.address, class, sender: step.sender, outcome });
    }

    /// One step, asked of the alias plugins in order.
    async fn ask(&self, step: &Step, class: Class) -> Result<Answer, CallError> {
        let asker = self.asker;
        let Some(envelope) = &asker.envelope else { return Ok(Answer::NoOpinion) };
        if asker.chain.iter().all(|plugin| plugin.hooks.alias.is_none()) {
            return Ok(Answer::NoOpinion);
        }
        let original = step.ancestors.first().unwrap_or(&step.address).clone();
        let domains = &asker.policy.domains;
        let number =
            envelope.add(RecipientFacts::new(domains, step.address.clone(), original, false));
        for (index, plugin) in asker.chain.iter().enumerate() {
            let Some(hook) = &plugin.hooks.alias else { continue };
            let question = Question { name: "alias", about: Some(&step.address) };
            let answer = asker
                .ask(index, question, async |store, instance| {
                    let to = Resource::<RecipientHandle>::new_borrow(number);
                    let expansion = match hook.expand.call(store, instance, (to,)).await? {
                        Ok(expansion) => expansion,
                        Err(failure) => return Ok(Err(failure)),
                    };
                    let targets = match expansion {
                        alias::Expansion::NoOpinion => return Ok(Ok(Answer::NoOpinion)),
                        alias::Expansion::Exists => return Ok(Ok(Answer::Exists)),
                        alias::Expansion::Unknown(text) => {
                            let broken =
                                text.as_deref().map_or(Ok(()), |text| check_text(text, TEXT_LIMIT));
                            broken.map_err(|broken| wasmtime::Error::msg(broken.0))?;
                            return Ok(Ok(Answer::Unknown(text)));
                        }
                        alias::Expansion::Targets(targets) => targets,
                    };
                    if targets.is_empty() || targets.len() > COUNT_LIMIT {
                        wasmtime::bail!(
                            "an expansion to {} targets (1 to {COUNT_LIMIT})",
                            targets.len()
                        );
                    }
                    let mut owner = None;
                    if class == Class::Local {
                        match hook.owner.call(store, instance, ((&step.address).into(),)).await? {
                            Ok(Some(raw)) => {
                                let address =
                                    checked_address(&raw).map_err(wasmtime::Error::msg)?;
                                owner = Some(domains.complete(address));
                            }
                            Ok(None) => {}
                            Err(failure) => return Ok(Err(failure)),
                        }
                    }
                    Ok(Ok(Answer::Targets { targets, owner, plugin: index }))
                })
                .await?;
            match answer {
                None | Some(Answer::NoOpinion) => {}
                Some(answer) => return Ok(answer),
            }
        }
        Ok(Answer::NoOpinion)
    }

    /// Where no plugin has an opinion, the class says who vouches.
    async fn by_class(&self, address: &Address, class: Class) -> Outcome {
        match class {
            Class::Relay | Class::Other => Outcome::Deliver,
            Class::VirtualAlias => Outcome::Refused(unknown_user(&self.about, class, None)),
            Class::Local | Class::VirtualMailbox => {
                match self.asker.services.mailbox(address).await {
                    Ok(true) => Outcome::Deliver,
                    Ok(false) => Outcome::Refused(unknown_user(&self.about, class, None)),
                    Err(error) => {
                        tracing::warn!(%address, %error, "the mailbox can't be asked for");
                        Outcome::Refused(Reply::new(
                            451,
                            "4.3.0",
                            format!("<{}>: Temporary lookup failure", self.about),
                        ))
                    }
                }
            }
        }
    }
}

fn unknown_user(address: &Address, class: Class, text: Option<&str>) -> Reply {
    let table = match class {
        Class::VirtualAlias => " in virtual alias table",
        Class::VirtualMailbox => " in virtual mailbox table",
        Class::Local => " in local recipient table",
        Class::Relay | Class::Other => "",
    };
    let why = text.map_or_else(|| format!("User unknown{table}"), str::to_owned);
    Reply::new(550, "5.1.1", format!("<{address}>: Recipient address rejected: {why}"))
}

fn undecided(address: &Address, error: &CallError) -> Reply {
    match error {
        CallError::Failure { .. } => {
            Reply::new(451, "4.3.0", format!("<{address}>: Temporary lookup failure"))
        }
        _ => Reply::new(451, "4.3.5", format!("<{address}>: Policy error, try again later")),
    }
}
