//! Fuzzing behind the keys: peers whose packets are authentic but hostile.

use std::collections::HashMap;
use std::time::Duration;

use super::unauthenticated::{identity, pieces};
use crate::MediaKind::{Audio, Video};
use crate::rtp::Header;
use crate::test_now;
use crate::testing::rig::{self, Far, Rig};
use crate::transport::batch::MAX_PACKET;
use crate::transport::path::{Path, Protocol, demux};
use crate::transport::srtp::Profile;

/// Datagrams from three connected peers and a stranger, each behind its length in 16 bits. The first byte selects
/// the sender and the kind, and how much time passes; the rest is sealed accordingly, or sent as it is.
///
/// Whatever is received, the datagrams sent are authentic, fit into a packet, and never have two contents under one
/// number, which would reveal a GCM key (RFC 7714 §8.1).
pub fn media(events: &[u8]) {
    let mut rig = Rig::new(test_now(), identity(), Profile::AeadAes128Gcm);
    let mut publisher = rig.join(1, true, &[]);
    let mut receiver = rig.join(2, true, &[Video, Video, Audio, Audio]);
    let layered = rig.join_with(3, &rig::offer(3, true, &[]).replace("a=mid:1\r\n", LAYERS));
    rig.watch(&receiver, 2, &publisher);
    rig.watch(&receiver, 3, &layered);
    rig.discard();
    let stranger = Path::Udp(([203, 0, 113, 1], 9).into(), None);
    let mut sealed = HashMap::new();
    for event in pieces(events) {
        let Some((&how, bytes)) = event.split_first() else {
            continue;
        };
        rig.advance(Duration::from_millis(u64::from(how >> 4) * 7));
        let (path, mut datagram) = match how & 7 {
            0 => (stranger, bytes.to_vec()),
            1 => (publisher.path, bytes.to_vec()),
            2 => (publisher.path, rtcp(&mut publisher, bytes)),
            3 => (receiver.path, rtcp(&mut receiver, bytes)),
            4 => (receiver.path, rtp(&receiver, bytes)),
            5 => (publisher.path, video(&publisher, bytes)),
            6 => (layered.path, rtp(&layered, bytes)),
            _ => (publisher.path, rtp(&publisher, bytes)),
        };
        rig.worker.handle_datagram(rig.now, path, &mut datagram);
        if how & 8 == 0 || rig.worker.is_burst_full() {
            rig.flush(|path, datagram| check(&mut sealed, path, datagram));
        }
    }
    rig.flush(|path, datagram| check(&mut sealed, path, datagram));
    rig.worker.close();
    rig.flush(|_, _| {});
}

/// The attributes of a camera with three encodings.
const LAYERS: &str = "a=mid:1\r\n\
    a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
    a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
    a=rid:q send\r\n\
    a=rid:h send\r\n\
    a=rid:f send\r\n\
    a=simulcast:send q;h;f\r\n";

/// The bytes as a packet, if they have a header at all. The SSRC is brought into range: one of the publisher's, or
/// unknown.
fn rtp(from: &Far, bytes: &[u8]) -> Vec<u8> {
    let Some(header) = Header::parse(bytes) else {
        return bytes.to_vec();
    };
    let mut packet = bytes.to_vec();
    let ssrc = match header.ssrc % 5 {
        0 => from.ssrc(0),
        1 | 2 => from.ssrc(1),
        3 => from.ssrc(1) + 50,
        _ => header.ssrc,
    };
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    from.seal_rtp(packet, header.header_len)
}

/// A frame whose sequence number and size are the first bytes.
fn video(from: &Far, bytes: &[u8]) -> Vec<u8> {
    let [high, low, flags, ..] = *bytes else {
        return bytes.to_vec();
    };
    from.video(u16::from_be_bytes([high, low]), flags & 1 == 1, usize::from(flags) * 5)
}

/// A compound; `S` in place of its media SSRC becomes the receiver's slot.
fn rtcp(from: &mut Far, bytes: &[u8]) -> Vec<u8> {
    let mut compound = bytes.to_vec();
    if compound.len() < 8 {
        return compound;
    }
    let slot = from.slots.get("2").and_then(|ssrcs| ssrcs.first()).copied();
    let published = from.ssrc(1);
    if let Some(place) = compound.get_mut(8..12).filter(|place| place[0] == b'S') {
        place.copy_from_slice(&slot.unwrap_or(published).to_be_bytes());
    }
    from.seal_rtcp(compound)
}

fn check(sealed: &mut HashMap<(Path, u32, u16), Vec<u8>>, path: Path, datagram: &[u8]) {
    assert!(datagram.len() <= MAX_PACKET);
    if demux(datagram) != Some(Protocol::Rtp) {
        return;
    }
    let Some(header) = Header::parse(datagram) else {
        panic!("what goes out has a header");
    };
    let place = (path, header.ssrc, header.sequence_number);
    let before = sealed.entry(place).or_insert_with(|| datagram.to_vec());
    assert_eq!(before, datagram, "two packets under one number");
}
