//! The data path: nothing here allocates, and payloads are passed on as they lie.

use std::net::SocketAddr;
use std::time::Instant;

use stun_types::attribute::AttributeStaticType;
use stun_types::message::{
    Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteMutSlice,
};
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::channel::ChannelData;
use turn_types::message::DATA;

use super::{Server, ToMedia};
use crate::ClientAddr;
use crate::address::{Transport, canonical};
use crate::allocation::{Allocation, ChannelNumber};
use crate::request::{peer, refuse_unknown_attributes};

/// What surrounds the payload of a Data indication at most: STUN header 20, XOR-PEER-ADDRESS 24, DATA's header 4 and
/// padding 3.
const MAX_FRAMING: usize = 51;

/// The longest payload that still fits into a UDP datagram over IPv4 (65,507 bytes) with its framing.
const MAX_PAYLOAD: usize = 65_507 - MAX_FRAMING;

impl Server {
    /// Takes a datagram that the media engine sends from `media` to a relayed address. It is framed into `out`, whose
    /// contents are replaced, for the returned client; None when nobody there wants it.
    pub fn handle_media(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        media: SocketAddr,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<ClientAddr> {
        self.handle_timeout(now);
        let (relayed, media) = (canonical(relayed), canonical(media));
        if payload.len() > MAX_PAYLOAD {
            self.stats.dropped_too_large += 1;
            return None;
        }
        let Some(allocation) = self.table.of_relayed(relayed) else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        if !allocation.permits(now, media.ip()) {
            self.stats.dropped_no_permission += 1;
            return None;
        }
        match allocation.channel_to(now, media) {
            Some(number) => write_channel_data(number, payload, allocation.client.transport, out),
            None => {
                self.next_indication += 1;
                write_data_indication(self.next_indication, media, payload, out);
            }
        }
        self.stats.to_client_packets += 1;
        self.stats.to_client_bytes += payload.len() as u64;
        Some(allocation.client)
    }

    /// RFC 8656 §11.2: a Send indication; whatever is wrong with it, nobody is told.
    pub(super) fn handle_send<'a>(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &'a [u8],
        message: &Message<'_>,
    ) -> Option<ToMedia<'a>> {
        let Some(allocation) = self.table.of_client(client) else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        if refuse_unknown_attributes(message).is_err() {
            self.stats.dropped_unexpected += 1;
            return None;
        }
        let (Ok(Some(media)), Some(payload)) = (peer(message), data(message, datagram)) else {
            return self.drop_malformed(client);
        };
        let relayed = permitted(allocation, now, media, &mut self.stats.dropped_no_permission)?;
        self.pass_on(relayed, media, payload)
    }

    /// RFC 8656 §12.6
    pub(super) fn handle_channel_data<'a>(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &'a [u8],
    ) -> Option<ToMedia<'a>> {
        let Some((number, payload)) = parse_channel_data(datagram) else {
            return self.drop_malformed(client);
        };
        let Some(allocation) = self.table.of_client(client) else {
            self.stats.dropped_no_allocation += 1;
            return None;
        };
        let Some(media) = allocation.peer_of(now, number) else {
            self.stats.dropped_no_channel += 1;
            return None;
        };
        let relayed = permitted(allocation, now, media, &mut self.stats.dropped_no_permission)?;
        self.pass_on(relayed, media, payload)
    }

    fn pass_on<'a>(
        &mut self,
        relayed: SocketAddr,
        media: SocketAddr,
        payload: &'a [u8],
    ) -> Option<ToMedia<'a>> {
        if !self.peers.can_relay_to(media) {
            self.stats.dropped_not_media += 1;
            return None;
        }
        self.stats.to_media_packets += 1;
        self.stats.to_media_bytes += payload.len() as u64;
        Some(ToMedia { relayed, media, payload })
    }
}

/// The relayed address from which the allocation may send to `media`; counts when it may not. A channel outlives its
/// permission by five minutes, so that both ways of sending ask here (RFC 8656 §9).
fn permitted(
    allocation: &Allocation,
    now: Instant,
    media: SocketAddr,
    dropped: &mut u64,
) -> Option<SocketAddr> {
    if allocation.permits(now, media.ip()) {
        return Some(allocation.relayed);
    }
    *dropped += 1;
    None
}

/// The value of DATA as a piece of the datagram from which the message was parsed.
fn data<'a>(message: &Message<'_>, datagram: &'a [u8]) -> Option<&'a [u8]> {
    let (offset, attribute) = message.raw_attribute_and_offset(Data::TYPE)?;
    let start = offset + 4;
    datagram.get(start..start + attribute.value.len())
}

/// RFC 8656 §12.4: number, length, payload; padding may follow.
fn parse_channel_data(datagram: &[u8]) -> Option<(ChannelNumber, &[u8])> {
    let (number, length) = ChannelData::parse_header(datagram).ok()?;
    let payload = datagram.get(4..4 + length)?;
    Some((ChannelNumber::parse(number)?, payload))
}

/// RFC 8656 §12.5: in a stream, the next message begins at a multiple of four bytes.
fn write_channel_data(
    number: ChannelNumber,
    payload: &[u8],
    transport: Transport,
    out: &mut Vec<u8>,
) {
    let length = 4 + payload.len();
    out.clear();
    out.resize(length, 0);
    ChannelData::new(number.get(), payload).write_into_unchecked(out);
    if transport == Transport::Tcp {
        out.resize(length.next_multiple_of(4), 0);
    }
}

fn write_data_indication(id: u128, media: SocketAddr, payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.resize(MAX_FRAMING + payload.len(), 0);
    let transaction = id.into();
    let mut message = Message::builder(
        MessageType::from_class_method(MessageClass::Indication, DATA),
        transaction,
        MessageWriteMutSlice::new(out),
    );
    let fits = "the buffer has room for the framing, and the payload's length was checked";
    message.add_attribute(&XorPeerAddress::new(media, transaction)).expect(fits);
    message.add_attribute(&Data::new(payload)).expect(fits);
    let written = message.finish();
    out.truncate(written);
}
