//! The binary `facteur`; everything is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Sandboxes, replies and rows are made and dropped by the thousand each second, by some threads
/// for others.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    facteur::cli::main()
}
