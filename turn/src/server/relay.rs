//! The data path: it allocates no memory, and payloads are passed on without copying where possible.

use std::net::SocketAddr;
use std::time::Instant;

use stun_types::attribute::AttributeStaticType;
use stun_types::message::{
    Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteMutSlice,
};
use turn_types::attribute::{Data, DontFragment, XorPeerAddress};
use turn_types::channel::ChannelData;
use turn_types::message::DATA;

use super::{Server, ToPeer};
use crate::address::{Transport, canonical, family};
use crate::allocation::ChannelNumber;
use crate::request::{peer, refuse_unknown_attributes};
use crate::{ClientAddr, Path};

/// The maximum framing of a Data indication: 20 bytes of STUN header, 24 of XOR-PEER-ADDRESS, 4 of DATA's header and 3
/// of padding.
const MAX_FRAMING: usize = 51;

/// The longest payload that fits with its framing into a UDP datagram over IPv4 (65,507 bytes).
const MAX_PAYLOAD: usize = 65_507 - MAX_FRAMING;

impl Server {
    /// Handles a datagram from `media`, an address of the media engine, to a relayed address. Appends it to `out`,
    /// framed for the returned client; `None` when it is dropped.
    pub fn handle_media(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        media: SocketAddr,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<ClientAddr> {
        let client = self.frame(now, (relayed, media), Path::Media, payload, out)?;
        self.stats.to_client_packets += 1;
        self.stats.to_client_bytes += payload.len() as u64;
        Some(client)
    }

    /// Handles a datagram that the socket of a relayed address received from `peer`. Returns as
    /// [`Server::handle_media`].
    pub fn handle_peer(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<ClientAddr> {
        let client = self.frame(now, (relayed, peer), Path::Socket, payload, out)?;
        self.stats.from_peer_packets += 1;
        self.stats.from_peer_bytes += payload.len() as u64;
        Some(client)
    }

    fn frame(
        &mut self,
        now: Instant,
        (relayed, peer): (SocketAddr, SocketAddr),
        path: Path,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<ClientAddr> {
        self.handle_timeout(now);
        let (relayed, peer) = (canonical(relayed), canonical(peer));
        if payload.len() > MAX_PAYLOAD {
            self.stats.dropped_too_large += 1;
            return None;
        }
        // A relayed address for TCP receives no datagrams.
        let allocation = self.table.of_relayed_mut(relayed).filter(|found| !found.relays_tcp());
        let Some(allocation) = allocation else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        if !allocation.permits(now, peer.ip()) {
            self.stats.dropped_no_permission += 1;
            return None;
        }
        let channel = allocation.channel_to(now, peer);
        // For a channel, the policy was checked when the channel was bound. The media engine may always send.
        let comes_from = match (path, channel) {
            (Path::Media, _) => Some(Path::Media),
            (Path::Socket, Some((_, bound))) => Some(bound),
            (Path::Socket, None) => self.peers.path_to(peer),
        };
        if comes_from != Some(path) {
            self.stats.dropped_peer += 1;
            return None;
        }
        if !allocation.to_client.take(now, payload.len(), self.rate) {
            self.stats.dropped_bandwidth += 1;
            return None;
        }
        if path == Path::Media {
            allocation.used_at = now;
        }
        let client = allocation.client;
        match channel {
            Some((number, _)) => write_channel_data(number, payload, client.transport, out),
            None => {
                self.next_indication += 1;
                write_data_indication(self.next_indication, peer, payload, out);
            }
        }
        Some(client)
    }

    /// Handles a Send indication (RFC 8656 §11.2). Errors are counted, not answered.
    pub(super) fn handle_send<'a>(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &'a [u8],
        message: &Message<'_>,
    ) -> Option<ToPeer<'a>> {
        let Some(allocation) = self.table.of_client(client) else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        if allocation.relays_tcp() || refuse_unknown_attributes(message).is_err() {
            self.stats.dropped_unexpected += 1;
            return None;
        }
        let (Ok(Some(peer)), Some(payload)) = (peer(message), data(message, datagram)) else {
            return self.drop_malformed(client);
        };
        let path = self.peers.path_to(peer);
        let dont_fragment = message.has_attribute(DontFragment::TYPE);
        let relay = self.pass_on(now, client, (peer, path), payload)?;
        Some(ToPeer { dont_fragment, ..relay })
    }

    /// Handles a ChannelData message (RFC 8656 §12.6).
    pub(super) fn handle_channel_data<'a>(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &'a [u8],
    ) -> Option<ToPeer<'a>> {
        let Some((number, payload)) = parse_channel_data(datagram) else {
            return self.drop_malformed(client);
        };
        let Some(allocation) = self.table.of_client(client) else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        let Some((peer, path)) = allocation.peer_of(now, number) else {
            self.stats.dropped_no_channel += 1;
            return None;
        };
        self.pass_on(now, client, (peer, Some(path)), payload)
    }

    /// Relays a client's payload to a peer. A channel outlives its permission by five minutes, so both ways of sending
    /// check the permission (RFC 8656 §9).
    fn pass_on<'a>(
        &mut self,
        now: Instant,
        client: ClientAddr,
        (peer, path): (SocketAddr, Option<Path>),
        payload: &'a [u8],
    ) -> Option<ToPeer<'a>> {
        let allocation = self.table.of_client_mut(client)?;
        let permitted = allocation.permits(now, peer.ip());
        let Some(relayed) = allocation.relayed.of(family(peer.ip())).filter(|_| permitted) else {
            self.stats.dropped_no_permission += 1;
            return None;
        };
        let Some(path) = path else {
            self.stats.dropped_peer += 1;
            return None;
        };
        if !allocation.from_client.take(now, payload.len(), self.rate) {
            self.stats.dropped_bandwidth += 1;
            return None;
        }
        let (packets, bytes) = match path {
            Path::Media => (&mut self.stats.to_media_packets, &mut self.stats.to_media_bytes),
            Path::Socket => (&mut self.stats.to_peer_packets, &mut self.stats.to_peer_bytes),
        };
        *packets += 1;
        *bytes += payload.len() as u64;
        Some(ToPeer { relayed, peer, path, payload, dont_fragment: false })
    }
}

/// The value of DATA as a slice of the datagram from which the message was parsed.
fn data<'a>(message: &Message<'_>, datagram: &'a [u8]) -> Option<&'a [u8]> {
    let (offset, attribute) = message.raw_attribute_and_offset(Data::TYPE)?;
    let start = offset + 4;
    datagram.get(start..start + attribute.value.len())
}

/// Parses the channel number, length and payload; padding may follow (RFC 8656 §12.4).
fn parse_channel_data(datagram: &[u8]) -> Option<(ChannelNumber, &[u8])> {
    let (number, length) = ChannelData::parse_header(datagram).ok()?;
    let payload = datagram.get(4..4 + length)?;
    Some((ChannelNumber::parse(number)?, payload))
}

/// Appends a ChannelData message. In a stream, it is padded to a multiple of four bytes (RFC 8656 §12.5).
fn write_channel_data(
    number: ChannelNumber,
    payload: &[u8],
    transport: Transport,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&number.get().to_be_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    if transport.is_stream() {
        let padded = (out.len() - start).next_multiple_of(4);
        out.resize(start + padded, 0);
    }
}

fn write_data_indication(id: u128, peer: SocketAddr, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + MAX_FRAMING + payload.len(), 0);
    let transaction = id.into();
    let mut message = Message::builder(
        MessageType::from_class_method(MessageClass::Indication, DATA),
        transaction,
        MessageWriteMutSlice::new(&mut out[start..]),
    );
    let fits = "the buffer has room for the framing, and the payload's length was checked";
    message.add_attribute(&XorPeerAddress::new(peer, transaction)).expect(fits);
    message.add_attribute(&Data::new(payload)).expect(fits);
    let written = message.finish();
    out.truncate(start + written);
}
