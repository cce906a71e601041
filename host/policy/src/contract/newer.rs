//! What a component imports: where it is newer than this host, what is missing here is put in its
//! place, and traps when it is called.
//!
//! Some tool chains import whatever the world has, used or not, so that a missing function must not
//! stop a load. Only the contract's own interfaces are treated so: what else is imported (WASI) is
//! refused. A function that is there with another type is an error of linking, which names both.

use wasmtime::component::Component;
use wasmtime::component::Linker;
use wasmtime::component::types::ComponentItem;
use wasmtime::format_err;

use super::version::{self, Foreign};

/// Why a component can't be linked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// It isn't of this contract's version.
    #[error(transparent)]
    Version(#[from] Foreign),
    /// What no plugin is given.
    #[error(
        "it imports {name}: a plugin is given facteur:policy@{} and nothing else, no WASI: build \
         it for a target without an operating system",
        version::OURS
    )]
    Foreign {
        /// Its name.
        name: String,
    },
    /// The linker's own trouble.
    #[error("{0:#}")]
    Linker(wasmtime::Error),
}

/// Adds to the linker what the component imports of the contract and this host hasn't.
///
/// # Errors
/// It imports what isn't of this contract.
pub(crate) fn complete<T: 'static>(
    linker: &mut Linker<T>,
    component: &Component,
) -> Result<(), ImportError> {
    let engine = component.engine();
    for (import, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(imported) = item.ty else {
            return Err(ImportError::Foreign { name: import.to_owned() });
        };
        let Some(interface) = version::interface(import)? else {
            return Err(ImportError::Foreign { name: import.to_owned() });
        };
        // The host's own instance, opened again under its own name: under the component's, a later
        // version would stand in its place.
        let ours = format!("facteur:policy/{interface}@{}", version::OURS);
        let mut instance = linker.instance(&ours).map_err(ImportError::Linker)?;
        for (function, item) in imported.exports(engine) {
            if !matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                continue;
            }
            let name = format!("{interface}.{function}");
            // What is there already can't be put in a second time: it stays.
            let _ = instance.func_new(function, move |_, _, _, _| {
                Err(format_err!("{name} is newer than this host, which hasn't it"))
            });
        }
    }
    Ok(())
}
