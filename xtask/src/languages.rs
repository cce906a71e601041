//! Plugins in C, Go, JavaScript and Python (`tests/languages`), built by their languages' own tools
//! to `target/languages/<language>.wasm`.
//!
//! They are made anew only where their source, the contract, the tools or this recipe changed.
//! Building facteur needs none of them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::language_tools::LanguageTools;
use crate::shell::{self, Outcome};

/// Where the sources are, below the repository: a folder for each language, the world that they
/// share, and the program that makes bindings for it.
const SOURCES: &str = "tests/languages";

/// How a language's plugin is built.
struct Language {
    /// Its folder below `SOURCES`, and the name of its component.
    name: &'static str,
    build: fn(&Workshop) -> Outcome,
}

const LANGUAGES: [Language; 4] = [
    Language { name: "c", build: c },
    Language { name: "go", build: go },
    Language { name: "js", build: javascript },
    Language { name: "python", build: python },
];

/// What all are made of besides their own folder, below the repository.
const SHARED: [&str; 7] = [
    "wit",
    "tests/languages/wit",
    "tests/languages/tools",
    "tests/languages/bindings/src",
    "tests/languages/bindings/Cargo.lock",
    "xtask/src/languages.rs",
    "xtask/src/language_tools.rs",
];

/// Where one plugin is built.
struct Workshop<'a> {
    tools: &'a LanguageTools,
    /// A copy of its sources: some tools write beside them.
    folder: PathBuf,
    /// Where the tools keep what serves the next build.
    cache: PathBuf,
    component: PathBuf,
}

/// Builds those that aren't as their sources are.
pub fn build() -> Outcome {
    let output = shell::root().join("target/languages");
    shell::create_directory(&output)?;
    let tools = LanguageTools::install()?;
    for language in &LANGUAGES {
        let sources = shell::root().join(SOURCES).join(language.name);
        let now = fingerprint(&sources)?;
        let marker = output.join(language.name).with_extension("built");
        let component = output.join(language.name).with_extension("wasm");
        if component.is_file() && fs::read_to_string(&marker).is_ok_and(|built| built == now) {
            continue;
        }
        shell::step(&format!("build {SOURCES}/{}", language.name), || {
            let built = shell::root().join("target/languages-build");
            let folder = built.join(language.name);
            shell::remove_directory(&folder)?;
            shell::copy(&sources, &folder)?;
            let cache = built.join("cache");
            (language.build)(&Workshop { tools: &tools, folder, cache, component })
        })?;
        shell::write_file(&marker, &now)?;
    }
    Ok(())
}

impl Workshop<'_> {
    /// The world of these plugins.
    fn wit() -> PathBuf {
        shell::root().join(SOURCES).join("wit")
    }

    /// Writes the bindings of a language that has no tool for it among the others.
    fn bindings(&self, language: &str) -> Outcome {
        let mut cargo = self.bindings_cargo();
        cargo.args(["run", "--quiet", "--locked", "--", language]);
        shell::run(cargo.arg(Self::wit()).arg(&self.folder))
    }

    fn bindings_cargo(&self) -> Command {
        let mut cargo = cargo::for_guests();
        cargo.current_dir(shell::root().join(SOURCES).join("bindings"));
        cargo.env("CARGO_TARGET_DIR", self.cache.join("bindings"));
        cargo
    }

    fn run(&self, command: &mut Command) -> Outcome {
        shell::capture(command.current_dir(&self.folder)).map(drop)
    }

    fn wasm_tools(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.tools.python("wasm-tools");
        self.run(command.arg("component").args(arguments).arg("-o").arg(&self.component))
    }
}

fn c(workshop: &Workshop) -> Outcome {
    workshop.bindings("c")?;
    let mut zig = workshop.tools.python("python-zig");
    zig.args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-Os", "-flto", "-Wall"]);
    // A small stack makes for a small memory, as for guests in Rust.
    zig.args(["-Wextra", "-Werror", "-Wl,-z,stack-size=32768"]);
    zig.args(["hooks.c", "plugin.c", "plugin_component_type.o", "-o", "core.wasm"]);
    zig.env("ZIG_GLOBAL_CACHE_DIR", workshop.cache.join("zig"));
    workshop.run(zig.env("ZIG_LOCAL_CACHE_DIR", workshop.cache.join("zig")))?;
    workshop.wasm_tools(&["new", "core.wasm"])
}

fn go(workshop: &Workshop) -> Outcome {
    workshop.bindings("go")?;
    // The bindings' own module comes with the crate that makes them.
    let crates = cargo::metadata_with_dependencies(&mut workshop.bindings_cargo())?;
    let generator = crates.packages.iter().find(|one| one.name.as_str() == "wit-bindgen-go");
    let generator =
        generator.ok_or("the program that makes bindings doesn't use wit-bindgen-go")?;
    let module = generator.manifest_path.with_file_name("src").join("pkg");
    let go = || {
        let mut go = workshop.tools.python("go");
        go.env("GOENV", "off").env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
        go.env("GOFLAGS", "-mod=mod").env("GOOS", "wasip1").env("GOARCH", "wasm");
        go.env("GOPATH", workshop.cache.join("go")).env("GOCACHE", workshop.cache.join("go-build"));
        go
    };
    let replace = format!("-replace=go.bytecodealliance.org/pkg={module}");
    workshop.run(go().args(["mod", "edit", &replace]))?;
    // The bindings take memory of the runtime before it has begun, by a name that isn't public.
    let flags = "-ldflags=-s -w -checklinkname=0";
    workshop.run(go().args(["build", "-buildmode=c-shared", flags, "-o", "core.wasm", "."]))?;
    let mut embed = workshop.tools.python("wasm-tools");
    embed.args(["component", "embed"]).arg(Workshop::wit());
    workshop.run(embed.args(["core.wasm", "-o", "embedded.wasm"]))?;
    workshop.wasm_tools(&["new", "embedded.wasm", "--adapt", "wasi_snapshot_preview1=wasi.wat"])
}

fn javascript(workshop: &Workshop) -> Outcome {
    let mut componentize = workshop.tools.node("componentize-qjs");
    componentize.args(["--js", "hooks.js", "--sync", "--stub-wasi", "--opt-size", "--wit"]);
    workshop.run(componentize.arg(Workshop::wit()).arg("--output").arg(&workshop.component))
}

fn python(workshop: &Workshop) -> Outcome {
    let mut componentize = workshop.tools.python("componentize-py");
    componentize.arg("--wit-path").arg(Workshop::wit()).args(["--world", "plugin"]);
    componentize.args(["componentize", "--stub-wasi", "hooks", "--output"]);
    workshop.run(componentize.arg(&workshop.component))
}

/// What says whether a plugin is as its sources are.
fn fingerprint(sources: &Path) -> Outcome<String> {
    let mut hasher = DefaultHasher::new();
    let shared = SHARED.map(|path| shell::root().join(path));
    for path in shared.iter().map(PathBuf::as_path).chain([sources]) {
        add(path, &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Adds a file, or all files of a folder, with their names.
fn add(path: &Path, hasher: &mut DefaultHasher) -> Outcome {
    if path.is_dir() {
        return shell::list_directory(path)?.iter().try_for_each(|inner| add(inner, hasher));
    }
    path.hash(hasher);
    shell::read(path)?.hash(hasher);
    Ok(())
}
