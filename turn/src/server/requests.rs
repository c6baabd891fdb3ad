//! Requests: authentication, checks and answers.

use std::time::{Duration, Instant};

use stun_types::attribute::XorMappedAddress;
use stun_types::message::{Message, Method};
use tracing::debug;
use turn_types::AddressFamily;
use turn_types::attribute::Lifetime;
use turn_types::message::{
    ALLOCATE, CHANNEL_BIND, CONNECT, CONNECTION_BIND, CREATE_PERMISSION, REFRESH,
};

use super::opening::{Opening, allocated, lifetime_attribute};
use super::{Command, MAX_OPENINGS, Server};
use crate::allocation::Allocation;
use crate::allocation::table::Wish;
use crate::auth::nonce::Offer;
use crate::auth::{Caller, is_signed};
use crate::quota::unauthenticated::Origin;
use crate::refusal::Refusal;
use crate::request::{Allocate, ChannelBind, CreatePermission, Refresh, refuse_unknown_attributes};
use crate::response::{Asked, Response};
use crate::{ClientAddr, Transport};

/// The shortest request that gets a challenge, apart from FINGERPRINT: a header and one attribute. A shorter one is no
/// complete request of any kind, and a challenge would be more than twice as long.
const SHORTEST_CHALLENGED: usize = 28;
const FINGERPRINT_BYTES: usize = 8;

impl Server {
    /// Answers a Binding request, from any client (RFC 8489 §3).
    pub(super) fn handle_binding(
        &mut self,
        now: Instant,
        client: ClientAddr,
        request: &Message<'_>,
    ) {
        if !self.allows_unauthenticated(now, client, origin(client.transport)) {
            return;
        }
        let asked = Asked::by(request);
        let response = match refuse_unknown_attributes(request) {
            Ok(()) => {
                self.stats.bindings += 1;
                let mapped = XorMappedAddress::new(client.mapped(), asked.transaction);
                Response::success(asked).with(&mapped)
            }
            Err(refusal) => {
                self.stats.refused.count(&refusal);
                Response::refusal(asked, &refusal)
            }
        };
        self.answer(client, response.unsigned());
    }

    /// Handles a TURN request. Nothing happens before its sender is authenticated.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
    ) {
        let keeper = self.keeper(now, client, request.method());
        let caller = match self.authenticator.authenticate(unix_now, client, request, keeper) {
            Ok(caller) => caller,
            Err(refusal) => {
                return self.refuse_unauthenticated(now, unix_now, client, request, refusal);
            }
        };
        let response = match self.perform(now, client, &caller, request) {
            Ok(Some(response)) => response,
            Ok(None) => return,
            Err(refusal) => {
                self.stats.refused.count(&refusal);
                Response::refusal(Asked::by(request), &refusal)
            }
        };
        self.answer(client, response.signed(&caller));
    }

    /// The user who may keep the client's allocation although the credentials have expired. A browser never replaces
    /// the credentials of an allocation, so their end must not end a relayed call: the expiry limits which allocations
    /// can be made. But an allocation to which the media engine has sent nothing for [`crate::Config::max_lifetime`] is
    /// of no call, as when a participant was removed, and needs current credentials.
    fn keeper(&self, now: Instant, client: ClientAddr, method: Method) -> Option<&str> {
        let keeps = matches!(method, REFRESH | CREATE_PERMISSION | CHANNEL_BIND);
        let allocation = self.table.of_client(client).filter(|_| keeps)?;
        let idle = now.saturating_duration_since(allocation.used_at);
        (idle < self.max_lifetime).then_some(&*allocation.user)
    }

    fn refuse_unauthenticated(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
        refusal: Refusal,
    ) {
        // The sender signed the request correctly and has an allocation, so it is known despite its stale nonce.
        let is_known = refusal == Refusal::StaleNonce && self.has_allocation(client);
        if !is_known && !self.allows_unauthenticated(now, client, origin(client.transport)) {
            return;
        }
        let asked = Asked::by(request);
        let length = request.as_bytes().len();
        let beside_fingerprint = length - if asked.has_fingerprint { FINGERPRINT_BYTES } else { 0 };
        let is_complete = is_signed(request) || beside_fingerprint >= SHORTEST_CHALLENGED;
        let refusal = if is_complete { refusal } else { Refusal::BadRequest };
        self.stats.refused.count(&refusal);
        let payload = match refusal {
            Refusal::Unauthorized | Refusal::StaleNonce => {
                self.challenge(unix_now, client, asked, &refusal, length)
            }
            _ => Response::refusal(asked, &refusal).unsigned(),
        };
        self.answer(client, payload);
    }

    /// Writes a challenge. The list of password algorithms is omitted where it would make the answer, whose destination
    /// may be forged, twice as long as the request or longer. RFC 8489 §9.2.4 allows a server to choose.
    fn challenge(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        asked: Asked,
        refusal: &Refusal,
        request_length: usize,
    ) -> Vec<u8> {
        let write = |offer| {
            let nonce = self.authenticator.issue_nonce(unix_now, client, offer);
            Response::refusal(asked, refusal)
                .with_challenge(self.authenticator.realm(), &nonce, offer)
                .unsigned()
        };
        let with_list = write(Offer::Sha256);
        match client.transport {
            Transport::Udp if with_list.len() >= 2 * request_length => write(Offer::Md5Only),
            Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Dtls => with_list,
        }
    }

    /// Carries out a request; `None` when the answer must wait.
    fn perform(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Option<Response>, Refusal> {
        refuse_unknown_attributes(request)?;
        match request.method() {
            ALLOCATE => self.allocate(now, client, caller, request),
            REFRESH => self.refresh(now, client, caller, request).map(Some),
            CREATE_PERMISSION => self.create_permission(now, client, caller, request).map(Some),
            CHANNEL_BIND => self.channel_bind(now, client, caller, request).map(Some),
            CONNECT => self.connect(now, client, caller, request),
            CONNECTION_BIND => self.connection_bind(client, caller, request).map(Some),
            // `handle_stun` passes only the methods above.
            _ => Err(Refusal::BadRequest),
        }
    }

    /// Handles an Allocate request (RFC 8656 §7.2).
    fn allocate(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Option<Response>, Refusal> {
        let asked = Asked::by(request);
        if let Some(allocation) = self.table.of_client(client) {
            let is_repeated =
                allocation.transaction == asked.transaction && *allocation.user == *caller.user;
            if !is_repeated {
                return Err(Refusal::AllocationMismatch);
            }
            let is_open = !self.openings.iter().any(|opening| opening.is_of(client));
            return Ok(is_open.then(|| allocated(asked, allocation)));
        }
        let wanted = Allocate::parse(request)?;
        if wanted.relays_tcp {
            self.check_tcp(client)?;
        }
        if self.openings.len() >= MAX_OPENINGS {
            return Err(Refusal::InsufficientCapacity);
        }
        let wish = Wish {
            client,
            user: &caller.user,
            transaction: asked.transaction,
            // A lifetime of 0 makes no sense in an Allocate, so it gets the default as well.
            lifetime: self.lifetime(wanted.lifetime.filter(|&seconds| seconds > 0)),
            address: wanted.address,
            relays_tcp: wanted.relays_tcp,
        };
        let allocation = self.table.create(now, wish)?;
        let (relayed, response) = (allocation.relayed, allocated(asked, allocation));
        *self.allocations_by(client.transport) += 1;
        self.stats.allocations_relaying_tcp += u64::from(wanted.relays_tcp);
        if !self.peers.has_others() {
            self.stats.allocations_created += 1;
            debug!(%client, ?relayed, user = caller.user, "allocation created");
            return Ok(Some(response));
        }
        let opening = Opening::new(client, caller.clone(), asked, relayed, &wanted);
        self.commands.extend(relayed.iter().map(|addr| opening.command(addr)));
        self.openings.push_back(opening);
        Ok(None)
    }

    /// Checks the transport of an Allocate for TCP (RFC 6062 §5.1). Without peers besides media there is no peer to
    /// connect to.
    fn check_tcp(&self, client: ClientAddr) -> Result<(), Refusal> {
        match (self.peers.has_others(), client.transport.is_stream()) {
            (false, _) => Err(Refusal::UnsupportedTransportProtocol),
            (true, false) => Err(Refusal::BadRequest),
            (true, true) => Ok(()),
        }
    }

    /// Handles a Refresh request (RFC 8656 §8.2).
    fn refresh(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let transaction = request.transaction_id();
        if self.recent_deletions.contains(now, client, transaction) {
            return Ok(Response::success(Asked::by(request)).with(&Lifetime::new(0)));
        }
        let relayed = self.allocation_of(client, caller)?.relayed;
        let wanted = Refresh::parse(request)?;
        if wanted.family.is_some_and(|wanted| relayed.of(wanted).is_none()) {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let lifetime = match wanted.lifetime {
            Some(0) => {
                self.delete(client, wanted.family);
                self.recent_deletions.remember(now, client, transaction);
                Duration::ZERO
            }
            wanted => {
                let lifetime = self.lifetime(wanted);
                self.table.refresh(client, now + lifetime);
                lifetime
            }
        };
        Ok(Response::success(Asked::by(request)).with(&lifetime_attribute(lifetime)))
    }

    /// Deletes an allocation, or its relayed address of one family (RFC 8656 §8.2).
    fn delete(&mut self, client: ClientAddr, half: Option<AddressFamily>) {
        let removed = half.and_then(|family| self.table.remove_family(client, family));
        if let Some(addr) = removed {
            if self.peers.has_others() {
                self.end_connections(client, addr);
                self.commands.push_back(Command::Close(addr));
            }
        } else if let Some(deleted) = self.table.remove(client) {
            self.end(&deleted);
            self.stats.allocations_deleted += 1;
            debug!(%client, relayed = ?deleted.relayed, "allocation deleted");
        }
    }

    /// Handles a CreatePermission request: installs permissions for all peers, or for none (RFC 8656 §10.2).
    fn create_permission(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let allocation = self.allocation_of(client, caller)?;
        let (relayed, relays_tcp) = (allocation.relayed, allocation.relays_tcp());
        let wanted = CreatePermission::parse(request)?;
        for peer in &wanted.peers {
            relayed.towards(peer.ip()).ok_or(Refusal::PeerAddressFamilyMismatch)?;
            let can_permit = match relays_tcp {
                true => self.peers.can_reach(peer.ip(), None),
                false => self.peers.can_permit(peer.ip()),
            };
            if !can_permit {
                return Err(Refusal::Forbidden);
            }
        }
        let ips = wanted.peers.iter().map(|peer| peer.ip());
        self.allocation_of(client, caller)?.permit(now, ips)?;
        Ok(Response::success(Asked::by(request)))
    }

    /// Handles a ChannelBind request (RFC 8656 §12.2). A channel to an unreachable port is refused, because nothing
    /// could pass through it.
    fn channel_bind(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let allocation = self.allocation_of(client, caller)?;
        if allocation.relays_tcp() {
            return Err(Refusal::AllocationMismatch);
        }
        let relayed = allocation.relayed;
        let wanted = ChannelBind::parse(request)?;
        relayed.towards(wanted.peer.ip()).ok_or(Refusal::PeerAddressFamilyMismatch)?;
        let path = self.peers.path_to(wanted.peer).ok_or(Refusal::Forbidden)?;
        self.allocation_of(client, caller)?.bind(now, wanted.number, (wanted.peer, path))?;
        Ok(Response::success(Asked::by(request)))
    }

    /// The client's allocation, if it belongs to the caller's user (RFC 8656 §5). Renewed credentials of the same user
    /// are accepted.
    pub(super) fn allocation_of(
        &mut self,
        client: ClientAddr,
        caller: &Caller,
    ) -> Result<&mut Allocation, Refusal> {
        let allocation = self.table.of_client_mut(client).ok_or(Refusal::AllocationMismatch)?;
        if *allocation.user != *caller.user {
            return Err(Refusal::WrongCredentials);
        }
        Ok(allocation)
    }

    fn lifetime(&self, seconds: Option<u32>) -> Duration {
        match seconds {
            Some(seconds) => {
                Duration::from_secs(seconds.into()).clamp(self.default_lifetime, self.max_lifetime)
            }
            None => self.default_lifetime,
        }
    }
}

/// What a client's transport proves about its address. A DTLS session began with a cookie sent to that address.
fn origin(transport: Transport) -> Origin {
    match transport {
        Transport::Udp => Origin::Claimed,
        Transport::Tcp | Transport::Tls | Transport::Dtls => Origin::Proven,
    }
}
