//! Allocations that relay TCP: their connections to peers, and the requests about them (RFC 6062).
//!
//! ```text
//! Connect ─▶ Connecting ──handle_connected──▶ Pending ──ConnectionBind──▶ Bound ─▶ the shell copies bytes
//!                                               ▲
//!                        handle_incoming ───────┘
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use stun_types::message::{
    Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
};
use tracing::debug;
use turn_types::attribute::{ConnectionId, XorPeerAddress};
use turn_types::message::CONNECTION_ATTEMPT;

use super::{Command, Server};
use crate::ClientAddr;
use crate::address::canonical;
use crate::auth::Caller;
use crate::peer_connections::{Call, PeerConnection, PeerConnectionId, State};
use crate::quota::bandwidth::Paces;
use crate::refusal::Refusal;
use crate::request::{Connect, ConnectionBind};
use crate::response::{Asked, Response};

impl Server {
    /// Reports the result of [`Command::Connect`]. Not needed after [`Command::Disconnect`].
    pub fn handle_connected(&mut self, now: Instant, id: PeerConnectionId, is_connected: bool) {
        self.handle_timeout(now);
        if !is_connected {
            return self.give_up(id);
        }
        let Some((client, Call { asked, caller })) = self.connections.connected(now, id) else {
            self.commands.push_back(Command::Disconnect(id));
            return;
        };
        self.stats.peer_connections_made += 1;
        let answer = Response::success(asked).with(&ConnectionId::new(id.get())).signed(&caller);
        self.answer(client, answer);
    }

    /// A peer has connected to a relayed address (RFC 6062 §5.3). The caller keeps the connection under the returned
    /// id, or closes it if there is none.
    pub fn handle_incoming(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) -> Option<PeerConnectionId> {
        self.handle_timeout(now);
        let ends = (canonical(relayed), canonical(peer));
        let Some((client, id)) = self.admit(now, ends) else {
            self.stats.peer_connections_refused += 1;
            return None;
        };
        self.stats.peer_connections_accepted += 1;
        self.next_indication += 1;
        self.answer(client, connection_attempt(self.next_indication, id, ends.1));
        Some(id)
    }

    fn admit(
        &mut self,
        now: Instant,
        (relayed, peer): (SocketAddr, SocketAddr),
    ) -> Option<(ClientAddr, PeerConnectionId)> {
        let allocation = self.table.of_relayed_mut(relayed)?;
        let is_allowed = allocation.relays_tcp() && allocation.permits(now, peer.ip());
        let client = allocation.client;
        if !is_allowed || !self.peers.can_connect(peer) {
            return None;
        }
        let id = self.connections.add(now, client, (relayed, peer), None).ok()?;
        Some((client, id))
    }

    /// Handles a Connect request (RFC 6062 §5.2). It needs no permission: permissions apply to peers that connect by
    /// themselves.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Option<Response>, Refusal> {
        let allocation = self.allocation_of(client, caller)?;
        if !allocation.relays_tcp() {
            return Err(Refusal::AllocationMismatch);
        }
        let relayed = allocation.relayed;
        let Connect { peer } = Connect::parse(request)?;
        let relayed = relayed.towards(peer.ip()).ok_or(Refusal::PeerAddressFamilyMismatch)?;
        if self.connections.of_client(client).any(|(_, connection)| connection.peer == peer) {
            return Err(Refusal::ConnectionAlreadyExists);
        }
        if !self.peers.can_connect(peer) {
            return Err(Refusal::Forbidden);
        }
        let call = Call { asked: Asked::by(request), caller: caller.clone() };
        let id = self.connections.add(now, client, (relayed, peer), Some(call))?;
        self.commands.push_back(Command::Connect { id, relayed, peer });
        Ok(None)
    }

    /// Handles a ConnectionBind request (RFC 6062 §5.4). The connection that carries it carries no more messages
    /// afterwards.
    pub(super) fn connection_bind(
        &mut self,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        if !client.transport.is_stream() || self.connections.of_data(client).is_some() {
            return Err(Refusal::BadRequest);
        }
        if self.has_allocation(client) {
            return Err(Refusal::AllocationMismatch);
        }
        let ConnectionBind { id } = ConnectionBind::parse(request)?;
        let connection = self.connections.get(id).ok_or(Refusal::BadRequest)?;
        let State::Pending(_) = connection.state else { return Err(Refusal::BadRequest) };
        // RFC 6062 §4.3: the credentials must be those of the allocation.
        let allocation = self.table.of_client(connection.client).ok_or(Refusal::BadRequest)?;
        if *allocation.user != *caller.user {
            return Err(Refusal::WrongCredentials);
        }
        self.connections.bind(id, client);
        self.commands.push_back(Command::Join { id, client });
        debug!(%client, control = %allocation.client, "data connection bound");
        Ok(Response::success(Asked::by(request)))
    }

    /// The rate limits that the connections of an allocation share.
    pub(crate) fn paces_of(&self, id: PeerConnectionId) -> Option<Arc<Paces>> {
        let connection = self.connections.get(id)?;
        self.table.of_client(connection.client)?.paces.clone()
    }

    /// Ends connections that have waited too long for their peer or for their client.
    pub(super) fn end_overdue_connections(&mut self, now: Instant) {
        while let Some(id) = self.connections.overdue(now) {
            let is_pending =
                |connection: &PeerConnection| matches!(connection.state, State::Pending(_));
            let is_unclaimed = self.connections.get(id).is_some_and(is_pending);
            self.stats.peer_connections_unclaimed += u64::from(is_unclaimed);
            self.end_connection(id);
        }
    }

    /// Ends the connections of a relayed address that no longer exists.
    pub(super) fn end_connections(&mut self, client: ClientAddr, relayed: SocketAddr) {
        let all = self.connections.of_client(client);
        let of_relayed = all.filter(|(_, connection)| connection.relayed == relayed);
        let ended: Vec<PeerConnectionId> = of_relayed.map(|(id, _)| id).collect();
        for id in ended {
            self.end_connection(id);
        }
    }

    /// The client or the peer has closed a data connection (RFC 6062 §5.5).
    pub(super) fn end_data(&mut self, data: ClientAddr) {
        if let Some(id) = self.connections.of_data(data) {
            self.connections.remove(id);
        }
    }

    fn end_connection(&mut self, id: PeerConnectionId) {
        match self.connections.get(id).map(|connection| &connection.state) {
            Some(State::Connecting(..)) => {
                self.commands.push_back(Command::Disconnect(id));
                self.give_up(id);
            }
            Some(State::Pending(_)) => {
                self.commands.push_back(Command::Disconnect(id));
                self.connections.remove(id);
            }
            Some(&State::Bound(data)) => {
                self.commands.push_back(Command::CloseClient(data));
                self.connections.remove(id);
            }
            None => {}
        }
    }

    /// Removes a connection that could not be made, and answers the Connect.
    fn give_up(&mut self, id: PeerConnectionId) {
        let Some((client, Call { asked, caller })) = self.connections.give_up(id) else { return };
        let refusal = Refusal::ConnectionTimeoutOrFailure;
        self.stats.peer_connections_failed += 1;
        self.stats.refused.count(&refusal);
        self.answer(client, Response::refusal(asked, &refusal).signed(&caller));
    }
}

/// Writes a ConnectionAttempt indication, which tells the client which peer has connected and under which id (RFC 6062
/// §5.3).
fn connection_attempt(transaction: u128, id: PeerConnectionId, peer: SocketAddr) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Indication, CONNECTION_ATTEMPT);
    let transaction = transaction.into();
    let mut message = Message::builder(kind, transaction, MessageWriteVec::with_capacity(64));
    let fits = "a Vec has room, and nothing is added after sealing";
    message.add_attribute(&XorPeerAddress::new(peer, transaction)).expect(fits);
    message.add_attribute(&ConnectionId::new(id.get())).expect(fits);
    message.finish()
}
