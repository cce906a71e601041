//! Layers: in a crate no two files import each other, neither directly nor by way of others, and no
//! two rooms do. A room is a folder together with the file that is named as it. What counts as an
//! import is said in `imports.rs`.

mod circle;
mod imports;
mod source;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{self, Outcome};
use circle::{Circle, Graph, circles};
use imports::Imports;
use source::Crate;

/// What is looked at, each by the folder of its `src`.
const CRATES: [&str; 5] = ["host/smtp", "host/spool", "host/policy", "host/mta", "xtask"];

/// Fails on a circle in any of them.
pub fn check() -> Outcome {
    let mut found = String::new();
    for folder in CRATES {
        found += &report(folder)?;
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Prints the circles of all crates.
pub fn show() -> Outcome {
    for folder in CRATES {
        let report = report(folder)?;
        shell::print(&if report.is_empty() { format!("{folder}: layers\n") } else { report })?;
    }
    Ok(())
}

/// The circles of one crate, for a reader; empty where there is none.
fn report(folder: &str) -> Outcome<String> {
    let source = shell::root().join(folder).join("src");
    let roots = ["lib.rs", "main.rs"];
    let root = roots.iter().find(|root| source.join(root).is_file());
    let root = root.ok_or_else(|| format!("{} has neither of {roots:?}", source.display()))?;
    let read = Crate::read(Path::new(root), &|file| fs::read_to_string(source.join(file)).ok());
    let read = read.map_err(|error| format!("{}/{error}", source.display()))?;
    Ok(described(folder, &imports::imports(&read)))
}

fn described(folder: &str, imports: &Imports) -> String {
    let mut text = String::new();
    let of_files = circles(&counted(imports));
    for circle in &of_files {
        describe(&mut text, folder, "files", circle, imports);
    }
    let mut folders: BTreeSet<&Path> =
        imports.keys().flat_map(|(from, _)| from.ancestors().skip(1)).collect();
    folders.extend(imports.keys().flat_map(|(_, to)| to.ancestors().skip(1)));
    for within in folders {
        let rooms = between_rooms(within, imports);
        for circle in circles(&counted(&rooms)) {
            // A circle of files is one of the rooms that they stand in: it is told once.
            let is_told = of_files.iter().any(|files| {
                let rooms: Vec<_> =
                    files.nodes.iter().filter_map(|file| room(within, file)).collect();
                circle.nodes.iter().all(|node| rooms.contains(node))
            });
            if !is_told {
                describe(&mut text, folder, "rooms", &circle, &rooms);
            }
        }
    }
    text
}

fn describe(
    text: &mut String,
    folder: &str,
    what: &str,
    circle: &Circle<PathBuf>,
    imports: &Imports,
) {
    let nodes: Vec<_> = circle.nodes.iter().map(|node| node.display().to_string()).collect();
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "{folder}: {} {what} import each other in a circle: {}\n  what leads back up:",
        nodes.len(),
        nodes.join(", ")
    );
    for tie in &circle.upward {
        let names = imports[tie].iter().map(|(name, line)| format!("{name} (line {line})"));
        let names = names.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "    {} → {}: {names}", tie.0.display(), tie.1.display());
    }
}

fn counted(imports: &Imports) -> Graph<PathBuf> {
    imports.iter().map(|(tie, names)| (tie.clone(), names.len())).collect()
}

/// The room of a file among those in the folder `within`: a file, or a folder with the file of its
/// name. The file of the folder itself is one of them.
fn room(within: &Path, file: &Path) -> Option<PathBuf> {
    if file.with_extension("") == within {
        return Some(file.to_owned());
    }
    let first = file.strip_prefix(within).ok()?.components().next()?;
    Some(within.join(first).with_extension(""))
}

/// The imports from room to room; a name is told with the file where it stands.
fn between_rooms(within: &Path, imports: &Imports) -> Imports {
    let mut rooms = Imports::new();
    for ((from, to), names) in imports {
        let (Some(from_room), Some(to_room)) = (room(within, from), room(within, to)) else {
            continue;
        };
        if from_room != to_room {
            let names =
                names.iter().map(|(name, line)| (format!("{name} in {}", from.display()), *line));
            rooms.entry((from_room, to_room)).or_default().extend(names);
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a crate with these files.
    fn told(files: &[(&str, &str)]) -> String {
        let open = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        let read = Crate::read(Path::new("lib.rs"), &open).unwrap();
        described("made-up", &imports::imports(&read))
    }

    #[test]
    fn layers_are_fine() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B; pub struct A(B);"),
            ("b.rs", "use std::fmt; pub struct B(fmt::Error);"),
        ];
        assert_eq!(told(&files), "");
    }

    #[test]
    fn a_circle_is_named_with_what_ties_it_at_its_weakest() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::{B, more};\npub struct A;"),
            ("b.rs", "use crate::c::{C, other};\npub struct B;"),
            ("c.rs", "\nuse crate::a::A;\npub struct C;"),
        ];
        assert_eq!(
            told(&files),
            "made-up: 3 files import each other in a circle: a.rs, b.rs, c.rs\n  what leads back \
             up:\n    c.rs → a.rs: A (line 2)\n"
        );
    }

    #[test]
    fn paths_within_the_code_count_in_macros_too() {
        for b in [
            "fn b() { crate::a::call() }",
            "fn b() { super::a::call() }",
            "impl crate::a::Trait for B {}",
            "fn b() -> Vec<super::a::Type> { todo!() }",
            "fn b() { println!(\"{}\", crate::a::NUMBER) }",
            "use crate::a; fn b() { a::call() }",
            "use super::a as other; fn b() { other::call() }",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", b)];
            assert!(told(&files).contains("a.rs"), "{b}");
        }
    }

    #[test]
    fn a_reexport_is_followed_and_imports_nothing_itself() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::{A, deep};"),
            ("a.rs", "pub mod deep; pub use deep::A; pub struct Base;"),
            ("a/deep.rs", "use super::Base; pub struct A(Base);"),
            ("b.rs", "use crate::A; fn b(_: crate::deep::A) {}"),
        ];
        assert_eq!(told(&files), "");
        let mut named = files;
        named[1].1 = "pub mod deep; pub use deep::A; pub struct Base; fn a(_: A) {}";
        assert!(told(&named).contains("2 files import each other"), "{}", told(&named));
    }

    #[test]
    fn a_declaration_is_no_import_but_names_both_ways_are_a_circle() {
        let child = ("a/child.rs", "use super::Base; pub fn child(_: Base) {}");
        let declared = [("lib.rs", "mod a;"), ("a.rs", "mod child; pub struct Base;"), child];
        assert_eq!(told(&declared), "");
        let a = ("a.rs", "mod child; pub struct Base; fn a() { child::child(Base) }");
        let text = told(&[("lib.rs", "mod a;"), a, child]);
        assert!(text.contains("a.rs → a/child.rs") || text.contains("a/child.rs → a.rs"), "{text}");
    }

    #[test]
    fn what_is_for_tests_doesnt_count() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] use crate::a::A; #[cfg(test)] mod tests { use \
                 crate::a::A; } impl B { #[cfg(test)] fn b(_: crate::a::A) {} } fn c() { \
                 #[cfg(test)] crate::a::call(); }",
            ),
        ];
        assert_eq!(told(&files), "");
    }

    #[test]
    fn rooms_that_import_each_other_are_a_circle_even_if_no_file_does() {
        let files = [
            ("lib.rs", "mod hall; mod kitchen;"),
            ("hall.rs", "mod door; pub mod lamp;"),
            ("hall/door.rs", "use crate::kitchen::Stove;"),
            ("hall/lamp.rs", "pub struct Lamp;"),
            ("kitchen.rs", "pub struct Stove; use crate::hall::lamp::Lamp;"),
        ];
        let text = told(&files);
        assert!(text.contains("2 rooms import each other in a circle: "), "{text}");
        assert!(text.contains("hall → kitchen: Stove in hall/door.rs (line 1)"), "{text}");
    }
}
