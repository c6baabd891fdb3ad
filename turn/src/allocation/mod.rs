//! One client's allocation (RFC 8656): its relayed addresses, permissions and channels.

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

/// The maximum number of permissions, and of channels, per allocation; a further one is refused with 508. An ICE agent
/// needs one for each candidate of its peer.
const MAX_PEERS: usize = 64;

/// An allocation in force (RFC 8656 §3.2).
#[derive(Debug)]
pub(crate) struct Allocation {
    /// The client that holds it.
    pub(crate) client: ClientAddr,
    /// The user that owns it: see [`crate::auth::Caller::user`].
    pub(crate) user: Box<str>,
    /// The relayed transport addresses.
    pub(crate) relayed: Relayed,
    /// The transaction id of the Allocate request that made it, to recognise retransmissions (RFC 8656 §7.2).
    pub(crate) transaction: TransactionId,
    /// The lifetime that was granted to that request.
    pub(crate) granted: Duration,
    /// When it ends unless it is refreshed. Only the table changes this, because the table also keeps it in order.
    pub(crate) expires: Instant,
    /// The token for the reserved next-higher port, if the client asked for one (EVEN-PORT).
    pub(crate) reservation: Option<u64>,
    /// The error code for the IPv6 address, if the client asked for both families and got only IPv4.
    pub(crate) second_refusal: Option<u16>,
    /// When the media engine last sent to it; before that, when it was made.
    pub(crate) used_at: Instant,
    /// Rate limits for data from the client and to it.
    pub(crate) from_client: Bucket,
    pub(crate) to_client: Bucket,
    /// Rate limits of its connections to peers, if it relays TCP.
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

/// A channel number in the valid range, 0x4000 to 0x4FFF (RFC 8656 §12).
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
            used_at: now,
            from_client: Bucket::new(now, rate),
            to_client: Bucket::new(now, rate),
            paces: None,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Whether its relayed addresses are for TCP (RFC 6062) rather than for UDP.
    pub(crate) fn relays_tcp(&self) -> bool {
        self.paces.is_some()
    }

    /// Installs or refreshes permissions for all addresses, or for none.
    ///
    /// # Errors
    /// 508 when there would be too many permissions.
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

    /// Binds a channel or refreshes its binding, and installs a permission for its peer (RFC 8656 §12.2).
    ///
    /// # Errors
    /// 400 when the number is bound to another peer, or the peer to another number; 508 when there would be too many
    /// channels.
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

    /// The channel bound to a peer, and the path to that peer.
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
