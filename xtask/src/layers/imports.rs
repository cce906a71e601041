//! Which file imports what from which other: paths are followed to where their last name is
//! defined, through every `use` on the way.
//!
//! - A private `use` of an item is an import, used or not; so is every path in the code.
//! - A re-export (`pub use`) is a door: it imports nothing itself. Whoever names it, from outside
//!   or in the same file, imports from where the item is defined.
//! - A module is never imported, only what it holds: `use crate::queue;` counts by the paths that
//!   begin with `queue::`.
//! - `use …::*` imports from the module that it names.
//! - `mod child;` is no import. A name of the child in the parent is, and one of the parent in the
//!   child: both together are a circle.
//!
//! A method called on a value whose type isn't named isn't seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::source::{Binding, Crate, ModuleId, ROOT};

/// How many `use` are followed one after the other. More means that they name each other.
const MAX_HOPS: usize = 16;

/// From file to file: the names, and the line where each first stands.
pub type Imports = BTreeMap<(PathBuf, PathBuf), BTreeMap<String, usize>>;

/// What a path means.
enum Meaning {
    Module(ModuleId),
    /// An item, and the module that defines it.
    Item(ModuleId, String),
}

/// All that the files of a crate import from each other.
pub fn imports(of: &Crate) -> Imports {
    let mut imports = Imports::new();
    for (at, module) in of.modules.iter().enumerate() {
        let mut add = |to: ModuleId, name: String, line: usize| {
            let to = &of.modules[to].file;
            if *to != module.file {
                let names = imports.entry((module.file.clone(), to.clone())).or_default();
                let first = names.entry(name).or_insert(line);
                *first = line.min(*first);
            }
        };
        for binding in &module.bindings {
            let line = binding.path.line;
            match meaning(of, at, &binding.path.segments, MAX_HOPS) {
                Some(Meaning::Module(to)) if binding.name == "*" => add(to, "*".to_owned(), line),
                Some(Meaning::Item(to, name)) if !binding.is_reexport => add(to, name, line),
                _ => {}
            }
        }
        for mention in &module.mentions {
            if let Some(Meaning::Item(to, name)) = meaning(of, at, &mention.segments, MAX_HOPS) {
                add(to, name, mention.line);
            }
        }
    }
    imports
}

/// What a path in module `from` means; nothing where it leads out of the crate.
fn meaning(of: &Crate, from: ModuleId, path: &[String], hops: usize) -> Option<Meaning> {
    let hops = hops.checked_sub(1)?;
    let mut at = from;
    for (i, segment) in path.iter().enumerate() {
        let module = &of.modules[at];
        match segment.as_str() {
            "crate" => at = ROOT,
            "self" => {}
            "super" => at = module.parent?,
            name => {
                if let Some(child) = module.children.get(name) {
                    at = *child;
                } else if let Some(binding) = binding(&module.bindings, name) {
                    let rest = path[i + 1..].iter().cloned();
                    let whole: Vec<_> = binding.path.segments.iter().cloned().chain(rest).collect();
                    return meaning(of, at, &whole, hops);
                } else if i == 0 {
                    // Another crate, something of the standard library's, or of this module.
                    return None;
                } else {
                    return Some(Meaning::Item(at, name.to_owned()));
                }
            }
        }
    }
    Some(Meaning::Module(at))
}

/// What brings this name into the scope. Not a macro's `pub(crate) use name`, which names itself.
fn binding<'a>(bindings: &'a [Binding], name: &str) -> Option<&'a Binding> {
    bindings.iter().find(|binding| binding.name == name && binding.path.segments != [name])
}
