//! A client for tests of the worker, which implements the other side of the same protocols, and the world around it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output};
use stun_types::attribute::{AttributeType, RawAttribute, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message as StunMessage, MessageWrite, MessageWriteExt,
    MessageWriteVec, ShortTermCredentials,
};

use crate::keys::WorkerNumber;
use crate::rtcp::{Message, NtpTime, SenderInfo};
use crate::rtp::{Header, write_header};
use crate::sdp::Offer;
use crate::test_now;
use crate::transport::batch::SendBatch;
use crate::transport::dtls::Identity;
use crate::transport::ice::Candidate;
use crate::transport::path::{Path, Protocol, demux};
use crate::transport::srtp::{self, Profile, RtpStream};
use crate::worker::{Config, Worker};
use crate::{Answer, BitrateLimits, Event, OfferError, PeerId, Receivers, RoomId};

/// A worker, its clock, and the datagrams that it sent.
pub(crate) struct World {
    pub(crate) worker: Worker,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    sent: Vec<(Path, Vec<u8>)>,
    /// The length in bytes of the longest datagram that is not forwarded media.
    pub(crate) longest_control: usize,
    /// If set, collects what clients send for an engine behind sockets, instead of handing it to this worker.
    pub(crate) far: Option<Vec<Vec<u8>>>,
}

impl World {
    /// A single worker.
    pub(crate) fn new() -> World {
        World::of_worker(test_now(), 0, 1)
    }

    /// A single worker that limits what peers publish. Others do not, since many tests send without letting time pass.
    pub(crate) fn with_limits(limits: BitrateLimits) -> World {
        World::of(test_now(), 0, 1, limits)
    }

    /// One of several workers.
    pub(crate) fn of_worker(now: Instant, number: WorkerNumber, workers: usize) -> World {
        World::of(now, number, workers, BitrateLimits::NONE)
    }

    fn of(
        now: Instant,
        number: WorkerNumber,
        workers: usize,
        bitrate_limits: BitrateLimits,
    ) -> World {
        let config = Config {
            candidates: vec![Candidate::Udp(([192, 0, 2, 1], 5004).into())],
            identity: Identity::generate().unwrap(),
            seed: [7 + number as u8; 32],
            unix_time: Duration::from_secs(1_700_000_000),
            number,
            workers,
            bitrate_limits,
        };
        World {
            worker: Worker::new(now, config),
            now,
            events: Vec::new(),
            sent: Vec::new(),
            longest_control: 0,
            far: None,
        }
    }

    pub(crate) fn offer(&mut self, peer: u64, sdp: &str) -> Result<Answer, OfferError> {
        self.offer_to(peer, sdp, &Receivers::default())
    }

    /// Offers to these receivers.
    pub(crate) fn offer_to(
        &mut self,
        peer: u64,
        sdp: &str,
        receivers: &Receivers,
    ) -> Result<Answer, OfferError> {
        let answer = self.worker.offer(self.now, RoomId(1), PeerId(peer), sdp, receivers);
        self.collect();
        answer
    }

    /// A later offer of the client whose peer is `current`.
    pub(crate) fn offer_again(
        &mut self,
        current: u64,
        fresh: u64,
        sdp: &str,
    ) -> Result<Answer, OfferError> {
        let offer = Offer::read(sdp, &Receivers::default())?;
        let (fresh, current) = (PeerId(fresh), Some(PeerId(current)));
        let agreement = self.worker.negotiate(self.now, RoomId(1), fresh, current, &offer);
        self.collect();
        Ok(agreement?.answer(&offer))
    }

    /// Adds a connected peer with one microphone, one camera, three audio slots and one video slot.
    pub(crate) fn join(&mut self, peer: u64) -> Client {
        self.join_with(peer, |sdp| sdp)
    }

    /// Adds such a peer with a changed offer.
    pub(crate) fn join_with(&mut self, peer: u64, change: impl Fn(String) -> String) -> Client {
        let mut client = Client::new(peer);
        let answer = self.offer(peer, &change(client.offer_with_slots(3, 1))).unwrap();
        client.learn(&answer.sdp);
        self.connect(&mut client);
        assert!(client.is_connected(), "DTLS connects");
        client
    }

    /// Exchanges checks and handshakes until both sides are done.
    pub(crate) fn connect(&mut self, client: &mut Client) {
        client.check(self);
        client.start_dtls(self);
        self.exchange(&mut [client]);
    }

    pub(crate) fn hand_in(&mut self, path: Path, datagram: &[u8]) {
        if let Some(far) = &mut self.far {
            far.push(datagram.to_vec());
            return;
        }
        self.worker.handle_datagram(self.now, path, &mut datagram.to_vec());
        self.collect();
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.worker.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.worker.handle_timeout(at);
            self.collect();
        }
        self.now = until;
    }

    /// Delivers datagrams to these clients, and their responses back, until all are quiet; datagrams to others are
    /// lost.
    pub(crate) fn exchange(&mut self, clients: &mut [&mut Client]) {
        self.collect();
        for _ in 0..100 {
            let sent = std::mem::take(&mut self.sent);
            if sent.is_empty() {
                return;
            }
            for (path, datagram) in sent {
                if let Some(client) = clients.iter_mut().find(|client| client.path == path) {
                    client.receive(self, datagram);
                }
            }
        }
        panic!("client and server keep exchanging datagrams");
    }

    /// Loses the datagrams that are on their way to clients.
    pub(crate) fn forget_sent(&mut self) {
        self.sent.clear();
    }

    pub(crate) fn has_sent_to(&self, path: Path) -> bool {
        self.sent.iter().any(|(to, _)| *to == path)
    }

    pub(crate) fn collect(&mut self) {
        let mut batch = SendBatch::new();
        while self.worker.poll_batch(self.now, &mut batch) {
            for (run, bytes) in batch.runs() {
                let datagrams = bytes.chunks(run.segment);
                self.sent.extend(datagrams.map(|datagram| (run.path, datagram.to_vec())));
            }
            batch.clear();
        }
        let control =
            self.sent.iter().filter(|(_, datagram)| demux(datagram) != Some(Protocol::Rtp));
        let longest = control.map(|(_, datagram)| datagram.len()).max();
        self.longest_control = self.longest_control.max(longest.unwrap_or_default());
        self.events.extend(std::iter::from_fn(|| self.worker.poll_event()));
    }
}

/// A packet that a client has received and decrypted.
pub(crate) struct Received {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence_number: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
}

impl Received {
    /// The header extension with this id; empty if there is none.
    pub(crate) fn extension(&self, id: u8) -> Vec<u8> {
        let found = self.extensions.iter().find(|(known, _)| *known == id);
        found.map(|(_, data)| data.clone()).unwrap_or_default()
    }
}

/// A packet from a client's first microphone or camera, with the contents that a test requires.
pub(crate) struct Packet<'a> {
    mid: usize,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    extension: Option<(u8, &'a [u8])>,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(crate) fn audio(sequence: u16) -> Packet<'a> {
        let timestamp = u32::from(sequence) * 960;
        Packet { mid: 0, payload_type: 111, sequence, timestamp, extension: None, payload: b"" }
    }

    pub(crate) fn video(sequence: u16) -> Packet<'a> {
        let timestamp = u32::from(sequence) * 3000;
        Packet { mid: 1, payload_type: 100, sequence, timestamp, extension: None, payload: b"" }
    }

    pub(crate) fn at(self, timestamp: u32) -> Packet<'a> {
        Packet { timestamp, ..self }
    }

    pub(crate) fn typed(self, payload_type: u8) -> Packet<'a> {
        Packet { payload_type, ..self }
    }

    pub(crate) fn with(self, payload: &'a [u8]) -> Packet<'a> {
        Packet { payload, ..self }
    }

    pub(crate) fn extended(self, id: u8, data: &'a [u8]) -> Packet<'a> {
        Packet { extension: Some((id, data)), ..self }
    }
}

/// A peer like a browser: it sends on the mids 0 (audio) and 1 (video), and receives on the mids from 2.
pub(crate) struct Client {
    id: u64,
    path: Path,
    ufrag: String,
    server: (String, String),
    certificate: DtlsCertificate,
    dtls: Option<Dtls>,
    /// The server has closed the DTLS association.
    pub(crate) is_closed: bool,
    keys: Option<(Profile, srtp::Inbound, srtp::Outbound)>,
    streams: HashMap<u32, RtpStream>,
    /// The rollover counter of the packets that it sends.
    pub(crate) rollovers: u32,
    slots: HashMap<String, u32>,
    pub(crate) received: Vec<Received>,
    pub(crate) plis: usize,
    /// The SSRCs of key frame requests.
    pub(crate) asked: Vec<u32>,
    /// The sequence numbers in NACKs.
    pub(crate) nacked: Vec<u16>,
    /// The number of TWCC feedback packets.
    pub(crate) arrival_reports: usize,
    pub(crate) receiver_reports: usize,
    pub(crate) sender_reports: usize,
    /// Their contents: SSRC, seconds since 1900, RTP timestamp.
    pub(crate) reports: Vec<(u32, f64, u32)>,
}

impl Client {
    pub(crate) fn new(id: u64) -> Client {
        Client {
            id,
            path: Path::Udp(([198, 51, 100, id as u8], 5000).into(), None),
            ufrag: format!("client{id}"),
            server: Default::default(),
            certificate: dimpl::certificate::generate_self_signed_certificate().unwrap(),
            dtls: None,
            is_closed: false,
            keys: None,
            streams: HashMap::new(),
            rollovers: 0,
            slots: HashMap::new(),
            received: Vec::new(),
            plis: 0,
            asked: Vec::new(),
            nacked: Vec::new(),
            arrival_reports: 0,
            receiver_reports: 0,
            sender_reports: 0,
            reports: Vec::new(),
        }
    }

    /// Another peer connection of the same page, with the same certificate and SSRCs, at another port.
    pub(crate) fn reloaded(&self) -> Client {
        let mut client = Client { certificate: self.certificate.clone(), ..Client::new(self.id) };
        client.move_to(6000);
        client.restart_ice();
        client
    }

    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(crate) fn move_to(&mut self, port: u16) {
        self.path = Path::Udp(([198, 51, 100, self.id as u8], port).into(), None);
    }

    pub(crate) fn move_to_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Returns the password, for [`Self::remember_password`].
    pub(crate) fn forget_password(&mut self) -> String {
        std::mem::replace(&mut self.server.1, "wrong".repeat(5))
    }

    pub(crate) fn remember_password(&mut self, password: String) {
        self.server.1 = password;
    }

    /// The ICE credentials of both sides.
    pub(crate) fn clone_credentials(&self) -> (String, (String, String)) {
        (self.ufrag.clone(), self.server.clone())
    }

    /// Uses other credentials, and returns those before.
    pub(crate) fn replace_credentials(
        &mut self,
        (ufrag, server): (String, (String, String)),
    ) -> (String, (String, String)) {
        let ufrag = std::mem::replace(&mut self.ufrag, ufrag);
        (ufrag, std::mem::replace(&mut self.server, server))
    }

    pub(crate) fn restart_ice(&mut self) {
        self.ufrag.push_str("again");
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.certificate.fingerprint_str()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    /// The server's ufrag for this client.
    pub(crate) fn server_ufrag(&self) -> &str {
        &self.server.0
    }

    pub(crate) fn slot_ssrc(&self, mid: &str) -> u32 {
        self.slots[mid]
    }

    pub(crate) fn offer_with_slots(&self, audio: usize, video: usize) -> String {
        let kinds = ["audio", "video"].into_iter();
        // A browser appends m-lines, so the first video slot stays mid 4 whatever follows: audio slots are 2, 3 and 5.
        let slots =
            (0..audio + video).map(|at| if at == 2 || at > audio { "video" } else { "audio" });
        let lines: Vec<String> = kinds
            .map(|kind| (kind, "sendonly"))
            .chain(slots.map(|kind| (kind, "recvonly")))
            .enumerate()
            .map(|(mid, (kind, direction))| self.media_line(mid, kind, direction))
            .collect();
        let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
             a=extmap-allow-mixed\r\n{}",
            mids.join(" "),
            lines.concat()
        )
    }

    fn media_line(&self, mid: usize, kind: &str, direction: &str) -> String {
        let (payload_type, codec) = match kind {
            "audio" => (111, "opus/48000/2"),
            // Payload types differ between sending and receiving, so that a missing mapping shows.
            _ => (if direction == "sendonly" { 100 } else { 96 }, "VP8/90000"),
        };
        let ssrc = match (direction, kind) {
            ("sendonly", "audio") => format!(
                "a=ssrc:{} cname:x
",
                self.ssrc(mid)
            ),
            ("sendonly", _) => format!(
                "a=ssrc-group:FID {0} {1}
a=ssrc:{0} cname:x
a=ssrc:{1} cname:x
",
                self.ssrc(mid),
                self.ssrc(mid) + RTX
            ),
            _ => String::new(),
        };
        let rtx = match kind {
            "video" => format!(
                "a=rtcp-fb:{payload_type} nack
a=rtpmap:{0} rtx/90000
a=fmtp:{0} apt={payload_type}
",
                payload_type + 1
            ),
            _ => format!(
                "a=rtcp-fb:{payload_type} nack
"
            ),
        };
        let formats = match kind {
            "video" => format!("{payload_type} {}", payload_type + 1),
            _ => payload_type.to_string(),
        };
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
             a={direction}\r\na=rtcp-mux\r\na=ice-ufrag:{}\r\na=ice-pwd:0123456789012345678901\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\n\
             a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
             a=rtpmap:{payload_type} {codec}\r\na=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
             a=rtcp-fb:{payload_type} nack pli\r\n{rtx}{ssrc}",
            self.ufrag,
            self.fingerprint()
        )
    }

    pub(crate) fn ssrc(&self, mid: usize) -> u32 {
        (self.id * 100 + mid as u64) as u32
    }

    /// Reads credentials and the SSRCs of slots from an answer.
    pub(crate) fn learn(&mut self, sdp: &str) {
        let mut mid = "";
        for line in sdp.lines() {
            match line.split_once(':') {
                Some(("a=mid", value)) => mid = value,
                Some(("a=ice-ufrag", value)) => self.server.0 = value.into(),
                Some(("a=ice-pwd", value)) => self.server.1 = value.into(),
                Some(("a=ssrc", value)) => {
                    let ssrc = value.split(' ').next().and_then(|word| word.parse().ok());
                    // The first one is the slot's, the second that of its retransmissions.
                    self.slots.entry(mid.into()).or_insert(ssrc.unwrap());
                }
                _ => {}
            }
        }
    }

    /// Takes over the ICE credentials of another client.
    pub(crate) fn learn_from(&mut self, other: &Client) {
        self.ufrag.clone_from(&other.ufrag);
        self.server.clone_from(&other.server);
    }

    /// Sends a nominating connectivity check.
    pub(crate) fn check(&mut self, world: &mut World) {
        self.send_check(world, true);
    }

    /// Sends a connectivity check without nomination.
    pub(crate) fn probe(&mut self, world: &mut World) {
        self.send_check(world, false);
    }

    fn send_check(&mut self, world: &mut World, nominates: bool) {
        let mut request = StunMessage::builder_request(BINDING, MessageWriteVec::new());
        let username = format!("{}:{}", self.server.0, self.ufrag);
        request.add_attribute(&Username::new(&username).unwrap()).unwrap();
        let nominate = RawAttribute::new(AttributeType::new(0x0025), &[]);
        if nominates {
            request.add_attribute(&nominate).unwrap();
        }
        let credentials = ShortTermCredentials::new(self.server.1.clone()).into();
        request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        request.add_fingerprint().unwrap();
        world.hand_in(self.path, &request.finish());
    }

    pub(crate) fn start_dtls(&mut self, world: &mut World) {
        let config = Arc::new(dimpl::Config::default());
        let mut dtls = Dtls::new_12(config, self.certificate.clone(), world.now);
        dtls.set_active(true);
        dtls.handle_timeout(world.now).unwrap();
        self.dtls = Some(dtls);
        self.drain_dtls(world);
    }

    fn drain_dtls(&mut self, world: &mut World) {
        let mut buffer = [0; 2048];
        loop {
            let Some(dtls) = &mut self.dtls else { return };
            match dtls.poll_output(&mut buffer) {
                Output::Packet(record) => {
                    let record = record.to_vec();
                    world.hand_in(self.path, &record);
                }
                Output::KeyingMaterial(material, profile) => {
                    assert_eq!(profile, dimpl::SrtpProfile::AEAD_AES_256_GCM);
                    let profile = Profile::AeadAes256Gcm;
                    let (inbound, outbound) = srtp::contexts(profile, &material, true).unwrap();
                    self.keys = Some((profile, inbound, outbound));
                }
                Output::CloseNotify => self.is_closed = true,
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    /// Closes the DTLS association.
    pub(crate) fn close(&mut self, world: &mut World) {
        self.dtls.as_mut().unwrap().close().unwrap();
        self.drain_dtls(world);
    }

    pub(crate) fn receive(&mut self, world: &mut World, mut datagram: Vec<u8>) {
        match demux(&datagram) {
            Some(Protocol::Dtls) => {
                if let Some(dtls) = &mut self.dtls {
                    // An alert ends the association; drain its output nevertheless.
                    let _ = dtls.handle_packet(&datagram);
                }
                self.drain_dtls(world);
            }
            Some(Protocol::Rtp) => self.receive_rtp(&mut datagram),
            Some(Protocol::Rtcp) => self.receive_rtcp(&mut datagram),
            Some(Protocol::Stun) | None => {}
        }
    }

    fn receive_rtp(&mut self, datagram: &mut [u8]) {
        let header = Header::parse(datagram).unwrap();
        let (_, inbound, _) = self.keys.as_ref().unwrap();
        let stream = self.streams.entry(header.ssrc).or_default();
        let length = inbound.unprotect_rtp(datagram, header.header_len, stream).unwrap();
        self.received.push(Received {
            ssrc: header.ssrc,
            payload_type: header.payload_type,
            sequence_number: header.sequence_number,
            timestamp: header.timestamp,
            payload: datagram[header.header_len..length].to_vec(),
            extensions: header.extensions(datagram).map(|(id, data)| (id, data.to_vec())).collect(),
        });
    }

    fn receive_rtcp(&mut self, datagram: &mut [u8]) {
        let (_, inbound, _) = self.keys.as_mut().unwrap();
        let length = inbound.unprotect_rtcp(datagram).unwrap();
        let mut rest = &datagram[..length];
        while let Some([first, kind, high, low]) = rest.first_chunk() {
            match (kind, first & 0x1f) {
                (200, _) => {
                    self.sender_reports += 1;
                    self.reports.extend(crate::rtcp::messages(rest).find_map(said));
                }
                (201, _) => self.receiver_reports += 1,
                (206, 1) => {
                    self.plis += 1;
                    self.asked.extend(crate::rtcp::messages(rest).find_map(asked_for));
                }
                (205, 15) => self.arrival_reports += 1,
                (205, 1) => self.nacked.extend(crate::rtcp::messages(rest).flat_map(named)),
                _ => {}
            }
            rest = &rest[4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1)..];
        }
    }

    pub(crate) fn send_video(&mut self, world: &mut World, sequence: u16, key_frame: bool) {
        let datagram = self.video(sequence, key_frame);
        world.hand_in(self.path, &datagram);
    }

    pub(crate) fn send(&mut self, world: &mut World, packet: Packet<'_>) {
        let Packet { mid, payload_type, sequence, timestamp, extension, payload } = packet;
        let (ssrc, extensions) = (self.ssrc(mid), extension.as_slice());
        let at = (sequence, timestamp);
        let datagram = self.protect(payload_type, ssrc, at, extensions, payload);
        world.hand_in(self.path, &datagram);
    }

    /// Sends a sender report for a published m-line: the timestamp at a time in seconds since 1900.
    pub(crate) fn send_sender_report(
        &mut self,
        world: &mut World,
        mid: usize,
        wall: f64,
        rtp_timestamp: u32,
    ) {
        let mut compound = Vec::new();
        let ntp = NtpTime((wall * (1u64 << 32) as f64) as u64);
        let (ssrc, packets, octets) = (self.ssrc(mid), 0, 0);
        let info = SenderInfo { ssrc, ntp, rtp_timestamp, packets, octets };
        crate::rtcp::write_sender_report(&mut compound, &info);
        self.send_rtcp(world, compound);
    }

    /// Sends a NACK for packets of a slot.
    pub(crate) fn send_nack(&mut self, world: &mut World, mid: &str, numbers: &[u16]) {
        let mut compound = Vec::new();
        crate::rtcp::write_nack(&mut compound, self.id as u32, self.slot_ssrc(mid), numbers);
        self.send_rtcp(world, compound);
    }

    /// Requests a key frame in a slot (PLI).
    pub(crate) fn send_pli(&mut self, world: &mut World, mid: &str) {
        let mut compound = Vec::new();
        crate::rtcp::write_pli(&mut compound, self.id as u32, self.slot_ssrc(mid));
        self.send_rtcp(world, compound);
    }

    /// Sends an estimate (REMB) in bits per second: `mantissa` times two to the power of `exponent`.
    pub(crate) fn send_estimate(&mut self, world: &mut World, mantissa: u32, exponent: u32) {
        let mut compound = vec![0x8f, 206, 0, 5];
        compound.extend([self.id as u32, 0].map(u32::to_be_bytes).concat());
        compound.extend(b"REMB");
        compound.extend((1 << 24 | exponent << 18 | mantissa).to_be_bytes());
        compound.extend(self.slot_ssrc("4").to_be_bytes());
        self.send_rtcp(world, compound);
    }

    /// Sends TWCC feedback; `payload` follows the SSRCs.
    pub(crate) fn send_transport_feedback(&mut self, world: &mut World, payload: &[u8]) {
        let mut compound = Vec::new();
        let slot = self.slot_ssrc("4");
        crate::rtcp::write_transport_feedback(&mut compound, self.id as u32, slot, payload);
        self.send_rtcp(world, compound);
    }

    /// Sends a BYE for these SSRCs.
    pub(crate) fn send_bye(&mut self, world: &mut World, ssrcs: &[u32]) {
        let mut compound = vec![0x80 | ssrcs.len() as u8, 203, 0, ssrcs.len() as u8];
        compound.extend(ssrcs.iter().flat_map(|ssrc| ssrc.to_be_bytes()));
        self.send_rtcp(world, compound);
    }

    fn send_rtcp(&mut self, world: &mut World, mut compound: Vec<u8>) {
        let (profile, _, outbound) = self.keys.as_mut().unwrap();
        compound.resize(compound.len() + profile.rtcp_overhead(), 0);
        outbound.protect_rtcp(&mut compound).unwrap();
        world.hand_in(self.path, &compound);
    }

    /// Retransmits a video packet as RTX (RFC 4588).
    pub(crate) fn send_video_again(&mut self, world: &mut World, sequence: u16, key_frame: bool) {
        let mut payload = sequence.to_be_bytes().to_vec();
        payload.extend(Self::vp8(sequence, key_frame));
        let timestamp = u32::from(sequence) * 3000;
        let rtx = self.ssrc(1) + RTX;
        let datagram = self.protect(101, rtx, (sequence % 100, timestamp), &[], &payload);
        world.hand_in(self.path, &datagram);
    }

    /// An SRTP packet with a VP8 frame.
    pub(crate) fn video(&self, sequence: u16, key_frame: bool) -> Vec<u8> {
        let timestamp = u32::from(sequence) * 3000;
        let transport_sequence = sequence.to_be_bytes();
        let extensions: [(u8, &[u8]); 1] = [(5, &transport_sequence)];
        let payload = Self::vp8(sequence, key_frame);
        self.protect(100, self.ssrc(1), (sequence, timestamp), &extensions, &payload)
    }

    /// Descriptor with S, X and a picture id of 15 bits; then the frame header with the inverse key frame flag.
    fn vp8(sequence: u16, key_frame: bool) -> Vec<u8> {
        let picture = sequence.to_be_bytes();
        let mut payload = vec![0x90, 0x80, picture[0] | 0x80, picture[1], u8::from(!key_frame)];
        payload.extend(b"hello");
        payload
    }

    pub(crate) fn send_audio(&mut self, world: &mut World, sequence: u16) {
        // Speech at −20 dBov.
        let timestamp = u32::from(sequence) * 960;
        let level: [(u8, &[u8]); 1] = [(1, &[0x80 | 20])];
        let datagram = self.protect(111, self.ssrc(0), (sequence, timestamp), &level, b"opus");
        world.hand_in(self.path, &datagram);
    }

    pub(crate) fn protect(
        &self,
        payload_type: u8,
        ssrc: u32,
        (sequence, timestamp): (u16, u32),
        extensions: &[(u8, &[u8])],
        payload: &[u8],
    ) -> Vec<u8> {
        let (profile, _, outbound) = self.keys.as_ref().unwrap();
        let mut packet = vec![0; 1500];
        let extensions = extensions.iter().copied();
        let header_len =
            write_header(&mut packet, true, payload_type, sequence, timestamp, ssrc, extensions);
        packet.truncate(header_len);
        packet.extend(payload);
        packet.resize(packet.len() + profile.rtp_overhead(), 0);
        outbound.protect_rtp(&mut packet, header_len, self.rollovers);
        packet
    }
}

/// The difference between an SSRC and that of its retransmissions.
pub(crate) const RTX: u32 = 50;

fn said(message: Message) -> Option<(u32, f64, u32)> {
    match message {
        Message::SenderReport { ssrc, ntp, rtp_timestamp } => {
            Some((ssrc, ntp.0 as f64 / (1u64 << 32) as f64, rtp_timestamp))
        }
        _ => None,
    }
}

fn asked_for(message: Message) -> Option<u32> {
    match message {
        Message::KeyFrameRequest { ssrc } => Some(ssrc),
        _ => None,
    }
}

fn named(message: Message) -> Vec<u16> {
    match message {
        Message::Nack { first, following, .. } => Message::missing(first, following).collect(),
        _ => Vec::new(),
    }
}
