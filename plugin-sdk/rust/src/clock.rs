//! The host's clock. `std::time` panics on this target.

/// Milliseconds since 1970-01-01, UTC.
pub fn now() -> u64 {
    crate::host::clock::now()
}
