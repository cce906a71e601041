//! The operator's table of users, and those who aren't in it.
//!
//! Invariants: an entry that can't be read is told by its table and its name, and lets nobody in;
//! for a name that isn't there the work is done that an entry would take, by the table's own mix of
//! schemes and costs, and always the same for that name.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::password::Verifier;
use super::room::{Full, Room};
use super::scram;
use super::secret::Secret;
use crate::tables::{FindError, Tables};

/// Kinds of entries, by their cost, that are told apart.
const KINDS: usize = 64;
/// Broken entries that are told, of one version of the table.
const TOLD: usize = 10;

/// Why it can't be told whether somebody is who it says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclear {
    #[error(transparent)]
    Table(#[from] FindError),
    #[error("{0}")]
    Entry(String),
    #[error(transparent)]
    Full(#[from] Full),
}

/// What became of a name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    Right,
    Wrong,
    /// The table has no such name.
    Unknown,
}

/// `[auth] users`, at work.
pub(super) struct Users {
    table: String,
    tables: Arc<Tables>,
    secret: Secret,
    look: ArcSwapOption<Look>,
    looking: Mutex<()>,
}

/// What the table holds, as far as it matters to those who aren't in it.
struct Look {
    generation: u64,
    /// One entry of each cost, and how many there are of it.
    kinds: Vec<(Verifier, u64)>,
    /// Whether each is a SCRAM verifier.
    scram: bool,
    broken: Vec<String>,
}

impl Users {
    pub(super) fn new(table: String, tables: Arc<Tables>, secret: Secret) -> Self {
        let (look, looking) = Default::default();
        Self { table, tables, secret, look, looking }
    }

    /// What is wrong with the table, a line each. Reads all of it.
    pub(super) fn check(&self) -> Vec<String> {
        match Look::take(&self.tables, &self.table) {
            Ok(look) => look.broken,
            // That it can't be read has been told.
            Err(FindError::Unavailable(_)) => Vec::new(),
            Err(error) => vec![format!("[auth] users: {error}")],
        }
    }

    /// What the table holds now; all of it is read, on a thread that may, when it has changed.
    async fn look(&self) -> Result<Arc<Look>, FindError> {
        let fresh = || {
            let look = self.look.load_full();
            look.filter(|look| look.generation == self.tables.generation())
        };
        if let Some(look) = fresh() {
            return Ok(look);
        }
        let _one = self.looking.lock().await;
        if let Some(look) = fresh() {
            return Ok(look);
        }
        let (tables, table) = (self.tables.clone(), self.table.clone());
        let taken = tokio::task::spawn_blocking(move || Look::take(&tables, &table)).await;
        let look = Arc::new(taken.map_err(|error| FindError::Unavailable(error.to_string()))??);
        for broken in &look.broken {
            tracing::error!("{broken}: nobody logs in by it");
        }
        self.look.store(Some(look.clone()));
        Ok(look)
    }

    /// Whether everybody can prove who they are by SCRAM.
    pub(super) async fn all_have_scram(&self) -> bool {
        self.look().await.is_ok_and(|look| look.scram)
    }

    /// The entry of a login; none where there is none.
    fn find(&self, login: &str) -> Result<Option<Verifier>, Unclear> {
        let Some(found) = self.tables.find(&self.table, &[login])? else { return Ok(None) };
        let entry = Zeroizing::new(found.value);
        let entry = Verifier::parse(&entry);
        entry.map(Some).map_err(|error| Unclear::Entry(told(&self.table, login, &error)))
    }

    /// Whether the password is the login's.
    pub(super) async fn verify(
        &self,
        room: &Room,
        login: &str,
        password: Zeroizing<String>,
    ) -> Result<Checked, Unclear> {
        let look = self.look().await?;
        let entry = self.find(login)?;
        let wrong = if entry.is_some() { Checked::Wrong } else { Checked::Unknown };
        let locked = matches!(entry, Some(Verifier::Locked));
        let known = entry.filter(|_| !locked);
        let is_known = known.is_some();
        let verifier = known.unwrap_or_else(|| look.like(&self.secret.seed(login)).clone());
        let right = room.run(move || verifier.verify(password.as_bytes())).await?;
        Ok(if right && is_known { Checked::Right } else { wrong })
    }

    /// What an exchange of SCRAM is held with: the login's keys, or made-up ones. And whether a
    /// proof counts.
    pub(super) async fn keys(&self, login: &str) -> Result<(scram::Keys, bool), Unclear> {
        let look = self.look().await?;
        if let Some(Verifier::Scram(keys)) = self.find(login)? {
            return Ok((keys, true));
        }
        let seed = self.secret.seed(login);
        let like = match look.like(&seed) {
            Verifier::Scram(keys) => scram::Keys::made_up(&seed, keys),
            // It is offered where all entries are such, and the table may just have changed.
            other => return Err(Unclear::Entry(format!("{other:?} has no SCRAM verifier"))),
        };
        Ok((like, false))
    }
}

impl Look {
    fn take(tables: &Tables, table: &str) -> Result<Self, FindError> {
        let generation = tables.generation();
        let mut kinds: BTreeMap<String, (Verifier, u64)> = BTreeMap::new();
        let (mut broken, mut scram) = (Vec::new(), true);
        tables.each(table, &mut |login, entry| match Verifier::parse(entry) {
            Ok(Verifier::Locked) => {}
            Ok(verifier) => {
                scram &= matches!(verifier, Verifier::Scram(_));
                let cost = verifier.cost();
                if kinds.len() < KINDS || kinds.contains_key(&cost) {
                    kinds.entry(cost).or_insert((verifier, 0)).1 += 1;
                }
            }
            Err(error) => {
                scram = false;
                if broken.len() < TOLD {
                    broken.push(told(table, login, &error));
                }
            }
        })?;
        let mut kinds: Vec<_> = kinds.into_values().collect();
        if kinds.is_empty() {
            scram = false;
            kinds.push((Verifier::usual(), 1));
        }
        Ok(Self { generation, kinds, scram, broken })
    }

    /// The entry that somebody would have who isn't there: as often one of a kind as those who are.
    fn like(&self, seed: &[u8]) -> &Verifier {
        let all = self.kinds.iter().map(|(_, count)| count).sum::<u64>().max(1);
        let number = seed.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet));
        let mut left = number % all;
        let kind = self.kinds.iter().find(|(_, count)| {
            let here = left < *count;
            left = left.saturating_sub(*count);
            here
        });
        // There always is one.
        &kind.unwrap_or(&self.kinds[0]).0
    }
}

/// Which entry can't be read, and why.
fn told(table: &str, login: &str, error: &impl std::fmt::Display) -> String {
    format!("table \"{table}\": the entry of \"{login}\" {error}")
}

#[cfg(test)]
mod tests {
    use super::super::password::tests::{ENTRIES, WORK};
    use super::*;
    use crate::config::TableSource;

    fn users(entries: &[(&str, &str)]) -> Users {
        let owned = entries.iter().map(|(name, entry)| ((*name).to_owned(), (*entry).to_owned()));
        let source = TableSource::Inline(owned.collect());
        let (tables, _) = Tables::open(&BTreeMap::from([("users".to_owned(), source)]), None);
        Users::new("users".to_owned(), tables, Secret::random().unwrap())
    }

    /// What is computed for a name, on this thread.
    async fn work_for(users: &Users, name: &str) -> (bool, Vec<String>) {
        let look = users.look().await.unwrap();
        let entry = users.find(name).unwrap();
        let verifier = entry.unwrap_or_else(|| look.like(&users.secret.seed(name)).clone());
        let right = verifier.verify(b"wrong");
        (right, WORK.take())
    }

    #[tokio::test]
    async fn an_unknown_user_takes_the_work_of_a_wrong_password() {
        for entry in ENTRIES {
            let users = users(&[("louen", entry)]);
            let (known, unknown) = (work_for(&users, "louen").await, work_for(&users, "x").await);
            assert_eq!(known, unknown, "{entry}");
            assert_eq!(known.1.len(), 1);
        }
        // Where there are several kinds, each name has one of them, and keeps it.
        let users = users(&[("a", ENTRIES[0]), ("b", ENTRIES[1])]);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..100 {
            let name = format!("user{number}");
            let work = work_for(&users, &name).await;
            assert_eq!(work, work_for(&users, &name).await);
            seen.insert(work.1);
        }
        assert_eq!(seen.len(), 2);
    }

    #[tokio::test]
    async fn who_is_there_and_who_is_not() {
        let room = Room::new();
        let users = users(&[("louen", ENTRIES[1]), ("locked", "!"), ("broken", "{PLAIN}x")]);
        let verify = async |login: &str, password: &str| {
            users.verify(&room, login, Zeroizing::new(password.to_owned())).await
        };
        assert_eq!(verify("louen", "sesame").await.unwrap(), Checked::Right);
        assert_eq!(verify("louen", "wrong").await.unwrap(), Checked::Wrong);
        assert_eq!(verify("locked", "sesame").await.unwrap(), Checked::Wrong);
        assert_eq!(verify("nobody", "sesame").await.unwrap(), Checked::Unknown);
        let broken = verify("broken", "x").await.unwrap_err().to_string();
        let told = "table \"users\": the entry of \"broken\" is of no scheme that is known here";
        assert!(broken.starts_with(told), "{broken}");
        assert!(users.check()[0].starts_with(told));
        assert!(!broken.contains("PLAIN"), "what the entry holds isn't shown: {broken}");
    }

    #[tokio::test]
    async fn scram_is_for_tables_that_have_nothing_else() {
        let scram = ENTRIES[4];
        assert!(users(&[("a", scram), ("b", ENTRIES[5])]).all_have_scram().await);
        for other in [ENTRIES[0], "{PLAIN}x", ""] {
            assert!(!users(&[("a", scram), ("b", other)]).all_have_scram().await, "{other}");
        }
        assert!(!users(&[]).all_have_scram().await);
        let users = users(&[("a", scram)]);
        assert!(users.keys("a").await.unwrap().1);
        let (first, second) = (users.keys("x").await.unwrap(), users.keys("x").await.unwrap());
        assert_eq!((&first.0.salt, first.1), (&second.0.salt, false));
    }
}
