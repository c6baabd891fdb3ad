//! Peers of a worker for benchmarks and fuzz targets. They send checks and seal packets as a browser does, but get
//! their SRTP keys without a handshake, so a room of hundreds is set up at once, and is always the same.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use stun_types::attribute::{AttributeType, RawAttribute, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};

use crate::rtp::write_header;
use crate::transport::batch::SendBatch;
use crate::transport::dtls::{Identity, Keys};
use crate::transport::ice::Candidate;
use crate::transport::path::Path;
use crate::transport::srtp::{self, Outbound, Profile};
use crate::worker::{Config, Worker};
use crate::{Answer, BitrateLimits, MediaKind, Mid, PeerId, Receivers, RoomId, Source};

const ROOM: RoomId = RoomId(1);
const FINGERPRINT: &str = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                           10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

/// The id of an extension and a payload type in the offers below.
const TRANSPORT_SEQUENCE: u8 = 3;
const VP8: u8 = 96;

/// A worker, its clock, and its send batch.
pub(crate) struct Rig {
    pub(crate) worker: Worker,
    pub(crate) now: Instant,
    pub(crate) batch: SendBatch,
    profile: Profile,
}

/// The remote side of a peer.
pub(crate) struct Far {
    pub(crate) id: PeerId,
    pub(crate) path: Path,
    pub(crate) profile: Profile,
    pub(crate) outbound: Outbound,
    /// The SSRCs in the answer by m-line: the slot's, and that of its retransmissions.
    pub(crate) slots: HashMap<String, Vec<u32>>,
}

impl Rig {
    /// A worker whose peers get keys of this profile.
    pub(crate) fn new(now: Instant, identity: &Identity, profile: Profile) -> Rig {
        Rig { worker: worker(now, identity), now, batch: SendBatch::new(), profile }
    }

    /// Adds a connected peer. If it publishes, it has a microphone and a camera on the mids 0 and 1; behind them come
    /// these slots.
    ///
    /// # Panics
    /// If the worker refuses the offer.
    pub(crate) fn join(&mut self, id: u64, publishes: bool, slots: &[MediaKind]) -> Far {
        self.join_with(id, &offer(id, publishes, slots))
    }

    /// Adds a connected peer with another offer.
    pub(crate) fn join_with(&mut self, id: u64, offer: &str) -> Far {
        let remote = ([198, 51, (id >> 8) as u8, id as u8], 5000).into();
        let path = Path::Udp(remote, Some([192, 0, 2, 1].into()));
        let receivers = Receivers::default();
        let answer = self.worker.offer(self.now, ROOM, PeerId(id), offer, &receivers);
        let answer = answer.expect("the offer is valid");
        self.worker.handle_datagram(self.now, path, &mut check(id, &answer));
        let material: Vec<u8> =
            (0..self.profile.keying_material_len()).map(|at| at as u8 ^ id as u8).collect();
        let ends =
            [false, true].map(|is_client| srtp::contexts(self.profile, &material, is_client));
        let [Some((inbound, outbound)), Some(far)] = ends else {
            unreachable!("the keying material has the length of the profile");
        };
        let keys = Keys { profile: self.profile, inbound, outbound };
        self.worker.connect(self.now, PeerId(id), Box::new(keys));
        self.discard();
        let (_, outbound) = far;
        let slots = ssrcs(&answer.sdp);
        Far { id: PeerId(id), path, profile: self.profile, outbound, slots }
    }

    /// Puts a publisher's camera into a video slot.
    pub(crate) fn watch(&mut self, receiver: &Far, slot: usize, publisher: &Far) {
        let source = Source { peer: publisher.id, mid: Mid::new("1") };
        self.worker.assign(self.now, receiver.id, &Mid::new(&slot.to_string()), Some(&source));
    }

    /// Advances the clock.
    #[cfg(fuzzing)]
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
        if self.worker.poll_timeout().is_some_and(|at| at <= self.now) {
            self.worker.handle_timeout(self.now);
        }
    }

    /// Passes every datagram to send to `take`.
    pub(crate) fn flush(&mut self, mut take: impl FnMut(Path, &[u8])) {
        while self.worker.poll_batch(self.now, &mut self.batch) {
            for (run, bytes) in self.batch.runs() {
                bytes.chunks(run.segment).for_each(|datagram| take(run.path, datagram));
            }
            self.batch.clear();
        }
        while self.worker.poll_event().is_some() {}
    }

    /// Fills batches with what there is to send, and discards them. Returns the number of datagrams.
    pub(crate) fn discard(&mut self) -> usize {
        let mut datagrams = 0;
        while self.worker.poll_batch(self.now, &mut self.batch) {
            let runs = self.batch.runs();
            datagrams += runs.map(|(run, bytes)| bytes.len().div_ceil(run.segment)).sum::<usize>();
            self.batch.clear();
        }
        while self.worker.poll_event().is_some() {}
        datagrams
    }
}

impl Far {
    /// The SSRC under which the peer publishes an m-line.
    pub(crate) fn ssrc(&self, mid: u32) -> u32 {
        ssrc(self.id.0, mid)
    }

    /// Seals an RTP packet from the peer, of header and payload.
    pub(crate) fn seal_rtp(&self, mut packet: Vec<u8>, header_len: usize) -> Vec<u8> {
        packet.resize(packet.len() + self.profile.rtp_overhead(), 0);
        self.outbound.protect_rtp(&mut packet, header_len, 0);
        packet
    }

    /// Seals a compound RTCP packet from the peer, with at least a header and an SSRC.
    pub(crate) fn seal_rtcp(&mut self, mut compound: Vec<u8>) -> Vec<u8> {
        compound.resize(compound.len() + self.profile.rtcp_overhead(), 0);
        // Nothing here sends as many packets as one key may protect.
        let _ = self.outbound.protect_rtcp(&mut compound);
        compound
    }

    /// A packet of the peer's camera, with a VP8 frame of this many bytes.
    pub(crate) fn video(&self, sequence: u16, is_key_frame: bool, bytes: usize) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        // X and S; I and L; picture id of 15 bits; TL0PICIDX; then the inverse key frame flag.
        let descriptor = [0x90, 0xc0, 0x80 | high, low, low, u8::from(!is_key_frame)];
        let mut packet = vec![0; 256];
        let transport = [high, low];
        let extensions = [(TRANSPORT_SEQUENCE, &transport[..])].into_iter();
        let (ssrc, timestamp) = (self.ssrc(1), u32::from(sequence) * 3000);
        let header_len =
            write_header(&mut packet, true, VP8, sequence, timestamp, ssrc, extensions);
        packet.truncate(header_len);
        packet.extend(descriptor);
        packet.resize(header_len + bytes.max(descriptor.len()), 0x5a);
        self.seal_rtp(packet, header_len)
    }
}

/// A worker that is the same in each run, except for its certificate.
pub(crate) fn worker(now: Instant, identity: &Identity) -> Worker {
    let config = Config {
        candidates: vec![Candidate::Udp(([192, 0, 2, 1], 5004).into())],
        identity: identity.clone(),
        seed: [7; 32],
        unix_time: Duration::from_secs(1_700_000_000),
        number: 0,
        workers: 1,
        bitrate_limits: BitrateLimits::NONE,
    };
    Worker::new(now, config)
}

fn ssrc(peer: u64, mid: u32) -> u32 {
    peer as u32 * 100 + mid
}

/// The offer of such a peer.
pub(crate) fn offer(peer: u64, publishes: bool, slots: &[MediaKind]) -> String {
    let sent = [(MediaKind::Audio, "sendonly"), (MediaKind::Video, "sendonly")];
    let sent = sent.into_iter().filter(|_| publishes);
    let lines = sent.chain(slots.iter().map(|kind| (*kind, "recvonly"))).enumerate();
    let media: Vec<String> = lines
        .map(|(mid, (kind, direction))| media_line(peer, mid as u32, kind, direction))
        .collect();
    let mids: Vec<String> = (0..media.len()).map(|mid| mid.to_string()).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=ice-ufrag:far{peer}\r\na=ice-pwd:0123456789012345678901\r\n\
         a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\n{}",
        mids.join(" "),
        media.concat()
    )
}

fn media_line(peer: u64, mid: u32, kind: MediaKind, direction: &str) -> String {
    let (formats, attributes) = match kind {
        MediaKind::Audio => ("audio 9 UDP/TLS/RTP/SAVPF 63 111", AUDIO),
        MediaKind::Video => ("video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 45 46 102 103", VIDEO),
    };
    let ssrc = ssrc(peer, mid);
    let source = match direction {
        "sendonly" => format!(
            "a=ssrc-group:FID {ssrc} {0}\r\na=ssrc:{ssrc} cname:x\r\na=ssrc:{0} cname:x\r\n",
            ssrc + 50
        ),
        _ => String::new(),
    };
    format!(
        "m={formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n{attributes}{source}"
    )
}

const AUDIO: &str = "\
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=rtpmap:63 red/48000/2\r\n\
    a=fmtp:63 111/111\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    a=rtcp-fb:* nack\r\n\
    a=rtcp-fb:* transport-cc\r\n";

const VIDEO: &str = "\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:8 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension\r\n\
    a=extmap:13 urn:3gpp:video-orientation\r\n\
    a=rtcp-fb:* nack\r\n\
    a=rtcp-fb:* nack pli\r\n\
    a=rtcp-fb:* ccm fir\r\n\
    a=rtcp-fb:* transport-cc\r\n\
    a=rtpmap:96 VP8/90000\r\n\
    a=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\n\
    a=rtpmap:98 VP9/90000\r\n\
    a=fmtp:98 profile-id=0\r\n\
    a=rtpmap:99 rtx/90000\r\n\
    a=fmtp:99 apt=98\r\n\
    a=rtpmap:45 AV1/90000\r\n\
    a=rtpmap:46 rtx/90000\r\n\
    a=fmtp:46 apt=45\r\n\
    a=rtpmap:102 H264/90000\r\n\
    a=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\n\
    a=rtpmap:103 rtx/90000\r\n\
    a=fmtp:103 apt=102\r\n";

/// A nominating connectivity check.
pub(crate) fn check(peer: u64, answer: &Answer) -> Vec<u8> {
    let said = |key: &str| {
        let mut lines = answer.sdp.lines();
        lines.find_map(|line| line.strip_prefix(key)).expect("the answer has credentials")
    };
    let username = format!("{}:far{peer}", said("a=ice-ufrag:"));
    let password = said("a=ice-pwd:").to_owned();
    let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
    let username = Username::new(&username).expect("the username is short");
    let nominates = RawAttribute::new(AttributeType::new(0x0025), &[]);
    let fits = "the message has room for it";
    request.add_attribute(&username).expect(fits);
    request.add_attribute(&nominates).expect(fits);
    let credentials = ShortTermCredentials::new(password).into();
    request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).expect(fits);
    request.add_fingerprint().expect(fits);
    request.finish()
}

fn ssrcs(answer: &str) -> HashMap<String, Vec<u32>> {
    let mut found: HashMap<String, Vec<u32>> = HashMap::new();
    let mut mid = "";
    for line in answer.lines() {
        if let Some(value) = line.strip_prefix("a=mid:") {
            mid = value;
        }
        let ssrc = line.strip_prefix("a=ssrc:").and_then(|value| value.split(' ').next());
        let ssrc: Option<u32> = ssrc.and_then(|ssrc| ssrc.parse().ok());
        found.entry(mid.to_owned()).or_default().extend(ssrc);
    }
    found
}
