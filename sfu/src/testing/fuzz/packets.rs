//! Fuzzing the parsers of single packets, and of a stream of them.

use crate::rtcp::twcc::Feedback;
use crate::rtcp::{self, Message};
use crate::rtp::Codec;
use crate::rtp::{Counters, Header, dependency, key_frame, red};
use crate::transport::framing::Deframer;
use crate::transport::srtp::{self, Profile, RtpStream};

const VIDEO: [Codec; 4] = [
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::Av1 { profile: 0 },
    Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] },
];

/// The header of an RTP packet, its extensions, and the range of its payload.
pub fn rtp(packet: &[u8]) {
    let Some(header) = Header::parse(packet) else {
        return;
    };
    assert!(header.header_len <= packet.len());
    if let Some(payload) = header.payload_range(packet) {
        assert!(header.header_len == payload.start && packet.get(payload).is_some());
    }
    for (id, _) in header.extensions(packet) {
        let data = header.extension(packet, id);
        let place = header.extension_range(packet, id).map(|place| &packet[place]);
        assert!(data.is_some() && place == data);
    }
}

/// A payload of each video format, with a dependency descriptor in its first bytes; and redundant audio (RED).
pub fn payload(bytes: &[u8]) {
    let (descriptor, _) = bytes.split_at(bytes.len().min(8));
    for codec in VIDEO {
        for dependency in [None, Some(descriptor)] {
            key_frame::is_key_frame(codec, bytes, dependency);
            renumber(codec, bytes, dependency);
        }
    }
    let mut renumbered = descriptor.to_vec();
    dependency::rewrite(&mut renumbered, 0x1234);
    let frame = dependency::Descriptor::parse(&renumbered);
    assert!(frame.is_none_or(|frame| frame.frame_number == 0x1234));
    redundant(bytes);
}

/// Written counters are read back, as far as there is room for them, and nothing else changes.
fn renumber(codec: Codec, bytes: &[u8], dependency: Option<&[u8]>) {
    let before = Counters::read(codec, bytes, dependency);
    let mut payload = bytes.to_vec();
    before.write(codec, &mut payload);
    assert_eq!(payload, bytes, "the same numbers");
    before.plus(Counters::STEP).write(codec, &mut payload);
    let after = Counters::read(codec, &payload, dependency);
    assert!([0, 1].contains(&(after.picture_id.wrapping_sub(before.picture_id) & 0x7f)));
    assert!([0, 1].contains(&after.tl0_pic_idx.wrapping_sub(before.tl0_pic_idx)));
    let (was, is) = (
        key_frame::is_key_frame(codec, bytes, None),
        key_frame::is_key_frame(codec, &payload, None),
    );
    assert_eq!(was, is);
}

fn redundant(bytes: &[u8]) {
    let before = red::primary(bytes);
    let mut payload = bytes.to_vec();
    red::rewrite(&mut payload, 111);
    assert_eq!(red::primary(&payload).map(<[u8]>::len), before.map(<[u8]>::len));
}

/// A compound RTCP packet.
pub fn rtcp(compound: &[u8]) {
    for message in rtcp::messages(compound) {
        match message {
            Message::Nack { first, following, .. } => {
                assert!((1..=17).contains(&Message::missing(first, following).count()));
            }
            Message::TransportFeedback { payload } => {
                let statuses = Feedback::parse(payload).map(|feedback| feedback.statuses().count());
                assert!(statuses.is_none_or(|statuses| statuses <= 4096));
            }
            _ => {}
        }
    }
    for limit in [0, 8, 100, 1200] {
        assert!(rtcp::fitting(compound, limit) <= compound.len());
    }
    let numbers: Vec<u16> =
        compound.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    nack(&numbers[..numbers.len().min(200)]);
}

/// A written NACK names exactly the missing packets.
fn nack(numbers: &[u16]) {
    let mut compound = Vec::new();
    rtcp::write_nack(&mut compound, 1, 2, numbers);
    let named: Vec<u16> = rtcp::messages(&compound)
        .flat_map(|message| match message {
            Message::Nack { first, following, .. } => Message::missing(first, following).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert!(numbers.iter().all(|number| named.contains(number)));
    assert!(named.iter().all(|number| numbers.contains(number)));
}

/// Bytes that the peer did not seal are refused, and change nothing; sealed packets open once.
pub fn srtp(bytes: &[u8]) {
    for profile in [Profile::AeadAes256Gcm, Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80] {
        let material = vec![0x5a; profile.keying_material_len()];
        let ends = [true, false].map(|is_client| srtp::contexts(profile, &material, is_client));
        let [Some((_, mut far)), Some((mut near, _))] = ends else {
            unreachable!("the keying material has the length of the profile");
        };
        let mut stream = RtpStream::default();
        let header_len = Header::parse(bytes).map_or(12, |header| header.header_len);
        assert!(near.unprotect_rtp(&mut bytes.to_vec(), header_len, &mut stream).is_err());
        assert!(near.unprotect_rtcp(&mut bytes.to_vec()).is_err());
        assert_eq!(stream, RtpStream::default());

        let mut sealed = [bytes, &vec![0; profile.rtp_overhead()]].concat();
        if Header::parse(bytes).is_some() {
            far.protect_rtp(&mut sealed, header_len, 0);
            let mut forged = sealed.clone();
            forged[bytes.len() / 2] ^= 1;
            assert!(near.unprotect_rtp(&mut forged, header_len, &mut stream).is_err());
            let mut opened = sealed.clone();
            let length = near.unprotect_rtp(&mut opened, header_len, &mut stream);
            assert_eq!(length.map(|length| &opened[..length]), Ok(bytes));
            assert!(near.unprotect_rtp(&mut sealed, header_len, &mut stream).is_err());
        }
        let mut sealed = [bytes, &vec![0; profile.rtcp_overhead()]].concat();
        if bytes.len() >= 8 && far.protect_rtcp(&mut sealed).is_ok() {
            let length = near.unprotect_rtcp(&mut sealed);
            assert_eq!(length.map(|length| &sealed[..length]), Ok(bytes));
        }
    }
}

/// A stream yields the same datagrams however it is divided.
pub fn framing(stream: &[u8]) {
    let whole = datagrams([stream]);
    for size in [1, 2, 3, 100] {
        assert_eq!(datagrams(stream.chunks(size)), whole, "in pieces of {size} bytes");
    }
    let bytes: usize = whole.iter().map(Vec::len).sum();
    assert!(bytes <= stream.len());
}

fn datagrams<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::default();
    let mut found = Vec::new();
    for mut piece in pieces {
        while let Some(datagram) = deframer.next(&mut piece) {
            assert!((1..=crate::transport::batch::MAX_PACKET).contains(&datagram.len()));
            found.push(datagram.to_vec());
        }
    }
    found
}
