//! Values on their way into a row and out of it.

use std::str::FromStr;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use sqlx::error::BoxDynError;

use super::error::Unwritten;

/// The longest name of a user, id of a token or id of a message, in bytes: what MySQL's indexes hold.
pub const LONGEST_ID: usize = 255;

/// PostgreSQL holds no NUL in text, so none of them does.
pub(super) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// Refuses what can't be an id.
pub(super) fn check_id(what: &str, id: &str) -> Result<(), Unwritten> {
    match id.len() <= LONGEST_ID && !id.contains('\0') {
        true => Ok(()),
        false => Err(Unwritten::Refused(format!(
            "{what} must have at most {LONGEST_ID} bytes and no NUL"
        ))),
    }
}

/// Numbers are non-negative, and the databases' end at 2^63 - 1.
pub(super) fn to_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, sqlx::Error> {
    optional_text(row, column)?.ok_or_else(|| undecodable(column, "the value is NULL".into()))
}

/// MySQL has some text as bytes.
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

/// A value that has a spelling of its own.
pub(super) fn parsed<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error>
where
    T::Err: Into<BoxDynError>,
{
    text(row, column)?.parse().map_err(|error: T::Err| undecodable(column, error.into()))
}

pub(super) fn undecodable(column: &str, source: BoxDynError) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}
