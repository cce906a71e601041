//! What stands in for `fsync` and `fdatasync`.

use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::image::{Image, kind_of, path_of};
use crate::{IMAGE, LIE, LOG, ROOT};

type Sync = unsafe extern "C" fn(c_int) -> c_int;

/// What the environment asks for.
struct Layer {
    root: PathBuf,
    lie: Option<String>,
    /// One record at a time, so that an older one never overwrites a newer one. None: syncs are
    /// only logged.
    image: Option<Mutex<Image>>,
    log: Option<File>,
}

impl Layer {
    fn new(root: &Path) -> io::Result<Self> {
        let log = std::env::var_os(LOG)
            .map(|path| File::options().create(true).append(true).open(path))
            .transpose()?;
        let image =
            std::env::var_os(IMAGE).map(|image| Image::new(Path::new(&image))).transpose()?;
        if image.is_none() && log.is_none() {
            return Err(io::Error::other(format!("neither {IMAGE} nor {LOG} is set")));
        }
        let lie = std::env::var(LIE).ok();
        Ok(Self { root: root.canonicalize()?, lie, image: image.map(Mutex::new), log })
    }

    /// One write, so that lines of several threads and processes stay whole.
    fn log(&self, path: &Path) -> io::Result<()> {
        let Some(mut log) = self.log.as_ref() else { return Ok(()) };
        log.write_all(&[path.as_os_str().as_bytes(), b"\n"].concat())
    }
}

fn layer() -> Option<&'static Layer> {
    static LAYER: OnceLock<Option<Layer>> = OnceLock::new();
    LAYER
        .get_or_init(|| {
            let root = PathBuf::from(std::env::var_os(ROOT)?);
            match Layer::new(&root) {
                Ok(layer) => Some(layer),
                Err(error) => give_up(&root, &error),
            }
        })
        .as_ref()
}

/// The real function.
fn real(cell: &'static OnceLock<Option<Sync>>, name: &CStr) -> Option<Sync> {
    *cell.get_or_init(|| {
        // SAFETY: the name is a C string, and the symbol, where there is one, is the C library's
        // function of this signature.
        unsafe {
            let symbol: *mut c_void = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut c_void, Sync>(symbol))
        }
    })
}

fn sync(descriptor: c_int, real: Option<Sync>) -> c_int {
    let call = || match real {
        // SAFETY: fsync and fdatasync take any number.
        Some(real) => unsafe { real(descriptor) },
        None => give_up(Path::new("fsync"), &io::Error::other("the C library has none")),
    };
    let Some(layer) = layer() else { return call() };
    let link = PathBuf::from(format!("/proc/self/fd/{descriptor}"));
    // What is no open file has no path; the real one says so.
    let Ok(path) = path_of(&link) else { return call() };
    let Ok(relative) = path.strip_prefix(&layer.root) else { return call() };
    if layer.lie.as_ref().is_some_and(|lie| lies_about(lie, relative)) {
        return 0;
    }
    if let Err(error) = layer.log(relative) {
        give_up(&path, &error);
    }
    let Some(image) = &layer.image else { return call() };
    let image = image.lock().unwrap_or_else(PoisonError::into_inner);
    let result = call();
    if result == 0
        && let Err(error) = record(&image, &link)
    {
        give_up(&path, &error);
    }
    result
}

fn lies_about(lie: &str, path: &Path) -> bool {
    match lie.strip_suffix('/') {
        _ if lie == "1" => true,
        Some(directory) => path != Path::new(directory) && path.starts_with(directory),
        None => path == Path::new(lie),
    }
}

fn record(image: &Image, link: &Path) -> io::Result<()> {
    match kind_of(link)? {
        Some((inode, true)) => image.record_directory(inode, link),
        Some((inode, false)) => image.record_file(inode, link),
        None => Ok(()),
    }
}

/// A layer that can't do its work must not let a test pass.
fn give_up(path: &Path, error: &io::Error) -> ! {
    eprintln!("lossyfs: {}: {error}", path.display());
    std::process::abort()
}

/// Stands in for the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(descriptor: c_int) -> c_int {
    static REAL: OnceLock<Option<Sync>> = OnceLock::new();
    sync(descriptor, real(&REAL, c"fsync"))
}

/// Stands in for the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    static REAL: OnceLock<Option<Sync>> = OnceLock::new();
    sync(descriptor, real(&REAL, c"fdatasync"))
}
