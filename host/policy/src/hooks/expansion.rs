//! Alias expansion: what an address at RCPT really stands for.
//!
//! The host repeats single steps of the alias plugins. A result that equals one of its ancestors is
//! final (`root: root, admin` is legal). Results never grant relaying, and are never checked for
//! it. Commands, files and lists count for class local only. At RCPT lists stay closed; their
//! members are found when the message is queued.
//!
//! What can't be found out now is a 4yz result, never a final refusal, and an expansion that is cut
//! off has no other result: whoever keeps a result with a 4yz asks about it again. Replies go to
//! strangers, so that no file is named in them; the log and the trace name file and line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facteur_smtp::{Address, Reply, status};
use facteur_targets::Target;

use super::alias::{Answer, Asked, COUNT_LIMIT};
use super::list;
use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::checked_address;
use crate::contract::exports::HookName;
use crate::contract::text::printable;
use crate::dispatch::Dispatch;
use crate::domains::Class;
use crate::facts::RecipientFacts;
use crate::runtime::error::CallError;

/// How many steps may follow on each other (Postfix: virtual_alias_recursion_limit is 1,000; nobody
/// means more than a few).
const DEPTH_LIMIT: usize = 100;
/// How many members a list may have: each becomes a recipient of one message.
const LIST_LIMIT: usize = 100_000;
/// How deep lists may be nested in lists. Nobody means more than one or two.
const NESTED_LISTS: usize = 20;
/// Bad lines of one list that are told; the mend of the first few shows the others.
const BAD_LINES_TOLD: usize = 20;

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
    /// The first alias of this machine that it came by.
    pub alias: Option<Address>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// It exists, or is another server's to know.
    Deliver,
    /// There is nothing there: whether that is known for sure, the reply says (5yz or 4yz).
    Refused(Reply),
    /// A list whose members are to be read.
    List(List),
    /// A list that couldn't be read (4yz).
    Closed(List, Reply),
}

/// A list in a file.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub path: PathBuf,
    /// Who named it, in the chain; none: some plugin did, some time ago.
    plugin: Option<usize>,
    /// The addresses that led to it.
    ancestors: Vec<Address>,
    /// The lists that it stands in.
    within: Arc<[PathBuf]>,
}

impl Outcome {
    /// The reply, unless it can be delivered or opened.
    pub(crate) fn refusal(&self) -> Option<&Reply> {
        match self {
            Self::Refused(reply) | Self::Closed(_, reply) => Some(reply),
            Self::Deliver | Self::List(_) => None,
        }
    }
}

impl Resolved {
    /// What it has in common with another result that is the same copy: the address, and for a
    /// mailbox of ours, where case doesn't count, its local part in one case.
    pub(crate) fn copy(&self) -> Address {
        let ours = matches!(self.class, Class::Local | Class::VirtualMailbox);
        let folded = ours.then(|| {
            Address::new(&facteur_smtp::local_key(self.address.local()), self.address.domain()).ok()
        });
        folded.flatten().unwrap_or_else(|| self.address.clone())
    }
}

impl Expansion {
    /// Asks the alias plugins, step by step.
    pub(crate) async fn of(dispatch: &Dispatch, address: Address) -> Self {
        let mut walk = Walk::new(dispatch, &address, false, COUNT_LIMIT);
        let class = dispatch.matter.domains.class_of(&address);
        let step = Step::new(address.clone());
        match walk.run(Work::Ask(step)).await {
            Ok(()) => Self { results: walk.results },
            Err(CutOff(reply)) => {
                let outcome = Outcome::Refused(reply);
                Self {
                    results: vec![Resolved { address, class, sender: None, alias: None, outcome }],
                }
            }
        }
    }

    /// A list that couldn't be read before, named by this address.
    pub(crate) fn of_list(dispatch: &Dispatch, address: Address, path: &Path) -> Self {
        let class = dispatch.matter.domains.class_of(&address);
        let outcome = Outcome::List(List {
            path: path.to_owned(),
            plugin: None,
            ancestors: vec![address.clone()],
            within: Arc::default(),
        });
        Self { results: vec![Resolved { address, class, sender: None, alias: None, outcome }] }
    }

    /// Opens a list: reads its members and expands each, lists among them too.
    pub(crate) async fn members(dispatch: &Dispatch, of: &Resolved, list: &List) -> Vec<Resolved> {
        let mut walk = Walk::new(dispatch, &of.address, true, LIST_LIMIT);
        let step = Step {
            address: of.address.clone(),
            ancestors: list.ancestors.clone(),
            sender: of.sender.clone(),
            alias: of.alias.clone(),
            within: list.within.clone(),
        };
        let first = walk.list(&step, list.path.clone(), list.plugin);
        match walk.run(first).await {
            Ok(()) => walk.results,
            Err(CutOff(reply)) => {
                vec![Resolved { outcome: Outcome::Closed(list.clone(), reply), ..of.clone() }]
            }
        }
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
        refusal_of_all(self.results.iter().map(|result| result.outcome.refusal()))
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
    dispatch: &'a Dispatch,
    /// The address that all of it is about. Refusals name it, and never what it stands for: they
    /// are told to strangers.
    about: Address,
    results: Vec<Resolved>,
    /// Whether lists are opened.
    opening: bool,
    limit: usize,
    steps: usize,
}

/// It expands too far, with the reply that says so.
struct CutOff(Reply);

#[derive(Clone)]
struct Step {
    address: Address,
    ancestors: Vec<Address>,
    sender: Option<Address>,
    alias: Option<Address>,
    within: Arc<[PathBuf]>,
}

/// What is still to be done, in the order it was written.
enum Work {
    Ask(Step),
    /// The list in this file, which this plugin named.
    Open(Step, PathBuf, Option<usize>),
    Known(Resolved),
}

impl Step {
    fn new(address: Address) -> Self {
        let within = Arc::default();
        Self { address, ancestors: Vec::new(), sender: None, alias: None, within }
    }

    fn resolved(&self, class: Class, outcome: Outcome) -> Resolved {
        Resolved {
            address: self.address.clone(),
            class,
            sender: self.sender.clone(),
            alias: self.alias.clone(),
            outcome,
        }
    }

    fn list(&self, path: PathBuf, plugin: Option<usize>) -> List {
        let (ancestors, within) = (self.ancestors.clone(), self.within.clone());
        List { path, plugin, ancestors, within }
    }
}

impl<'a> Walk<'a> {
    fn new(dispatch: &'a Dispatch, about: &Address, opening: bool, limit: usize) -> Self {
        let about = about.clone();
        Self { dispatch, about, results: Vec::new(), opening, limit, steps: 0 }
    }

    async fn run(&mut self, first: Work) -> Result<(), CutOff> {
        // A stack, last in first out and filled in reverse, so that results come in the order they
        // were written in.
        let mut stack = vec![first];
        while let Some(work) = stack.pop() {
            match work {
                Work::Ask(step) => self.step(step, &mut stack).await?,
                Work::Open(step, path, plugin) if self.opening => {
                    self.open(step, path, plugin, &mut stack).await?;
                }
                Work::Open(step, path, plugin) => {
                    let list = step.list(path, plugin);
                    self.push(&step, Outcome::List(list));
                }
                Work::Known(result) => self.results.push(result),
            }
        }
        Ok(())
    }

    /// Not a bounce: the tables are wrong, and can be mended.
    fn cut_off(&self, at: &Step, why: &str) -> CutOff {
        self.tell(&self.about, &format!("expands too far, at {}: {why}", at.address));
        CutOff(Reply::new(
            451,
            status::MISCONFIGURED,
            format!("<{}>: the alias expands too far", self.about),
        ))
    }

    async fn step(&mut self, step: Step, stack: &mut Vec<Work>) -> Result<(), CutOff> {
        self.steps += 1;
        if step.ancestors.len() >= DEPTH_LIMIT {
            return Err(self.cut_off(&step, &format!("{DEPTH_LIMIT} steps one after the other")));
        }
        if self.steps > self.limit {
            return Err(self.cut_off(&step, &format!("more than {} addresses", self.limit)));
        }
        let class = self.dispatch.matter.domains.class_of(&step.address);
        let outcome = match self.ask(&step).await {
            Ok(Answer::Targets { targets, owner, plugin, by_alias }) => {
                let mut below = step.clone();
                below.sender = owner.or(below.sender);
                if by_alias && class == Class::Local {
                    below.alias.get_or_insert_with(|| step.address.clone());
                }
                below.ancestors.push(step.address);
                // Filled in reverse.
                for target in targets.into_iter().rev() {
                    stack.push(self.target(&below, class, plugin, target).await);
                }
                return Ok(());
            }
            Ok(Answer::Exists) => Outcome::Deliver,
            Ok(Answer::Unknown(text)) => {
                Outcome::Refused(unknown_user(&self.about, class, text.as_deref()))
            }
            Ok(Answer::NoOpinion) => self.by_class(&step.address, class).await,
            Err(error) => Outcome::Refused(undecided(&self.about, &error)),
        };
        self.push(&step, outcome);
        Ok(())
    }

    /// What a target is. `below` has the address that stands for it, which is its last ancestor
    /// too.
    async fn target(
        &self,
        below: &Step,
        class: Class,
        plugin: usize,
        target: types::Target,
    ) -> Work {
        let refuse = |text: &str| {
            let outcome = Outcome::Refused(Reply::new(550, status::SECURITY, text));
            Work::Known(below.resolved(class, outcome))
        };
        match target {
            types::Target::Address(raw) => match checked_address(&raw) {
                Ok(address) => self.member(below, address).await,
                Err(reason) => {
                    self.tell(&below.address, &reason.to_string());
                    Work::Known(below.resolved(class, Outcome::Refused(bad_member(&self.about))))
                }
            },
            types::Target::Command(_) => refuse("delivery to a command is not granted"),
            types::Target::File(_) => refuse("delivery to a file is not granted"),
            types::Target::ListFile(_) if class != Class::Local => {
                refuse("a list can be named by an alias of this machine only")
            }
            types::Target::ListFile(path) => self.list(below, path.into(), Some(plugin)),
        }
    }

    async fn member(&self, below: &Step, address: Address) -> Work {
        let domains = &self.dispatch.matter.domains;
        let address = domains.complete(address);
        let Some(known) = below.ancestors.iter().position(|one| *one == address) else {
            return Work::Ask(Step { address, ..below.clone() });
        };
        // It stands for itself: final, if it is there at all.
        let class = domains.class_of(&address);
        let outcome = self.by_class(&address, class).await;
        if outcome.refusal().is_some() {
            let way: Vec<String> =
                below.ancestors[known..].iter().map(ToString::to_string).collect();
            self.tell(&address, &format!("alias loop: {} -> {address}", way.join(" -> ")));
        }
        let step = Step { address, ..below.clone() };
        Work::Known(step.resolved(class, outcome))
    }

    /// A list, if it may be read. That it may not can be mended.
    fn list(&self, below: &Step, path: PathBuf, plugin: Option<usize>) -> Work {
        let granted = match plugin {
            Some(plugin) => self.dispatch.chain()[plugin].profile.grants.include(&path),
            None => self.dispatch.chain().iter().any(|plugin| plugin.profile.grants.include(&path)),
        };
        if granted {
            return Work::Open(below.clone(), path, plugin);
        }
        self.tell(
            &below.address,
            &format!("the list {} is not granted: add its path to `include`", path.display()),
        );
        let reply = Reply::new(
            451,
            status::MISCONFIGURED,
            format!("<{}>: Server configuration error: the list is not granted", self.about),
        );
        self.closed(below, path, plugin, reply)
    }

    fn closed(&self, step: &Step, path: PathBuf, plugin: Option<usize>, reply: Reply) -> Work {
        let class = self.dispatch.matter.domains.class_of(&step.address);
        Work::Known(step.resolved(class, Outcome::Closed(step.list(path, plugin), reply)))
    }

    /// Puts the members of a list on the stack. A line that isn't one fails alone.
    async fn open(
        &mut self,
        step: Step,
        path: PathBuf,
        plugin: Option<usize>,
        stack: &mut Vec<Work>,
    ) -> Result<(), CutOff> {
        if step.within.contains(&path) {
            // Its members are there already.
            self.tell(&step.address, &format!("alias loop: {} names itself", path.display()));
            return Ok(());
        }
        if step.within.len() >= NESTED_LISTS {
            return Err(self.cut_off(&step, &format!("{NESTED_LISTS} lists in each other")));
        }
        let members = match self.dispatch.matter.services.lists.lines(&path).await {
            Ok(lines) => list::members(&lines),
            Err(error) => {
                self.tell(&step.address, &error.to_string());
                let text = format!("<{}>: Temporary lookup failure", self.about);
                stack.push(self.closed(&step, path, plugin, Reply::new(451, status::SYSTEM, text)));
                return Ok(());
            }
        };
        if members.is_empty() {
            // It may be meant, or what writes it failed: the mail goes to nobody.
            self.tell(&step.address, &format!("nobody is on the list {}", path.display()));
        }
        let within: Arc<[PathBuf]> = step.within.iter().cloned().chain([path.clone()]).collect();
        let inside = Step { within, ..step.clone() };
        let mut found = Vec::with_capacity(members.len());
        let mut bad = 0;
        for list::Member { line, target } in members {
            let why = match target {
                Ok(Target::Address { local, domain }) => {
                    let address = if domain.is_empty() {
                        Address::bare(&local)
                    } else {
                        Address::new(&local, &domain)
                    };
                    match address {
                        Ok(address) => {
                            found.push(self.member(&inside, address).await);
                            continue;
                        }
                        Err(error) => format!("{local}@{domain}: {error}"),
                    }
                }
                Ok(Target::Include(path)) => {
                    found.push(self.list(&inside, path.into(), plugin));
                    continue;
                }
                Ok(Target::Command(_) | Target::File(_)) => "a list holds addresses only".into(),
                Err(why) => why,
            };
            bad += 1;
            if bad <= BAD_LINES_TOLD {
                self.tell(&step.address, &format!("{}:{line}: {why}", path.display()));
            }
        }
        if bad > 0 {
            let class = self.dispatch.matter.domains.class_of(&step.address);
            let refused = Outcome::Refused(bad_member(&self.about));
            found.push(Work::Known(step.resolved(class, refused)));
        }
        if bad > BAD_LINES_TOLD {
            let more = bad - BAD_LINES_TOLD;
            self.tell(&step.address, &format!("{}: {more} more bad lines", path.display()));
        }
        stack.extend(found.into_iter().rev());
        Ok(())
    }

    fn push(&mut self, step: &Step, outcome: Outcome) {
        let class = self.dispatch.matter.domains.class_of(&step.address);
        self.results.push(step.resolved(class, outcome));
    }

    /// Tells the operator, in the log and in the trace.
    fn tell(&self, about: &Address, what: &str) {
        let (matter, what) = (&self.dispatch.matter, printable(what));
        tracing::warn!(address = %about, "{what}");
        matter.trace.host("alias", Some(about.to_string()), what);
    }

    /// One step, asked of the alias plugins in order.
    async fn ask(&self, step: &Step) -> Result<Answer, CallError> {
        let dispatch = self.dispatch;
        if !dispatch.has(HookName::Alias) {
            return Ok(Answer::NoOpinion);
        }
        let original = step.ancestors.first().unwrap_or(&step.address).clone();
        let domains = &dispatch.matter.domains;
        let recipient =
            Arc::new(RecipientFacts::new(domains, step.address.clone(), original, false));
        for plugin in 0..dispatch.chain().len() {
            let asked = Asked { recipient: recipient.clone(), plugin };
            match dispatch.ask(plugin, &asked).await? {
                None | Some(Answer::NoOpinion) => {}
                Some(answer) => return Ok(answer),
            }
        }
        Ok(Answer::NoOpinion)
    }

    /// Where no plugin has an opinion, the class says who vouches.
    async fn by_class(&self, address: &Address, class: Class) -> Outcome {
        match class {
            Class::Other => Outcome::Deliver,
            Class::VirtualAlias => Outcome::Refused(unknown_user(&self.about, class, None)),
            Class::Local | Class::VirtualMailbox | Class::Relay => {
                match self.dispatch.matter.services.mailboxes.exists(address).await {
                    Ok(true) => Outcome::Deliver,
                    Ok(false) => Outcome::Refused(unknown_user(&self.about, class, None)),
                    Err(error) => {
                        tracing::warn!(%address, %error, "the mailbox can't be asked for");
                        Outcome::Refused(Reply::lookup_failure(&self.about))
                    }
                }
            }
        }
    }
}

/// What strangers hear of a member that isn't an address.
fn bad_member(of: &Address) -> Reply {
    let text = format!("<{of}>: one of the addresses that this stands for is no address");
    Reply::new(550, status::BAD_MAILBOX_SYNTAX, text)
}

fn unknown_user(address: &Address, class: Class, text: Option<&str>) -> Reply {
    if let Some(text) = text {
        return Reply::recipient_rejected(address, text);
    }
    let table = match class {
        Class::VirtualAlias => Some("virtual alias"),
        Class::VirtualMailbox => Some("virtual mailbox"),
        Class::Local => Some("local recipient"),
        Class::Relay => Some("relay recipient"),
        Class::Other => None,
    };
    Reply::user_unknown(address, table)
}

fn undecided(address: &Address, error: &CallError) -> Reply {
    match error {
        CallError::Failure { .. } => Reply::lookup_failure(address),
        _ => Reply::new(
            451,
            status::MISCONFIGURED,
            format!("<{address}>: Policy error, try again later"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_before_what_will_not() {
        let never = Reply::new(550, status::BAD_MAILBOX, "no");
        let later = Reply::new(451, status::SYSTEM, "later");
        let of_all = |all: &[Option<&Reply>]| refusal_of_all(all.iter().copied()).cloned();
        assert_eq!(of_all(&[Some(&never), Some(&later), Some(&never)]), Some(later.clone()));
        assert_eq!(of_all(&[Some(&later), Some(&never)]), Some(later.clone()));
        assert_eq!(of_all(&[Some(&never), Some(&never)]), Some(never));
        assert_eq!(of_all(&[Some(&later), None]), None);
        assert_eq!(of_all(&[]), None);
    }
}
