//! A trap in words: what happened, what the guest said of it, and where it was.

use std::fmt::Write as _;

use wasmtime::WasmBacktrace;

/// Frames that are told, from the innermost: the place, and who called it.
const FRAMES: usize = 6;
/// The longest name of a function that is told, in bytes.
const NAME: usize = 120;
/// How wasmtime begins: the label says so already.
const WASM_TRAP: &str = "wasm trap: ";

/// The cause, the guest's own last words, and the frames whose functions have names.
pub(super) fn told(error: &wasmtime::Error, last_words: Option<&str>) -> String {
    let cause = error.root_cause().to_string();
    let mut text = cause.strip_prefix(WASM_TRAP).unwrap_or(&cause).to_owned();
    // Writing to a String can't fail.
    if let Some(words) = last_words {
        let _ = write!(text, ": {words}");
    }
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return text };
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    for (number, name) in names.take(FRAMES).enumerate() {
        let name = &name[..name.floor_char_boundary(NAME)];
        let before = if number == 0 { "; in" } else { ", from" };
        let _ = write!(text, "{before} {name}");
    }
    text
}
