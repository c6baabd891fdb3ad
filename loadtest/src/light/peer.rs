//! A light peer as a state machine: it takes datagrams and the time, and returns datagrams. Times are microseconds of
//! the run's clock; a `now` beside them is the same time for the DTLS library.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::answer::Answer;
use super::dtls::{Handshake, Identity, Step};
use super::ice::Pair;
use super::network::Network;
use super::offer::Ssrcs;
use super::publishing::{Plain, Publisher};
use super::rtcp::{self, Message};
use super::rtp;
use super::srtp::Keys;
use super::stream::Stream;
use super::tally::Tally;
use crate::options::Pacing;
use crate::world::Sent;

/// The interval between checks of the handshake's timer.
const HANDSHAKE_TICK_US: u64 = 50_000;
/// The interval between receiver reports, as browsers use for video.
const REPORT_INTERVAL_US: u64 = 1_000_000;
/// The interval between checks for missing packets, as in Chromium.
const GAP_INTERVAL_US: u64 = 20_000;
/// Added to the network's delay to get the minimum time between two requests for the same packet.
const ROUND_TRIP_MARGIN_US: u64 = 10_000;

/// The parameters of a new peer.
pub struct NewPeer {
    /// Its own ICE user name fragment.
    pub ufrag: String,
    /// The server's answer.
    pub answer: Answer,
    /// The published streams, if any.
    pub publishes: Option<Publishes>,
    /// The network in front of it.
    pub network: Network,
    /// Its number, unique in the run.
    pub number: u32,
    /// The time of the join request.
    pub asked_us: u64,
}

/// The parameters of a publisher.
pub struct Publishes {
    /// The SSRCs.
    pub ssrcs: Ssrcs,
    /// Assigns the sequence numbers of the stamps.
    pub sent: Arc<Sent>,
    /// The spacing of a frame's packets.
    pub pacing: Pacing,
    /// The video bit rate in kbit/s.
    pub video_kbps: u32,
    /// The audio level in −dBov.
    pub level: u8,
}

/// A point in time, on several clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For the DTLS library.
    pub now: Instant,
    /// Microseconds of the run's clock.
    pub us: u64,
    /// Microseconds since 1970.
    pub unix_us: u64,
}

/// A light peer; see the module documentation.
pub struct Peer {
    /// Its number.
    pub number: u32,
    /// The time of the join request.
    pub asked_us: u64,
    /// The time at which SRTP could start.
    pub connected_us: Option<u64>,
    /// The reason why it has failed, if it has.
    pub failed: Option<String>,
    /// The network in front of it.
    pub network: Network,
    /// The server's media address.
    pub server: SocketAddr,
    /// Its receiving slots.
    pub streams: Vec<Stream>,
    pair: Pair,
    pub(super) transport: Transport,
    publishes: Option<Publishes>,
    publisher: Option<Publisher>,
    /// The next check of the handshake's timer.
    next_handshake_us: u64,
    next_report_us: u64,
    pub(super) next_gaps_us: Option<u64>,
}

/// The state of the media transport, by what it awaits.
pub(super) enum Transport {
    /// Awaits the answer to an ICE check.
    Checking,
    /// Awaits the end of the DTLS handshake.
    Handshaking(Handshake),
    /// Awaits nothing: SRTP can flow.
    Connected(Handshake, Box<Keys>),
}

impl Peer {
    /// Creates a peer that will send its first ICE check.
    pub fn new(now_us: u64, new: NewPeer) -> Peer {
        let NewPeer { ufrag, answer, publishes, network, number, asked_us } = new;
        let tie_breaker = u64::from(number) + 1;
        Peer {
            number,
            asked_us,
            connected_us: None,
            failed: None,
            network,
            server: answer.address,
            streams: answer.slots.into_iter().map(Stream::new).collect(),
            pair: Pair::new(now_us, &ufrag, &answer.ufrag, &answer.password, tie_breaker),
            transport: Transport::Checking,
            publishes,
            publisher: None,
            next_handshake_us: u64::MAX,
            next_report_us: u64::MAX,
            next_gaps_us: None,
        }
    }

    /// Handles a datagram; passes datagrams to send to `out`.
    pub fn handle_datagram(
        &mut self,
        at: Moment,
        identity: &Identity,
        datagram: &mut [u8],
        tally: &mut Tally,
        out: &mut impl FnMut(&[u8]),
    ) {
        match datagram {
            [0..=3, ..] => {
                let is_answer = self.pair.handle(at.us, datagram);
                if is_answer && matches!(self.transport, Transport::Checking) {
                    let (handshake, step) = Handshake::start(at.now, identity, &mut *out);
                    self.transport = Transport::Handshaking(handshake);
                    self.next_handshake_us = at.us + HANDSHAKE_TICK_US;
                    self.take(at, step);
                }
            }
            [20..=63, ..] => {
                let step = match &mut self.transport {
                    Transport::Checking => return,
                    Transport::Handshaking(dtls) | Transport::Connected(dtls, _) => {
                        dtls.handle_datagram(datagram, &mut *out)
                    }
                };
                self.take(at, step);
            }
            _ if rtp::is_rtcp(datagram) => self.handle_rtcp(at, datagram, tally, out),
            _ => self.handle_rtp(at.us, datagram, tally),
        }
    }

    fn take(&mut self, at: Moment, step: Step) {
        match step {
            Step::Continues => {}
            Step::Failed(reason) => self.failed = Some(reason),
            Step::Keys(keys) => {
                let before = std::mem::replace(&mut self.transport, Transport::Checking);
                if let Transport::Handshaking(dtls) | Transport::Connected(dtls, _) = before {
                    self.transport = Transport::Connected(dtls, keys);
                }
                self.connected_us = Some(at.us);
                self.next_handshake_us = u64::MAX;
                // Peers start reporting at different times.
                let phase = u64::from(self.number) * 7919 * 1000 % REPORT_INTERVAL_US;
                self.next_report_us = at.us + phase;
                self.publisher = self.publishes.take().map(|publishes| {
                    let Publishes { ssrcs, sent, pacing, video_kbps, level } = publishes;
                    Publisher::new(at.us, ssrcs, sent, pacing, video_kbps, level)
                });
            }
        }
    }

    fn handle_rtcp(
        &mut self,
        at: Moment,
        datagram: &mut [u8],
        tally: &mut Tally,
        out: &mut impl FnMut(&[u8]),
    ) {
        let Transport::Connected(_, keys) = &self.transport else {
            tally.unreadable += 1;
            return;
        };
        let opened = keys.open_rtcp(datagram);
        let Some(messages) = opened.and_then(|length| rtcp::read(&datagram[..length])) else {
            tally.unreadable += 1;
            return;
        };
        for message in messages {
            match (message, &mut self.publisher) {
                (Message::SenderReport { ssrc, ntp_time }, _) => {
                    let mut streams = self.streams.iter_mut();
                    if let Some(stream) = streams.find(|stream| stream.line.ssrc == ssrc) {
                        stream.sender_report(at.us, ntp_time);
                    }
                }
                (Message::Nack { ssrc, numbers }, Some(publisher)) => {
                    for plain in numbers.iter().filter_map(|n| publisher.retransmit(ssrc, *n)) {
                        send(keys, plain, out);
                    }
                }
                (Message::KeyFrame, Some(publisher)) => {
                    tally.key_frame_requests += 1;
                    publisher.request_key_frame();
                }
                (Message::Nack { .. } | Message::KeyFrame, None) => tally.unreadable += 1,
            }
        }
    }

    /// The time at which [`Self::handle_timeout`] or [`Self::publish`] has something to do.
    pub fn next_timeout_us(&self) -> u64 {
        if self.failed.is_some() {
            return u64::MAX;
        }
        let media = self.publisher.as_ref().map_or(u64::MAX, Publisher::next_due_us);
        let gaps = self.next_gaps_us.unwrap_or(u64::MAX);
        let timers = [self.pair.next_check_us(), self.next_handshake_us, self.next_report_us];
        timers.into_iter().fold(media.min(gaps), u64::min)
    }

    /// Does everything that is due.
    pub fn handle_timeout(&mut self, at: Moment, out: &mut impl FnMut(&[u8])) {
        if self.pair.is_expired(at.us) {
            self.failed = Some("the server answers no ICE checks".to_owned());
            return;
        }
        if self.pair.next_check_us() <= at.us {
            match self.pair.check(at.us) {
                Ok(check) => out(&check),
                Err(error) => self.failed = Some(format!("{error:#}")),
            }
        }
        if let Transport::Handshaking(dtls) = &mut self.transport {
            self.next_handshake_us = at.us + HANDSHAKE_TICK_US;
            let step = dtls.handle_timeout(at.now, &mut *out);
            self.take(at, step);
        }
        let mut compounds = Vec::new();
        if self.next_report_us <= at.us {
            self.next_report_us = at.us + REPORT_INTERVAL_US;
            self.report(at, &mut compounds);
        }
        if self.next_gaps_us.is_some_and(|next| next <= at.us) {
            self.ask_again(at.us, &mut compounds);
        }
        let Transport::Connected(_, keys) = &mut self.transport else {
            return;
        };
        for mut compound in compounds {
            if keys.seal_rtcp(&mut compound).is_some() {
                out(&compound);
            }
        }
    }

    /// Sends the next packet that is due; `false` when there is none.
    pub fn publish(&mut self, now_us: u64, out: &mut impl FnMut(&[u8])) -> bool {
        let (Transport::Connected(_, keys), Some(publisher)) =
            (&self.transport, &mut self.publisher)
        else {
            return false;
        };
        match publisher.poll(now_us) {
            Some(plain) => {
                send(keys, plain, out);
                true
            }
            None => false,
        }
    }

    fn report(&mut self, at: Moment, compounds: &mut Vec<Vec<u8>>) {
        if let Some(publisher) = &self.publisher {
            compounds.push(rtcp::sender_reports(ntp(at.unix_us), &publisher.sender_infos()));
        }
        let streams = self.streams.iter_mut();
        let blocks: Vec<_> =
            streams.filter_map(|stream| Some((stream.line.ssrc, stream.report(at.us)?))).collect();
        if !blocks.is_empty() {
            compounds.push(rtcp::receiver_reports(self.number, &blocks));
        }
    }

    fn ask_again(&mut self, now_us: u64, compounds: &mut Vec<Vec<u8>>) {
        let round_trip_us = self.network.round_trip_us() + ROUND_TRIP_MARGIN_US;
        for stream in &mut self.streams {
            let due = stream.gaps.due(now_us, round_trip_us);
            if !due.is_empty() {
                compounds.push(rtcp::nack(self.number, stream.line.ssrc, &due));
            }
        }
        let is_whole = self.streams.iter().all(|stream| stream.gaps.is_whole());
        self.next_gaps_us = (!is_whole).then_some(now_us + GAP_INTERVAL_US);
    }

    /// Sets the bit rate of its video.
    pub fn set_video_kbps(&mut self, kbps: u32) {
        if let Some(publisher) = &mut self.publisher {
            publisher.set_video_kbps(kbps);
        }
    }

    /// Stops publishing.
    pub fn stop_publishing(&mut self) {
        self.publisher = None;
        self.publishes = None;
    }

    /// Whether it publishes, or will once it is connected.
    pub fn is_publisher(&self) -> bool {
        self.publisher.is_some() || self.publishes.is_some()
    }

    /// Closes the DTLS session.
    pub fn close(&mut self, out: &mut impl FnMut(&[u8])) {
        if let Transport::Handshaking(dtls) | Transport::Connected(dtls, _) = &mut self.transport {
            dtls.close(out);
        }
    }
}

fn send(keys: &Keys, plain: Plain, out: &mut impl FnMut(&[u8])) {
    let Plain { mut bytes, header_len, rollovers } = plain;
    if keys.seal_rtp(&mut bytes, header_len, rollovers).is_some() {
        out(&bytes);
    }
}

/// An NTP timestamp (RFC 3550 §4): seconds since 1900 in the upper 32 bits, the fraction in the lower.
fn ntp(unix_us: u64) -> u64 {
    let seconds = unix_us / 1_000_000 + 2_208_988_800;
    let fraction = ((unix_us % 1_000_000) << 32) / 1_000_000;
    seconds << 32 | fraction
}
