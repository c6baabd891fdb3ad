//! Conversion of values to and from database rows.

use std::str::FromStr;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use sqlx::error::BoxDynError;

use super::error::Unwritten;

/// Maximum length of a user name, token id or message id, in bytes: the limit of MySQL's indexes.
pub const LONGEST_ID: usize = 255;

/// Replaces NUL characters. PostgreSQL can't store NUL in text, so no database gets any.
pub(super) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// Refuses an id that is too long or contains NUL.
pub(super) fn check_id(what: &str, id: &str) -> Result<(), Unwritten> {
    match id.len() <= LONGEST_ID && !id.contains('\0') {
        true => Ok(()),
        false => Err(Unwritten::Refused(format!(
            "{what} must have at most {LONGEST_ID} bytes and no NUL"
        ))),
    }
}

/// Saturates: the largest integer of the databases is 2^63 - 1.
pub(super) fn to_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, sqlx::Error> {
    optional_text(row, column)?.ok_or_else(|| undecodable(column, "the value is NULL".into()))
}

/// MySQL returns some text columns as bytes.
pub(super) fn optional_text(row: &AnyRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    if let Ok(text) = row.try_get(column) {
        return Ok(text);
    }
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|error| undecodable(column, error.into()))
}

pub(super) fn number(row: &AnyRow, column: &str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    Ok(number.unsigned_abs())
}

pub(super) fn time(row: &AnyRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    let time = optional_time(row, column)?;
    time.ok_or_else(|| undecodable(column, "the value is NULL".into()))
}

pub(super) fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let time: Option<i64> = row.try_get(column)?;
    let time = time.map(Timestamp::from_millisecond).transpose();
    time.map_err(|error| undecodable(column, error.into()))
}

/// Parses a text column.
pub(super) fn parsed<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error>
where
    T::Err: Into<BoxDynError>,
{
    text(row, column)?.parse().map_err(|error: T::Err| undecodable(column, error.into()))
}

pub(super) fn undecodable(column: &str, source: BoxDynError) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}
