//! Accounts, whose shares of the server are counted.

use std::net::IpAddr;

use madang_turn::client_network;

use crate::auth::Grant;

/// Somebody who has one share, however many connections they have: a user, or all guests of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    User(String),
    /// An IPv4 address, or the /64 network of an IPv6 address.
    Guests(IpAddr),
}

/// The opener of a room, whose share the room counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opener {
    /// The account that joined it first, or asked for it over REST with a token.
    Account(Account),
    /// Somebody who reads its chat; it closes as soon as they have their answer.
    Reader,
    Operator,
}

/// As the audit log names it.
impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Account::User(user) => f.write_str(user),
            Account::Guests(IpAddr::V4(address)) => write!(f, "{address}"),
            Account::Guests(IpAddr::V6(network)) => write!(f, "{network}/64"),
        }
    }
}

impl Account {
    pub(crate) fn of(grant: &Grant, address: IpAddr) -> Account {
        if grant.is_guest {
            Account::Guests(client_network(address))
        } else {
            Account::User(grant.user.clone())
        }
    }
}
