//! What message number so-and-so says: known to the program under test and to the test.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

/// A body that differs from every other; each fifth one is too large for the database.
pub fn content(number: u64) -> Vec<u8> {
    let size = if number % 5 == 4 {
        70_000 + number as usize % 1000
    } else {
        500 + number as usize % 3000
    };
    (0..size as u64)
        .map(|at| (number.wrapping_mul(31).wrapping_add(at.wrapping_mul(7)) % 251) as u8)
        .collect()
}
