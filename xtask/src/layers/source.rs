//! Reads the sources of a crate: its modules, what each brings into its scope, and every path that
//! each writes. Who is meant by a path is for `imports.rs`.
//!
//! Code for tests alone (`#[cfg(test)]`) isn't read. What a macro is given is read token by token,
//! since nothing else is known of it; what it makes of that isn't seen.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

use crate::shell::Outcome;

/// A module, by its place in [`Crate::modules`].
pub type ModuleId = usize;

/// The root module.
pub const ROOT: ModuleId = 0;

/// All modules of a crate that aren't for tests.
#[derive(Debug, Default)]
pub struct Crate {
    pub modules: Vec<Module>,
}

/// A module: a file, or a part of one.
#[derive(Debug, Default)]
pub struct Module {
    pub file: PathBuf,
    pub parent: Option<ModuleId>,
    pub children: BTreeMap<String, ModuleId>,
    pub bindings: Vec<Binding>,
    /// Every path in the code, but those of `use`.
    pub mentions: Vec<Mention>,
}

/// One name that a `use` brings into the scope.
#[derive(Debug)]
pub struct Binding {
    /// The name here; `*` for all that the path holds, `_` for a trait without a name.
    pub name: String,
    pub path: Mention,
    /// `pub use`, to however many: whoever names it here means what it stands for.
    pub is_reexport: bool,
}

/// A path somewhere in the code.
#[derive(Debug, Clone)]
pub struct Mention {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Crate {
    /// Reads the crate whose root is `file`; `open` hands over a file, or nothing where there is
    /// none.
    pub fn read(file: &Path, open: &dyn Fn(&Path) -> Option<String>) -> Outcome<Self> {
        let mut this = Self { modules: vec![Module::default()] };
        this.read_file(ROOT, file, &folder_of(file), open)?;
        Ok(this)
    }

    /// Reads a file as the module `at`, whose children lie in `folder`.
    fn read_file(
        &mut self,
        at: ModuleId,
        file: &Path,
        folder: &Path,
        open: &dyn Fn(&Path) -> Option<String>,
    ) -> Outcome {
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
        let text = open(file).ok_or_else(|| failed(&"can't be read"))?;
        let syntax = syn::parse_file(&text)
            .map_err(|error| failed(&format!("line {}: {error}", error.span().start().line)))?;
        self.read_items(at, file, folder, &syntax.items, open)
    }

    fn read_items(
        &mut self,
        at: ModuleId,
        file: &Path,
        folder: &Path,
        items: &[Item],
        open: &dyn Fn(&Path) -> Option<String>,
    ) -> Outcome {
        file.clone_into(&mut self.modules[at].file);
        let mut reader = Reader { module: &mut self.modules[at], modules: Vec::new() };
        for item in items {
            reader.visit_item(item);
        }
        for child in reader.modules {
            let name = child.ident.to_string();
            let id = self.modules.len();
            self.modules.push(Module { parent: Some(at), ..Module::default() });
            self.modules[at].children.insert(name.clone(), id);
            let own_folder = folder.join(&name);
            if let Some((_, items)) = &child.content {
                self.read_items(id, file, &own_folder, items, open)?;
                continue;
            }
            let places = match named_path(child) {
                Some(path) => vec![folder_of(file).join(path)],
                None => vec![own_folder.with_extension("rs"), own_folder.join("mod.rs")],
            };
            let place = places.iter().find(|place| open(place).is_some()).ok_or_else(|| {
                format!("{}: there is no file for the module {name}", file.display())
            })?;
            self.read_file(id, place, &own_folder, open)?;
        }
        Ok(())
    }
}

/// What `#[path = "…"]` says.
fn named_path(module: &syn::ItemMod) -> Option<String> {
    module.attrs.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(meta) if meta.path.is_ident("path") => {
            syn::parse2(meta.value.to_token_stream()).ok().map(|path: syn::LitStr| path.value())
        }
        _ => None,
    })
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_owned()
}

/// Walks over the items of one module; the modules in it are put aside.
struct Reader<'a, 'ast> {
    module: &'a mut Module,
    modules: Vec<&'ast syn::ItemMod>,
}

impl Reader<'_, '_> {
    fn mention(&mut self, segments: Vec<String>, line: usize) {
        self.module.mentions.push(Mention { segments, line });
    }

    fn bind(&mut self, before: &[String], tree: &UseTree, is_reexport: bool) {
        let joined = |name: &syn::Ident| {
            let mut segments = before.to_vec();
            // `use a::{self}` means `a`.
            if before.is_empty() || name != "self" {
                segments.push(name.to_string());
            }
            segments
        };
        let (name, segments, line) = match tree {
            UseTree::Path(path) => return self.bind(&joined(&path.ident), &path.tree, is_reexport),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.bind(before, tree, is_reexport));
            }
            UseTree::Name(name) => {
                let segments = joined(&name.ident);
                let last = segments.last().cloned().unwrap_or_default();
                (last, segments, name.ident.span().start().line)
            }
            UseTree::Rename(rename) => {
                let line = rename.ident.span().start().line;
                (rename.rename.to_string(), joined(&rename.ident), line)
            }
            UseTree::Glob(glob) => {
                ("*".to_owned(), before.to_vec(), glob.star_token.spans[0].start().line)
            }
        };
        let path = Mention { segments, line };
        self.module.bindings.push(Binding { name, path, is_reexport });
    }

    /// Finds paths among tokens: names with `::` between them.
    fn scan(&mut self, tokens: TokenStream) {
        let mut segments = Vec::new();
        let mut line = 0;
        // How many colons stand after the last name, and whether a dot stands before it.
        let mut colons = 0;
        let mut is_member = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.scanned(&mut segments, line);
                    }
                    if !is_member {
                        line = name.span().start().line;
                        segments.push(name.to_string());
                    }
                    (colons, is_member) = (0, false);
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.scanned(&mut segments, line);
                    colons = 0;
                    is_member = matches!(&other, TokenTree::Punct(mark) if mark.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.scan(group.stream());
                    }
                }
            }
        }
        self.scanned(&mut segments, line);
    }

    fn scanned(&mut self, segments: &mut Vec<String>, line: usize) {
        if !segments.is_empty() {
            self.mention(std::mem::take(segments), line);
        }
    }
}

/// Leaves out what is for tests alone.
macro_rules! visit_unless_for_tests {
    ($($visit:ident: $node:ty,)*) => {
        $(fn $visit(&mut self, node: &'ast $node) {
            if !is_for_tests(node.to_token_stream()) {
                visit::$visit(self, node);
            }
        })*
    };
}

impl<'ast> Visit<'ast> for Reader<'_, 'ast> {
    visit_unless_for_tests! {
        visit_item: Item,
        visit_impl_item: syn::ImplItem,
        visit_trait_item: syn::TraitItem,
        visit_stmt: syn::Stmt,
        visit_field: syn::Field,
        visit_field_value: syn::FieldValue,
        visit_variant: syn::Variant,
        visit_arm: syn::Arm,
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.modules.push(module);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        // `use ::name` is another crate.
        if item.leading_colon.is_none() {
            self.bind(&[], &item.tree, is_reexport);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let (None, Some(first)) = (path.leading_colon, path.segments.first()) {
            let line = first.ident.span().start().line;
            let names = path.segments.iter().map(|segment| segment.ident.to_string());
            self.mention(names.collect(), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// Whether `#[cfg(test)]`, or a condition with `test` that must hold, stands before the item.
fn is_for_tests(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter();
    while let (Some(TokenTree::Punct(mark)), Some(TokenTree::Group(attribute))) =
        (tokens.next(), tokens.next())
    {
        if mark.as_char() != '#' {
            return false;
        }
        let text: String = attribute.stream().to_string().split_whitespace().collect();
        if text == "cfg(test)" || text.starts_with("cfg(all(test,") {
            return true;
        }
    }
    false
}
