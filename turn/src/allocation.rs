//! One client's allocation: its relayed address, and whom it may talk to.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use crate::ClientAddr;
use crate::refusal::Refusal;

/// RFC 8656 §9: "The Permission Lifetime MUST be 300 seconds".
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// RFC 8656 §12: a channel binding lasts 10 minutes.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// An allocation in force (RFC 8656 §3.2).
///
/// Both lists are bounded by the peer policy: there is one permission at most for each media IP address, one channel for
/// each media address.
#[derive(Debug)]
pub(crate) struct Allocation {
    /// Who holds it.
    pub(crate) client: ClientAddr,
    /// Whose it is: the user part of the username, without the expiry.
    pub(crate) user: Box<str>,
    /// The relayed transport address.
    pub(crate) relayed: SocketAddr,
    /// The Allocate request that made it, to recognise its retransmissions (RFC 8656 §7.2).
    pub(crate) transaction: TransactionId,
    /// The lifetime that was granted to that request.
    pub(crate) granted: Duration,
    /// When it ends unless it is refreshed. Changed by the table alone, which also keeps it in order.
    pub(crate) expires: Instant,
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
        relayed: SocketAddr,
        transaction: TransactionId,
        now: Instant,
        granted: Duration,
    ) -> Allocation {
        Allocation {
            client,
            user: user.into(),
            relayed,
            transaction,
            granted,
            expires: now + granted,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Installs or refreshes a permission.
    pub(crate) fn permit(&mut self, now: Instant, ip: IpAddr) {
        self.permissions.retain(|permission| permission.ip != ip && permission.expires > now);
        self.permissions.push(Permission { ip, expires: now + PERMISSION_LIFETIME });
    }

    /// Binds a channel or refreshes its binding, and permits its peer. RFC 8656 §12.2
    ///
    /// # Errors
    /// 400 when the number is bound to another peer, or the peer to another number.
    pub(crate) fn bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<(), Refusal> {
        self.channels.retain(|channel| channel.expires > now);
        let conflict = self
            .channels
            .iter()
            .any(|channel| (channel.number == number) != (channel.peer == peer));
        if conflict {
            return Err(Refusal::BadRequest);
        }
        self.channels.retain(|channel| channel.number != number);
        self.channels.push(Channel { number, peer, expires: now + CHANNEL_LIFETIME });
        self.permit(now, peer.ip());
        Ok(())
    }

    pub(crate) fn permits(&self, now: Instant, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && permission.expires > now)
    }

    pub(crate) fn peer_of(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        self.channels
            .iter()
            .find(|channel| channel.number == number && channel.expires > now)
            .map(|channel| channel.peer)
    }

    pub(crate) fn channel_to(&self, now: Instant, peer: SocketAddr) -> Option<ChannelNumber> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && channel.expires > now)
            .map(|channel| channel.number)
    }
}
