//! What an error of the database means for the spool.

use rusqlite::{ErrorCode, ffi};

use crate::SpoolError;

/// What an error of a writing statement means for the spool.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it")]
pub(super) fn write_failed(error: rusqlite::Error) -> SpoolError {
    let rusqlite::Error::SqliteFailure(ffi::Error { code, extended_code }, _) = &error else {
        return SpoolError::Refused(error.to_string().into());
    };
    match code {
        // The log's index, a memory-mapped file, could not be made longer: only a full disk does
        // that.
        _ if *extended_code == ffi::SQLITE_IOERR_SHMSIZE => SpoolError::Full,
        ErrorCode::DiskFull => SpoolError::Full,
        ErrorCode::ConstraintViolation
        | ErrorCode::TooBig
        | ErrorCode::TypeMismatch
        | ErrorCode::ParameterOutOfRange => SpoolError::Refused(error.to_string().into()),
        _ => SpoolError::fatal(format!("the database: {error}")),
    }
}

/// What an error of a reading statement means: damage is the end, anything else passes.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it")]
pub(super) fn read_failed(error: rusqlite::Error) -> SpoolError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure) => {
            SpoolError::fatal(format!("the database: {error}"))
        }
        _ => SpoolError::Unavailable(error.to_string().into()),
    }
}

/// Whether another process (an operator's sqlite3) holds the database.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
