//! Running other programs, with clear errors, with progress on a terminal and plain lines elsewhere;
//! and files.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// An error is a sentence for the person at the terminal that names the mend where there is one.
pub type Outcome<T = ()> = Result<T, String>;

/// How many of the last lines of a silent command's output are shown when it fails.
const TAIL_LINES: usize = 30;

/// The repository.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Does what only one xtask at a time may do in this checkout; another one waits.
pub fn alone(work: impl FnOnce() -> Outcome) -> Outcome {
    create_directory(&root().join("target"))?;
    let path = root().join("target/xtask.lock");
    let failed = |error| format!("can't lock {}: {error}", path.display());
    // Open to the end of this function; no child inherits it.
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another cargo xtask in this checkout");
            file.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    work()
}

/// Prints what was asked for. Whoever reads it may go away in the middle (`… | head`): that is no
/// error.
pub fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("can't print: {error}"))
        }
        _ => Ok(()),
    }
}

/// Does one named step and says how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    eprintln!("==> {name}");
    let start = Instant::now();
    let outcome = work().map_err(|error| format!("{name}: {error}"));
    let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
    eprintln!("<== {name}: {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

/// Does something silent and long behind a spinner; without a terminal a plain line announces it.
pub fn progress<T>(message: &str, work: impl FnOnce() -> T) -> T {
    let bar = ProgressBar::new_spinner().with_message(message.to_owned());
    if bar.is_hidden() {
        eprintln!("    {message}");
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    bar.finish_and_clear();
    result
}

/// Runs a command that shows its own output.
pub fn run(command: &mut Command) -> Outcome {
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", line(command))) }
}

/// Runs a command silently and hands over its standard output. Where it fails, the end of its
/// output is in the error.
pub fn capture(command: &mut Command) -> Outcome<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("`{}` failed ({})\n{}", line(command), output.status, tail(&output)))
    }
}

/// Whether a command can be run and succeeds; its output doesn't matter.
pub fn succeeds(command: &mut Command) -> bool {
    capture(command).is_ok()
}

/// The first file of this name in `PATH` and in the administrator's folders, which a user's `PATH`
/// may lack.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrator = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(administrator)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Makes a folder and those above it.
pub fn create_directory(path: &Path) -> Outcome {
    fs::create_dir_all(path).map_err(|error| format!("can't make {}: {error}", path.display()))
}

/// Removes a folder with all that is in it; one that isn't there is fine.
pub fn remove_directory(path: &Path) -> Outcome {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("can't remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The paths in a folder, sorted.
pub fn list_directory(path: &Path) -> Outcome<Vec<PathBuf>> {
    let entries =
        fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries: Vec<PathBuf> =
        entries.map_err(|error| format!("can't read {}: {error}", path.display()))?;
    entries.sort();
    Ok(entries)
}

/// Reads a whole file.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))
}

/// Copies a file, or a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Outcome {
    if from.is_dir() {
        create_directory(to)?;
        return list_directory(from)?
            .iter()
            .try_for_each(|inner| copy(inner, &to.join(inner.file_name().unwrap_or_default())));
    }
    write_file(to, read(from)?)
}

/// Writes a whole file.
pub fn write_file(path: &Path, contents: impl AsRef<[u8]>) -> Outcome {
    fs::write(path, contents).map_err(|error| format!("can't write {}: {error}", path.display()))
}

/// Writes a shell script that may be run.
pub fn write_script(path: &Path, script: &str) -> Outcome {
    write_file(path, script)?;
    make_executable(path)
}

/// Lets everyone run a file, each as themselves.
pub fn make_executable(path: &Path) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("can't make {} executable: {error}", path.display()))
}

fn cannot_start(command: &Command, error: &io::Error) -> String {
    format!("can't start `{}`: {error}", command.get_program().to_string_lossy())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn tail(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
