//! What a panic says goes to the operator's log, at `error`, before the sandbox is thrown away.

/// Sets the hook. Natively nothing: tests show their panics themselves.
pub fn tell() {
    #[cfg(target_arch = "wasm32")]
    {
        use std::sync::atomic::{AtomicBool, Ordering};

        static SET: AtomicBool = AtomicBool::new(false);
        if !SET.swap(true, Ordering::Relaxed) {
            std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
        }
    }
}
