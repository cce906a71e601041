//! All tables of one configuration, by name, and the thread that watches their files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::content::{Content, Found};
use super::error::{FindError, TableError};
use super::file::TableFile;
use crate::config::TableSource;
use crate::watch::{self, Watched};

/// All tables of one configuration.
pub struct Tables {
    tables: HashMap<String, Table>,
    generation: Arc<AtomicU64>,
}

/// Where a table's content is.
enum Table {
    Inline(Content),
    File(Arc<Watched<TableFile>>),
}

impl Tables {
    /// Opens all tables, and tells everything that is missing or broken. Those tables can't be
    /// asked until their files are good.
    ///
    /// `before` are the tables of the configuration that this one takes the place of: what stays
    /// the same keeps its last good version, and [`Tables::generation`] goes on.
    pub fn open(
        sources: &BTreeMap<String, TableSource>,
        before: Option<&Self>,
    ) -> (Arc<Self>, Vec<TableError>) {
        let generation = before.map(|before| before.generation.clone()).unwrap_or_default();
        let mut tables = HashMap::new();
        let mut errors = Vec::new();
        for (name, source) in sources {
            let table = match source {
                TableSource::Inline(entries) => Table::Inline(Content::inline(entries)),
                TableSource::File { path, format } => {
                    let same = |watched: &&Arc<Watched<TableFile>>| {
                        watched.source.path == *path && watched.source.format == *format
                    };
                    let kept = match before.and_then(|before| before.tables.get(name)) {
                        Some(Table::File(watched)) => Some(watched).filter(same).cloned(),
                        _ => None,
                    };
                    let watched = kept.unwrap_or_else(|| {
                        let (name, path) = (name.clone(), path.clone());
                        Watched::new(TableFile { name, path, format: *format })
                    });
                    watched.look(false);
                    errors.extend(watched.trouble());
                    Table::File(watched)
                }
            };
            tables.insert(name.clone(), table);
        }
        generation.fetch_add(1, Ordering::Release);
        (Arc::new(Self { tables, generation }), errors)
    }

    /// Starts the thread that watches the files. It ends when nobody else holds these tables.
    ///
    /// # Errors
    /// The thread can't be had.
    pub fn watch(self: &Arc<Self>) -> std::io::Result<()> {
        watch::keep_looking("tables", Arc::downgrade(self), Self::look)
    }

    /// Looks at every file once.
    fn look(&self) {
        for table in self.tables.values() {
            if let Table::File(watched) = table
                && watched.look(true)
            {
                // After the exchange: who has seen the new number sees the new table.
                self.generation.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// The first of the keys that the table has. Keys count in their one form
    /// ([`facteur_smtp::key`]). A table of patterns (regexp, cidr) is asked the first key only;
    /// an expression is shown it with U-labels and with A-labels. With no keys it says only whether
    /// the table can be asked.
    ///
    /// # Errors
    /// There is no such table, or it can't be asked now.
    pub fn find<K: AsRef<str>>(&self, name: &str, keys: &[K]) -> Result<Option<Found>, FindError> {
        match self.tables.get(name) {
            None => Err(FindError::Unknown),
            Some(Table::Inline(content)) => Ok(content.find(keys)),
            Some(Table::File(watched)) => match &*watched.content() {
                Some(content) => Ok(content.find(keys)),
                None => Err(unavailable(name, watched)),
            },
        }
    }

    /// Shows every key of a table in its one form, with its value. It takes as long as the table is
    /// large.
    ///
    /// # Errors
    /// There is no such table, it can't be asked now, or it is one of patterns.
    pub fn each(&self, name: &str, show: &mut dyn FnMut(&str, &str)) -> Result<(), FindError> {
        let mut entries = |content: &Content| {
            content.each(show).then_some(()).ok_or_else(|| {
                FindError::Unavailable(format!("table \"{name}\" is one of patterns"))
            })
        };
        match self.tables.get(name) {
            None => Err(FindError::Unknown),
            Some(Table::Inline(content)) => entries(content),
            Some(Table::File(watched)) => match &*watched.content() {
                Some(content) => entries(content),
                None => Err(unavailable(name, watched)),
            },
        }
    }

    /// A number that grows whenever a table changed: what was made of the tables before is then
    /// stale.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// Why a table that never was good can't be asked.
fn unavailable(name: &str, watched: &Watched<TableFile>) -> FindError {
    let why = watched.trouble().first().map(TableError::to_string);
    FindError::Unavailable(why.unwrap_or_else(|| format!("table \"{name}\" is being read")))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::Format;

    fn file(
        folder: &tempfile::TempDir,
        name: &str,
        text: &str,
        format: Format,
    ) -> (String, TableSource) {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (name.to_owned(), TableSource::File { path, format })
    }

    fn found(key: usize, value: &str) -> Found {
        Found { key, value: value.to_owned() }
    }

    #[test]
    fn keys_are_tried_in_turn_and_patterns_are_asked_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let sources = BTreeMap::from([
            file(&folder, "virtual", "@elfic.net contact@elfic.net\n", Format::Texthash),
            file(&folder, "regexp", "/^b$/ never\n/^(a)@/ <$1>\n", Format::Regexp),
            file(&folder, "cidr", "192.0.2.0/24 OK\n", Format::Cidr),
            ("inline".to_owned(), TableSource::Inline(vec![("a".into(), "1".into())])),
        ]);
        let (tables, errors) = Tables::open(&sources, None);
        assert_eq!(errors, []);
        assert_eq!(
            tables.find("virtual", &["X@Elfic.net", "@ELFIC.net"]),
            Ok(Some(found(1, "contact@elfic.net")))
        );
        assert_eq!(tables.find("virtual", &["x@elfic.net"]), Ok(None));
        assert_eq!(tables.find("regexp", &["a@x", "b"]), Ok(Some(found(0, "<a>"))));
        assert_eq!(tables.find("regexp", &["c", "b"]), Ok(None));
        assert_eq!(tables.find("cidr", &["192.0.2.1"]), Ok(Some(found(0, "OK"))));
        assert_eq!(tables.find("inline", &["A"]), Ok(Some(found(0, "1"))));
        assert_eq!(tables.find("nothing", &["a"]), Err(FindError::Unknown));
        assert_eq!(tables.find("cidr", &[] as &[&str]), Ok(None));
    }

    #[test]
    fn a_domain_is_found_in_whatever_form_it_is_written_and_asked() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "xn--bcher-kva.test 1\nu@XN--MNCHEN-3ya.test 2\n.日本.jp 3\n";
        let sources = BTreeMap::from([
            file(&folder, "texthash", lines, Format::Texthash),
            file(
                &folder,
                "aliases",
                "xn--bcher-kva.test: 1\n\"u@xn--mnchen-3ya.test\": 2\n.日本.jp: 3\n",
                Format::Aliases,
            ),
            (
                "inline".to_owned(),
                TableSource::Inline(vec![
                    ("bücher.test".into(), "1".into()),
                    ("u@münchen.test".into(), "2".into()),
                    (".日本.jp".into(), "3".into()),
                ]),
            ),
            file(
                &folder,
                "a-labels",
                "/^xn--bcher-kva\\.test$/ 1\n/^(.)@xn--mnchen-3ya\\.test$/ 2\n\
                 !/xn--wgv71a\\.jp$/ none\n/./ 3\n",
                Format::Regexp,
            ),
            file(
                &folder,
                "u-labels",
                "/^bücher\\.test$/ 1\n/^(.)@münchen/ 2\n!/日本\\.jp$/ none\n/./ 3\n",
                Format::Regexp,
            ),
        ]);
        let (tables, errors) = Tables::open(&sources, None);
        assert_eq!(errors, []);
        for table in sources.keys() {
            for (asked, value) in [
                ("bücher.test", "1"),
                ("xn--bcher-kva.test", "1"),
                ("BÜCHER.test", "1"),
                ("u@münchen.test", "2"),
                ("u@xn--mnchen-3ya.test", "2"),
                (".日本.jp", "3"),
                (".xn--wgv71a.jp", "3"),
            ] {
                assert_eq!(
                    tables.find(table, &[asked]),
                    Ok(Some(found(0, value))),
                    "{table}: {asked}"
                );
            }
        }
        assert_eq!(tables.find("a-labels", &["x.test"]), Ok(Some(found(0, "none"))));
    }

    #[test]
    fn a_table_that_never_was_good_cannot_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let broken = file(&folder, "broken", "a b\nc\n", Format::Texthash);
        let missing = (
            "missing".to_owned(),
            TableSource::File { path: "/nonexistent".into(), format: Format::Cidr },
        );
        let (tables, errors) = Tables::open(&BTreeMap::from([broken, missing]), None);
        let path = folder.path().join("broken");
        let reason = format!(
            "table \"broken\": {}:2: \"c\" has no value: write a key, white space and a value",
            path.display()
        );
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].to_string(), reason);
        assert_eq!(tables.find("broken", &["a"]), Err(FindError::Unavailable(reason)));
        assert!(matches!(tables.find("missing", &[] as &[&str]), Err(FindError::Unavailable(_))));
    }

    #[test]
    fn a_change_is_in_force_within_two_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let (name, source) = file(&folder, "t", "a 1\n", Format::Texthash);
        let (tables, _) = Tables::open(&BTreeMap::from([(name, source)]), None);
        tables.watch().unwrap();
        let before = tables.generation();
        std::fs::write(folder.path().join("t"), "a 2\n").unwrap();
        let start = Instant::now();
        while tables.find("t", &["a"]) != Ok(Some(found(0, "2"))) {
            assert!(start.elapsed() < Duration::from_secs(2), "the change came too late");
            std::thread::yield_now();
        }
        while tables.generation() == before {
            assert!(start.elapsed() < Duration::from_secs(2));
        }
    }

    #[test]
    fn the_watcher_ends_with_its_tables() {
        let (tables, _) = Tables::open(&BTreeMap::new(), None);
        tables.watch().unwrap();
        let weak = Arc::downgrade(&tables);
        drop(tables);
        let start = Instant::now();
        while weak.upgrade().is_some() {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn a_reload_keeps_the_last_good_version_and_goes_on_counting() {
        let folder = tempfile::tempdir().unwrap();
        let (name, source) = file(&folder, "t", "a 1\n", Format::Texthash);
        let sources = BTreeMap::from([(name, source)]);
        let (before, _) = Tables::open(&sources, None);
        std::fs::write(folder.path().join("t"), "broken\n").unwrap();
        let (after, errors) = Tables::open(&sources, Some(&before));
        assert_eq!(errors.len(), 1);
        assert_eq!(after.find("t", &["a"]), Ok(Some(found(0, "1"))));
        assert!(after.generation() > 1);
    }
}
