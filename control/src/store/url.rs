//! Database URLs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sqlx::any::AnyConnectOptions;

use super::dialect::Dialect;

/// The database to use: `sqlite://` and a path, `postgres://…`, `mysql://…` or `mariadb://…`. `Display` and `Debug`
/// omit the password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    url: String,
    pub(super) dialect: Dialect,
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<StoreUrl, String> {
        let Some(dialect) = Dialect::of(url) else {
            return Err(
                "it must start with sqlite://, postgres://, mysql:// or mariadb://".to_owned()
            );
        };
        if dialect == Dialect::Sqlite && (url.contains(":memory:") || url.contains("mode=memory")) {
            return Err("an in-memory database can't be shared; give the path of a file".to_owned());
        }
        let is_url = || url.contains("://") && AnyConnectOptions::from_str(url).is_ok();
        if dialect != Dialect::Sqlite && !is_url() {
            return Err("it must look like postgres://user:password@host/database".to_owned());
        }
        Ok(StoreUrl { url: url.to_owned(), dialect })
    }
}

impl StoreUrl {
    /// The URL of an SQLite file.
    pub fn of_file(path: &Path) -> StoreUrl {
        let path = path.to_string_lossy();
        let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        StoreUrl { url: format!("sqlite://{path}"), dialect: Dialect::Sqlite }
    }

    /// The complete URL, including the password.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.dialect {
            Dialect::Sqlite => None,
            Dialect::Postgres | Dialect::MySql => self.url.split_once("://"),
        };
        let Some((scheme, rest)) = shown else {
            return f.write_str(&self.url);
        };
        write!(f, "{scheme}://")?;
        // The password may contain an unescaped @ or /; the host follows the last @.
        let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        match credentials.split_once(':') {
            Some((user, _)) => write!(f, "{user}:***@")?,
            None if credentials.is_empty() => {}
            None => write!(f, "{credentials}@")?,
        }
        match place.split_once('?') {
            Some((place, parameters)) if parameters.contains("password") => {
                write!(f, "{place}?***")
            }
            _ => f.write_str(place),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_does_not_print() {
        for (url, shown) in [
            ("postgres://app:very-secret@db/madang", "postgres://app:***@db/madang"),
            ("mysql://app:very-secret@x@db:3306/m", "mysql://app:***@db:3306/m"),
            ("postgresql://db/m?password=very-secret", "postgresql://db/m?***"),
            ("postgres://app@db/m?sslmode=require", "postgres://app@db/m?sslmode=require"),
            ("mariadb://db/m", "mariadb://db/m"),
            ("sqlite:///data/a@b:c.db", "sqlite:///data/a@b:c.db"),
        ] {
            let url: StoreUrl = url.parse().unwrap();

            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("StoreUrl({shown})"));
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for url in ["", "madang.db", "http://host", "redis://host", "postgres:", "sqlite::memory:"]
        {
            assert!(url.parse::<StoreUrl>().is_err(), "{url}");
        }
    }
}
