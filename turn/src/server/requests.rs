//! Requests: what is asked, checked and granted.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::attribute::{ErrorCode, XorMappedAddress};
use stun_types::message::Message;
use tracing::debug;
use turn_types::AddressFamily;
use turn_types::attribute::{AddressErrorCode, Lifetime, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::Server;
use crate::ClientAddr;
use crate::address::family;
use crate::allocation::Allocation;
use crate::authentication::Caller;
use crate::refusal::Refusal;
use crate::request::{Allocate, ChannelBind, CreatePermission, Refresh, refuse_unknown_attributes};
use crate::response::Response;
use crate::table::Wish;

impl Server {
    /// RFC 8489 §3: "what is my address?", for anybody.
    pub(super) fn handle_binding(&mut self, client: ClientAddr, request: &Message<'_>) {
        let response = match refuse_unknown_attributes(request) {
            Ok(()) => {
                self.stats.bindings += 1;
                let mapped = XorMappedAddress::new(client.mapped(), request.transaction_id());
                Response::success(request).with(&mapped)
            }
            Err(refusal) => {
                self.stats.refused.count(&refusal);
                Response::refusal(request, &refusal)
            }
        };
        self.answer(client, response.unsigned());
    }

    /// A TURN request: nothing happens before its sender is known.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
    ) {
        let payload = match self.authenticator.authenticate(unix_now, client, request) {
            Ok(caller) => self
                .perform(now, client, &caller, request)
                .unwrap_or_else(|refusal| {
                    self.stats.refused.count(&refusal);
                    Response::refusal(request, &refusal)
                })
                .signed(&caller.key),
            Err(refusal) => {
                self.stats.refused.count(&refusal);
                self.unauthenticated(unix_now, client, request, &refusal)
            }
        };
        self.answer(client, payload);
    }

    fn unauthenticated(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
        refusal: &Refusal,
    ) -> Vec<u8> {
        let response = Response::refusal(request, refusal);
        if matches!(refusal, Refusal::Unauthorized | Refusal::StaleNonce) {
            let nonce = self.authenticator.issue_nonce(unix_now, client);
            return response.with_challenge(self.authenticator.realm(), &nonce).unsigned();
        }
        response.unsigned()
    }

    fn perform(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        refuse_unknown_attributes(request)?;
        match request.method() {
            ALLOCATE => self.allocate(now, client, caller, request),
            REFRESH => self.refresh(now, client, caller, request),
            CREATE_PERMISSION => self.create_permission(now, client, caller, request),
            CHANNEL_BIND => self.channel_bind(now, client, caller, request),
            // handle_stun lets only these four come here.
            _ => Err(Refusal::BadRequest),
        }
    }

    /// RFC 8656 §7.2
    fn allocate(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        if let Some(allocation) = self.table.of_client(client) {
            let is_repeated = allocation.transaction == request.transaction_id()
                && *allocation.user == *caller.user;
            if !is_repeated {
                return Err(Refusal::AllocationMismatch);
            }
            return Ok(allocated(request, allocation, &Allocate::parse(request)?));
        }
        let wanted = Allocate::parse(request)?;
        if wanted.family != family(self.table.relay_ip()) {
            return Err(Refusal::AddressFamilyNotSupported);
        }
        let wish = Wish {
            client,
            user: &caller.user,
            transaction: request.transaction_id(),
            // Nobody allocates in order to have nothing: 0 gets the default, too.
            lifetime: self.lifetime(wanted.lifetime.filter(|&seconds| seconds > 0)),
            even_port: wanted.even_port,
        };
        let allocation = self.table.create(now, wish)?;
        self.stats.allocations_created += 1;
        debug!(%client, relayed = %allocation.relayed, user = caller.user, "allocated");
        Ok(allocated(request, allocation, &wanted))
    }

    /// RFC 8656 §8.2
    fn refresh(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let transaction = request.transaction_id();
        if self.farewells.contains(now, client, transaction) {
            return Ok(Response::success(request).with(&Lifetime::new(0)));
        }
        let allocation = self.allocation_of(client, caller)?;
        let relayed = allocation.relayed;
        let wanted = Refresh::parse(request)?;
        if wanted.family.is_some_and(|wanted| wanted != family(relayed.ip())) {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let lifetime = match wanted.lifetime {
            Some(0) => {
                self.table.remove(client);
                self.farewells.remember(now, client, transaction);
                self.stats.allocations_deleted += 1;
                debug!(%client, %relayed, "deleted");
                Duration::ZERO
            }
            wanted => {
                let lifetime = self.lifetime(wanted);
                self.table.refresh(client, now + lifetime);
                lifetime
            }
        };
        Ok(Response::success(request).with(&lifetime_attribute(lifetime)))
    }

    /// RFC 8656 §10.2: all of the peers, or none.
    fn create_permission(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let relayed = self.allocation_of(client, caller)?.relayed;
        let wanted = CreatePermission::parse(request)?;
        for peer in &wanted.peers {
            check_family(relayed.ip(), *peer)?;
            if !self.peers.can_permit(peer.ip()) {
                return Err(Refusal::Forbidden);
            }
        }
        let allocation = self.allocation_of(client, caller)?;
        for peer in &wanted.peers {
            allocation.permit(now, peer.ip());
        }
        Ok(Response::success(request))
    }

    /// RFC 8656 §12.2. A channel to a port where no media lives is refused at once: nothing could ever pass through it.
    fn channel_bind(
        &mut self,
        now: Instant,
        client: ClientAddr,
        caller: &Caller,
        request: &Message<'_>,
    ) -> Result<Response, Refusal> {
        let relayed = self.allocation_of(client, caller)?.relayed;
        let wanted = ChannelBind::parse(request)?;
        check_family(relayed.ip(), wanted.peer)?;
        if !self.peers.can_relay_to(wanted.peer) {
            return Err(Refusal::Forbidden);
        }
        self.allocation_of(client, caller)?.bind(now, wanted.number, wanted.peer)?;
        Ok(Response::success(request))
    }

    /// RFC 8656 §5: an allocation answers to the user who made it. Renewed credentials of the same user will do.
    fn allocation_of(
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

/// The answer to an Allocate, the same for each repetition of the request.
fn allocated(request: &Message<'_>, allocation: &Allocation, wanted: &Allocate) -> Response {
    let transaction = request.transaction_id();
    let response = Response::success(request)
        .with(&XorRelayedAddress::new(allocation.relayed, transaction))
        .with(&lifetime_attribute(allocation.granted))
        .with(&XorMappedAddress::new(allocation.client.mapped(), transaction));
    if !wanted.additional_ipv6 {
        return response;
    }
    // RFC 8656 §7.2: the wish for a second family is granted in part.
    let reason = ErrorCode::new(Refusal::AddressFamilyNotSupported.code(), "")
        .expect("codes of refusals are 400 to 599");
    response.with(&AddressErrorCode::new(AddressFamily::IPV6, reason))
}

fn lifetime_attribute(lifetime: Duration) -> Lifetime {
    Lifetime::new(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX))
}

fn check_family(relay_ip: IpAddr, peer: SocketAddr) -> Result<(), Refusal> {
    if family(relay_ip) == family(peer.ip()) {
        Ok(())
    } else {
        Err(Refusal::PeerAddressFamilyMismatch)
    }
}
