//! The parts of the packet path that `benches/kernel.rs` measures, without sockets. Each is prepared for a round, which
//! is not measured, and then run.

use std::time::{Duration, Instant};

use super::rig::{Far, Rig};
use crate::MediaKind::Video;
use crate::rtcp;
use crate::rtcp::twcc::Arrivals;
use crate::rtp::Header;
use crate::transport::dtls::Identity;
use crate::transport::srtp::{self, RtpStream};

/// Bytes of payload per packet: with header, extension and tag, a packet has 1200 bytes or slightly fewer.
const PAYLOAD: usize = 1160;
/// The time between two bursts.
const PACE: Duration = Duration::from_millis(1);
/// Packets that are requested in one NACK, out of [`NACK_OF`].
const NACKED: usize = 4;
const NACK_OF: u16 = 64;
/// Packets that one TWCC feedback covers.
const TOLD: u16 = 20;

/// A protection profile.
#[derive(Clone, Copy, Debug)]
pub enum Profile {
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AES128_CM_HMAC_SHA1_80.
    AesCmSha1,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 3] = [Profile::Aes256Gcm, Profile::Aes128Gcm, Profile::AesCmSha1];

    fn srtp(self) -> srtp::Profile {
        match self {
            Profile::Aes256Gcm => srtp::Profile::AeadAes256Gcm,
            Profile::Aes128Gcm => srtp::Profile::AeadAes128Gcm,
            Profile::AesCmSha1 => srtp::Profile::Aes128CmSha1_80,
        }
    }
}

/// Something to measure.
pub trait Piece {
    /// Prepares a round.
    fn prepare(&mut self);
    /// Runs a round, and returns how many packets it was for.
    fn run(&mut self) -> usize;
}

/// Forwarding a publisher's packets: opened, stored, and for each receiver copied, rewritten, sealed and added to the
/// batch.
pub struct Forwarding {
    rig: Rig,
    publisher: Far,
    receivers: Vec<Far>,
    burst: u16,
    sequence: u16,
    datagrams: Vec<Vec<u8>>,
}

impl Forwarding {
    /// Bursts of `burst` packets to `receivers` receivers.
    ///
    /// # Panics
    /// If the cryptographic library can't make a certificate.
    pub fn new(now: Instant, profile: Profile, receivers: u64, burst: u16) -> Forwarding {
        let identity = Identity::generate().expect("a certificate can be made");
        let mut rig = Rig::new(now, &identity, profile.srtp());
        let publisher = rig.join(1, true, &[]);
        let receivers: Vec<Far> =
            (0..receivers).map(|id| rig.join(2 + id, false, &[Video])).collect();
        receivers.iter().for_each(|receiver| rig.watch(receiver, 0, &publisher));
        rig.discard();
        let mut forwarding =
            Forwarding { rig, publisher, receivers, burst, sequence: 0, datagrams: Vec::new() };
        // A slot starts on a key frame.
        forwarding.prepare();
        forwarding.run();
        forwarding
    }
}

impl Piece for Forwarding {
    fn prepare(&mut self) {
        let Forwarding { publisher, burst, sequence, .. } = self;
        self.datagrams = (0..*burst)
            .map(|_| {
                *sequence += 1;
                publisher.video(*sequence, *sequence == 1, PAYLOAD)
            })
            .collect();
        self.rig.now += PACE;
    }

    fn run(&mut self) -> usize {
        for datagram in &mut self.datagrams {
            self.rig.worker.handle_datagram(self.rig.now, self.publisher.path, datagram);
        }
        self.rig.discard()
    }
}

/// Answering a receiver's NACK for four packets, which are found in the history and sealed as RTX.
pub struct Repair {
    forwarding: Forwarding,
    nack: Vec<u8>,
}

impl Repair {
    /// One receiver that has received all packets except for some.
    pub fn new(now: Instant, profile: Profile) -> Repair {
        Repair { forwarding: Forwarding::new(now, profile, 1, NACK_OF), nack: Vec::new() }
    }
}

impl Piece for Repair {
    fn prepare(&mut self) {
        self.forwarding.prepare();
        let Forwarding { rig, publisher, receivers, datagrams, .. } = &mut self.forwarding;
        for datagram in datagrams {
            rig.worker.handle_datagram(rig.now, publisher.path, datagram);
        }
        let mut numbers = Vec::new();
        rig.flush(|_, datagram| {
            numbers.extend(Header::parse(datagram).map(|header| header.sequence_number));
        });
        let missing: Vec<u16> = numbers.iter().copied().step_by(5).take(NACKED).collect();
        let receiver = &mut receivers[0];
        let mut compound = Vec::new();
        rtcp::write_nack(&mut compound, 1, receiver.slots["0"][0], &missing);
        self.nack = receiver.seal_rtcp(compound);
    }

    fn run(&mut self) -> usize {
        let Forwarding { rig, receivers, .. } = &mut self.forwarding;
        rig.worker.handle_datagram(rig.now, receivers[0].path, &mut self.nack);
        rig.discard()
    }
}

/// Handling a receiver's TWCC feedback about the packets of a tenth of a second.
pub struct Feedback {
    forwarding: Forwarding,
    arrivals: Arrivals,
    start: Instant,
    /// The transport-wide number of the next packet.
    number: u16,
    feedback: Vec<u8>,
}

impl Feedback {
    /// One receiver that has received all packets.
    pub fn new(now: Instant, profile: Profile) -> Feedback {
        let forwarding = Forwarding::new(now, profile, 1, TOLD);
        let (arrivals, feedback) = (Arrivals::default(), Vec::new());
        Feedback { forwarding, arrivals, start: now, number: TOLD, feedback }
    }
}

impl Piece for Feedback {
    fn prepare(&mut self) {
        self.forwarding.prepare();
        self.number = self.number.wrapping_add(TOLD);
        self.forwarding.run();
        let Forwarding { rig, receivers, .. } = &mut self.forwarding;
        for behind in (1..=TOLD).rev() {
            self.arrivals.packet(rig.now, self.number.wrapping_sub(behind));
        }
        let (mut payload, mut compound) = (Vec::new(), Vec::new());
        self.arrivals.write(self.start, &mut payload);
        rtcp::write_transport_feedback(&mut compound, 1, receivers[0].slots["0"][0], &payload);
        self.feedback = receivers[0].seal_rtcp(compound);
    }

    fn run(&mut self) -> usize {
        let Forwarding { rig, receivers, .. } = &mut self.forwarding;
        rig.worker.handle_datagram(rig.now, receivers[0].path, &mut self.feedback);
        usize::from(TOLD)
    }
}

/// Sealing one packet.
pub struct Sealing {
    outbound: srtp::Outbound,
    packet: Vec<u8>,
    header_len: usize,
}

/// Opening one packet.
pub struct Opening {
    inbound: srtp::Inbound,
    outbound: srtp::Outbound,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    header_len: usize,
    stream: RtpStream,
}

impl Sealing {
    /// A packet of the usual size.
    pub fn new(profile: Profile) -> Sealing {
        let Opening { outbound, plain, header_len, .. } = Opening::new(profile);
        Sealing { outbound, packet: plain, header_len }
    }
}

impl Opening {
    /// Packets of the usual size.
    ///
    /// # Panics
    /// Never: the keying material has the required length.
    pub fn new(profile: Profile) -> Opening {
        let profile = profile.srtp();
        let material = vec![7; profile.keying_material_len()];
        let ends = [true, false].map(|is_client| srtp::contexts(profile, &material, is_client));
        let [Some((_, outbound)), Some((inbound, _))] = ends else {
            unreachable!("the keying material has the length of the profile");
        };
        let mut plain = vec![0x5a; 1200];
        let header_len = 20;
        plain[..header_len]
            .copy_from_slice(b"\x90\x60\0\0\0\0\0\x01\0\0\0\x02\xbe\xde\0\x01\x31\0\x01\0");
        let stream = RtpStream::default();
        Opening { inbound, outbound, sealed: plain.clone(), plain, header_len, stream }
    }
}

fn count(packet: &mut [u8]) {
    let next = u16::from_be_bytes([packet[2], packet[3]]) + 1;
    packet[2..4].copy_from_slice(&next.to_be_bytes());
}

impl Piece for Sealing {
    fn prepare(&mut self) {
        count(&mut self.packet);
    }

    fn run(&mut self) -> usize {
        self.outbound.protect_rtp(&mut self.packet, self.header_len, 0);
        1
    }
}

impl Piece for Opening {
    fn prepare(&mut self) {
        count(&mut self.plain);
        self.sealed.copy_from_slice(&self.plain);
        self.outbound.protect_rtp(&mut self.sealed, self.header_len, 0);
    }

    fn run(&mut self) -> usize {
        let opened =
            self.inbound.unprotect_rtp(&mut self.sealed, self.header_len, &mut self.stream);
        usize::from(opened.is_ok())
    }
}

/// Parsing the header of one packet, and one extension in it.
pub struct Parsing {
    packet: Vec<u8>,
}

impl Parsing {
    /// A packet with three extensions.
    pub fn new() -> Parsing {
        let head =
            b"\x90\x60\0\x01\0\0\0\x01\0\0\0\x02\xbe\xde\0\x03\x10\x94\x31\0\x01\x22\0\0\0\0\0\0";
        Parsing { packet: [&head[..], &[0; 1000]].concat() }
    }
}

impl Default for Parsing {
    fn default() -> Parsing {
        Parsing::new()
    }
}

impl Piece for Parsing {
    fn prepare(&mut self) {
        count(&mut self.packet);
    }

    fn run(&mut self) -> usize {
        let packet = std::hint::black_box(&self.packet[..]);
        let header = Header::parse(packet);
        let data = header.and_then(|header| header.extension(packet, 3)?.first().copied());
        usize::from(std::hint::black_box(data).is_some())
    }
}
