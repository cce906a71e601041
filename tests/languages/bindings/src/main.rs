//! `bindings LANGUAGE WIT FOLDER`: writes the bindings of the world in the folder `WIT`, for `c` or
//! `go`, into `FOLDER`; what `wit-bindgen LANGUAGE WIT --out-dir FOLDER` does, without its other
//! languages.

use std::borrow::Cow;
use std::path::PathBuf;
use std::{env, fs, str};

use anyhow::{Context as _, Result, bail};
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [language, wit, folder] = &arguments[..] else { bail!("usage: bindings c|go WIT FOLDER") };
    let mut generator: Box<dyn WorldGenerator> = match language.as_str() {
        "c" => wit_bindgen_c::Opts::default().build(),
        "go" => wit_bindgen_go::Opts::default().build(),
        _ => bail!("{language}: only c and go are known"),
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        let path = PathBuf::from(folder).join(name);
        let parent = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        let contents = match name {
            "wit_exports.go" => Cow::Owned(with_room_for_answers(str::from_utf8(contents)?)?),
            _ => Cow::Borrowed(contents),
        };
        fs::write(&path, contents).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The Go bindings of wit-bindgen 0.63 take as much memory for answers as the largest needs; their
/// runtime then panics where that is no multiple of the alignment. Rounds it up to 8, the largest
/// alignment.
fn with_room_for_answers(exports: &str) -> Result<Vec<u8>> {
    const CALL: &str = "witRuntime.Allocate(&staticPinner, ";
    let (before, arguments) = exports.split_once(CALL).context("no memory for answers")?;
    let (size, alignment) = arguments.split_once(", ").context("no alignment")?;
    Ok(format!("{before}{CALL}({size}+7)&^7, {alignment}").into_bytes())
}
