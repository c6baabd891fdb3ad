//! Allocations that need sockets: the answer waits until all of them are bound.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_types::attribute::{ErrorCode, XorMappedAddress};
use tracing::debug;
use turn_types::AddressFamily;
use turn_types::attribute::{AddressErrorCode, Lifetime, ReservationToken, XorRelayedAddress};

use super::{Command, Server};
use crate::ClientAddr;
use crate::allocation::Allocation;
use crate::allocation::ports::PortWish;
use crate::allocation::relayed::Relayed;
use crate::allocation::table::RequestedAddress;
use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::request::Allocate;
use crate::response::{Asked, Response};

/// How many other ports to try when a port is used by another program.
const ATTEMPTS: u8 = 8;

/// An Allocate that is not answered yet.
#[derive(Debug)]
pub(super) struct Opening {
    client: ClientAddr,
    caller: Caller,
    asked: Asked,
    /// The relayed addresses whose sockets are not bound yet.
    missing: Vec<SocketAddr>,
    /// The kind of port that may replace one that another program uses; `None` when no other port will do.
    replacement: Option<PortWish>,
    attempts: u8,
    is_tcp: bool,
}

impl Opening {
    pub(super) fn new(
        client: ClientAddr,
        caller: Caller,
        asked: Asked,
        relayed: Relayed,
        wanted: &Allocate,
    ) -> Opening {
        let replacement = match wanted.address {
            RequestedAddress::Reserved(_) => None,
            RequestedAddress::Port(_, wish) | RequestedAddress::Both(wish) => Some(wish),
        };
        let missing = relayed.iter().collect();
        let (attempts, is_tcp) = (ATTEMPTS, wanted.relays_tcp);
        Opening { client, caller, asked, missing, replacement, attempts, is_tcp }
    }

    /// The command that binds the socket of a relayed address.
    pub(super) fn command(&self, relayed: SocketAddr) -> Command {
        match self.is_tcp {
            true => Command::Listen(relayed),
            false => Command::Open(relayed),
        }
    }

    pub(super) fn is_of(&self, client: ClientAddr) -> bool {
        self.client == client
    }
}

impl Server {
    /// Reports the result of [`Command::Open`] or [`Command::Listen`]. If another program uses the port, the server
    /// tries another port.
    pub fn handle_opened(&mut self, now: Instant, relayed: SocketAddr, is_open: bool) {
        self.handle_timeout(now);
        let waiting = self.openings.iter().position(|opening| opening.missing.contains(&relayed));
        let Some(mut opening) = waiting.and_then(|index| self.openings.remove(index)) else {
            return;
        };
        opening.missing.retain(|missing| *missing != relayed);
        if self.table.of_client(opening.client).is_none() {
            // The allocation ended while its other socket was opened; close this one, which was opened afterwards.
            self.commands.push_back(Command::Close(relayed));
        } else if is_open {
            self.proceed(opening);
        } else {
            self.try_another(opening, relayed);
        }
    }

    fn proceed(&mut self, opening: Opening) {
        if !opening.missing.is_empty() {
            self.openings.push_back(opening);
            return;
        }
        let Some(allocation) = self.table.of_client(opening.client) else { return };
        debug!(client = %opening.client, relayed = ?allocation.relayed, user = opening.caller.user, "allocation created");
        let answer = allocated(opening.asked, allocation).signed(&opening.caller);
        self.stats.allocations_created += 1;
        self.answer(opening.client, answer);
    }

    fn try_another(&mut self, mut opening: Opening, relayed: SocketAddr) {
        let wish = opening.replacement.filter(|_| opening.attempts > 0);
        let other = wish.and_then(|wish| self.table.replace(relayed, wish));
        opening.attempts = opening.attempts.saturating_sub(1);
        if let Some(other) = other {
            opening.missing.push(other);
            self.commands.push_back(opening.command(other));
            self.openings.push_back(opening);
            return;
        }
        if let Some(unbound) = self.table.remove(opening.client) {
            self.end(&unbound);
            self.stats.allocations_unbound += 1;
        }
        let refusal = Refusal::InsufficientCapacity;
        self.stats.refused.count(&refusal);
        let answer = Response::refusal(opening.asked, &refusal).signed(&opening.caller);
        self.answer(opening.client, answer);
    }
}

/// The answer to an Allocate, identical for each retransmission of the request.
pub(super) fn allocated(asked: Asked, allocation: &Allocation) -> Response {
    let mut response = Response::success(asked);
    for relayed in allocation.relayed.iter() {
        response = response.with(&XorRelayedAddress::new(relayed, asked.transaction));
    }
    response = response
        .with(&lifetime_attribute(allocation.granted))
        .with(&XorMappedAddress::new(allocation.client.mapped(), asked.transaction));
    if let Some(token) = allocation.reservation {
        response = response.with(&ReservationToken::new(token));
    }
    let Some(code) = allocation.second_refusal else { return response };
    // RFC 8656 §7.2: a request for both families was granted for one.
    let reason = ErrorCode::new(code, "").expect("codes of refusals are 400 to 599");
    response.with(&AddressErrorCode::new(AddressFamily::IPV6, reason))
}

pub(super) fn lifetime_attribute(lifetime: Duration) -> Lifetime {
    Lifetime::new(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX))
}
