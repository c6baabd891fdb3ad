//! One client's allocation: its relayed address, and whom it may talk to.

pub(crate) mod ports;
pub(crate) mod relayed;
pub(crate) mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use crate::quota::bandwidth::{Bucket, Paces};
use crate::quota::rate::Rate;
use crate::refusal::Refusal;
use crate::{ClientAddr, Path};
use relayed::Relayed;

/// RFC 8656 §9: "The Permission Lifetime MUST be 300 seconds".
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// RFC 8656 §12: a channel binding lasts 10 minutes.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// Permissions, and channels, of an allocation at a time; a further one is refused with 508. An ICE agent has one for
/// each candidate of its peer.
const MAX_PEERS: usize = 64;

/// An allocation in force (RFC 8656 §3.2).
#[derive(Debug)]
pub(crate) struct Allocation {
    /// Who holds it.
    pub(crate) client: ClientAddr,
    /// Whose it is: see [`crate::auth::Caller::user`].
    pub(crate) user: Box<str>,
    /// The relayed transport addresses.
    pub(crate) relayed: Relayed,
    /// The Allocate request that made it, to recognise its retransmissions (RFC 8656 §7.2).
    pub(crate) transaction: TransactionId,
    /// The lifetime that was granted to that request.
    pub(crate) granted: Duration,
    /// When it ends unless it is refreshed. Changed by the table alone, which also keeps it in order.
    pub(crate) expires: Instant,
    /// The token for the port behind its own, when the client asked for one.
    pub(crate) reservation: Option<u64>,
    /// Why there is no IPv6 address beside the IPv4 one that there is, when the client asked for both.
    pub(crate) second_refusal: Option<u16>,
    /// What may pass from the client, and to it.
    pub(crate) from_client: Bucket,
    pub(crate) to_client: Bucket,
    /// What may pass in its connections to peers, when it relays TCP.
    pub(crate) paces: Option<Arc<Paces>>,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Debug)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    path: Path,
    expires: Instant,
}

/// A channel number that may be bound: 0x4000 to 0x4FFF. RFC 8656 §12
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelNumber(u16);

impl ChannelNumber {
    pub(crate) fn parse(number: u16) -> Option<ChannelNumber> {
        (0x4000..=0x4fff).contains(&number).then_some(ChannelNumber(number))
    }

    pub(crate) fn get(self) -> u16 {
        self.0
    }
}

impl Allocation {
    pub(crate) fn new(
        client: ClientAddr,
        user: &str,
        relayed: Relayed,
        transaction: TransactionId,
        now: Instant,
        granted: Duration,
        rate: Rate,
    ) -> Allocation {
        Allocation {
            client,
            user: user.into(),
            relayed,
            transaction,
            granted,
            expires: now + granted,
            reservation: None,
            second_refusal: None,
            from_client: Bucket::new(now, rate),
            to_client: Bucket::new(now, rate),
            paces: None,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Whether its relayed addresses are for TCP (RFC 6062), rather than for UDP.
    pub(crate) fn relays_tcp(&self) -> bool {
        self.paces.is_some()
    }

    /// Installs or refreshes permissions: all, or none.
    ///
    /// # Errors
    /// 508 when there would be too many.
    pub(crate) fn permit(
        &mut self,
        now: Instant,
        ips: impl Iterator<Item = IpAddr> + Clone,
    ) -> Result<(), Refusal> {
        self.permissions.retain(|permission| permission.expires > now);
        let mut added: Vec<IpAddr> = ips.clone().filter(|ip| !self.permits(now, *ip)).collect();
        added.sort_unstable();
        added.dedup();
        if self.permissions.len() + added.len() > MAX_PEERS {
            return Err(Refusal::InsufficientCapacity);
        }
        let expires = now + PERMISSION_LIFETIME;
        for ip in ips {
            match self.permissions.iter_mut().find(|permission| permission.ip == ip) {
                Some(permission) => permission.expires = expires,
                None => self.permissions.push(Permission { ip, expires }),
            }
        }
        Ok(())
    }

    /// Binds a channel or refreshes its binding, and permits its peer. RFC 8656 §12.2
    ///
    /// # Errors
    /// 400 when the number is bound to another peer, or the peer to another number; 508 when there would be too many.
    pub(crate) fn bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        (peer, path): (SocketAddr, Path),
    ) -> Result<(), Refusal> {
        self.channels.retain(|channel| channel.expires > now);
        let conflict = self
            .channels
            .iter()
            .any(|channel| (channel.number == number) != (channel.peer == peer));
        if conflict {
            return Err(Refusal::BadRequest);
        }
        let bound = self.channels.iter().position(|channel| channel.number == number);
        if bound.is_none() && self.channels.len() >= MAX_PEERS {
            return Err(Refusal::InsufficientCapacity);
        }
        self.permit(now, std::iter::once(peer.ip()))?;
        let channel = Channel { number, peer, path, expires: now + CHANNEL_LIFETIME };
        match bound.and_then(|index| self.channels.get_mut(index)) {
            Some(bound) => *bound = channel,
            None => self.channels.push(channel),
        }
        Ok(())
    }

    pub(crate) fn permits(&self, now: Instant, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && permission.expires > now)
    }

    pub(crate) fn peer_of(
        &self,
        now: Instant,
        number: ChannelNumber,
    ) -> Option<(SocketAddr, Path)> {
        self.channels
            .iter()
            .find(|channel| channel.number == number && channel.expires > now)
            .map(|channel| (channel.peer, channel.path))
    }

    /// The channel to a peer, and how that is reached.
    pub(crate) fn channel_to(
        &self,
        now: Instant,
        peer: SocketAddr,
    ) -> Option<(ChannelNumber, Path)> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && channel.expires > now)
            .map(|channel| (channel.number, channel.path))
    }
}
