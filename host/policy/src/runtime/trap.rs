//! A trap in words: what happened, what the guest said of it, and where it was.

use std::fmt::Write as _;
use std::path::Path;

use wasmtime::{FrameInfo, FrameSymbol, WasmBacktrace};

/// Frames that are told, from the innermost: the place, and who called it.
const FRAMES: usize = 6;
/// The longest name of a function or of a file that is told, in bytes.
const NAME: usize = 120;
/// How wasmtime begins: the label says so already.
const WASM_TRAP: &str = "wasm trap: ";

/// The cause, the guest's own last words, and the frames that have names or lines.
pub(crate) fn told(error: &wasmtime::Error, last_words: Option<&str>) -> String {
    let cause = error.root_cause().to_string();
    let mut text = cause.strip_prefix(WASM_TRAP).unwrap_or(&cause).to_owned();
    // Writing to a String can't fail.
    if let Some(words) = last_words {
        let _ = write!(text, ": {words}");
    }
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return text };
    for (number, frame) in backtrace.frames().iter().filter_map(place).take(FRAMES).enumerate() {
        let before = if number == 0 { "; in" } else { ", from" };
        let _ = write!(text, "{before} {frame}");
    }
    text
}

/// The function, and its file and line where the component has debug information; none where it has
/// neither name nor line.
fn place(frame: &FrameInfo) -> Option<String> {
    // Of functions that were inlined into each other the innermost comes first.
    let symbol = frame.symbols().first();
    let name = symbol.and_then(FrameSymbol::name).or_else(|| frame.func_name());
    let at = symbol.and_then(|symbol| {
        let file = Path::new(symbol.file()?).file_name()?.to_str()?;
        Some(format!("{}:{}", cut(file), symbol.line()?))
    });
    match (name.map(cut), at) {
        (Some(name), Some(at)) => Some(format!("{name} ({at})")),
        (Some(name), None) => Some(name),
        (None, at) => at,
    }
}

/// What a component calls its own, fit for a line of the log.
fn cut(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(NAME)];
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
