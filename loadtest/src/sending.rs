//! Sends a peer's audio and video.
#![expect(clippy::disallowed_methods, reason = "frames are sent at fixed intervals")]

use std::sync::Arc;
use std::time::Duration;

use rtc::rtp::extension::HeaderExtension;
use rtc::rtp::extension::audio_level_extension::AudioLevelExtension;
use rtc::rtp::{Header, Packet};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::peer_connection::RTCPeerConnectionState;

use crate::key_frames::KeyFrameRequest;
use crate::media::{LocalTrack, Media, OPUS, VP8};
use crate::stamp::{Kind, Stamp};
use crate::vp8;
use crate::world::{Sent, World};

/// The level of a silent microphone, in −dBov (RFC 6464).
pub const SILENCE: u8 = 127;

const AUDIO_PERIOD: Duration = Duration::from_millis(20);
/// The size of an Opus frame of 20 ms at about 32 kbit/s, minus the stamp.
const AUDIO_FILLING: usize = 52;
const FRAMES_PER_SECOND: u32 = 30;
const FRAMES_PER_KEY_FRAME: u16 = 90;
/// The size of a key frame relative to other frames.
const KEY_FRAME_FACTOR: usize = 4;

/// Sends audio and video once the connection is up, until the tasks are dropped.
pub(crate) fn start(
    media: &Media,
    level: u8,
    video_kbps: u32,
    sent: &Arc<Sent>,
    world: &Arc<World>,
) -> JoinSet<()> {
    let speaker = Stamper { kind: Kind::Audio, sent: Arc::clone(sent), world: Arc::clone(world) };
    let camera = Stamper { kind: Kind::Video, ..speaker.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(speak(media.audio.clone(), level, speaker, media.state.clone()));
    let frame_bytes = (video_kbps * 1000 / 8 / FRAMES_PER_SECOND) as usize;
    let request = media.key_frame_request.clone();
    tasks.spawn(show(media.video.clone(), frame_bytes, request, camera, media.state.clone()));
    tasks
}

/// Creates the stamps of one stream.
#[derive(Clone)]
struct Stamper {
    kind: Kind,
    sent: Arc<Sent>,
    world: Arc<World>,
}

impl Stamper {
    fn next(&self) -> Stamp {
        let seq = self.sent.next(self.kind);
        let sent_us = self.world.clock.now_us();
        Stamp { sender: self.sent.sender, kind: self.kind, seq, sent_us }
    }
}

async fn speak(
    local: LocalTrack,
    level: u8,
    stamper: Stamper,
    state: watch::Receiver<RTCPeerConnectionState>,
) {
    if !is_connected(state).await {
        return;
    }
    stamper.sent.begin(stamper.world.clock.now_us());
    let voice = level < SILENCE;
    let level = [HeaderExtension::AudioLevel(AudioLevelExtension { level, voice })];
    let mut ticks = every(AUDIO_PERIOD);
    let mut header = header(&local, OPUS);
    loop {
        ticks.tick().await;
        let mut payload = Vec::with_capacity(Stamp::BYTES + AUDIO_FILLING);
        stamper.next().write(AUDIO_FILLING, &mut payload);
        let packet = Packet { header: header.clone(), payload: payload.into() };
        if let Err(error) = local.track.write_rtp_with_extensions(packet, &level).await {
            tracing::debug!(%error, "stopped sending audio");
            return;
        }
        header.sequence_number = header.sequence_number.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(960);
    }
}

async fn show(
    local: LocalTrack,
    frame_bytes: usize,
    request: KeyFrameRequest,
    stamper: Stamper,
    state: watch::Receiver<RTCPeerConnectionState>,
) {
    if !is_connected(state).await {
        return;
    }
    stamper.sent.begin(stamper.world.clock.now_us());
    let mut ticks = every(Duration::from_secs(1) / FRAMES_PER_SECOND);
    let mut header = header(&local, VP8);
    let mut picture_id: u16 = 0;
    let mut since_key_frame: u16 = FRAMES_PER_KEY_FRAME;
    loop {
        ticks.tick().await;
        let is_key = since_key_frame >= FRAMES_PER_KEY_FRAME || request.take();
        since_key_frame = if is_key { 1 } else { since_key_frame + 1 };
        let bytes = if is_key { frame_bytes * KEY_FRAME_FACTOR } else { frame_bytes };
        let payloads = vp8::packetize(picture_id, is_key, bytes, || stamper.next());
        let last = payloads.len() - 1;
        for (index, payload) in payloads.into_iter().enumerate() {
            header.marker = index == last;
            if let Err(error) =
                local.track.write_rtp(Packet { header: header.clone(), payload }).await
            {
                tracing::debug!(%error, "stopped sending video");
                return;
            }
            header.sequence_number = header.sequence_number.wrapping_add(1);
        }
        header.timestamp = header.timestamp.wrapping_add(90_000 / FRAMES_PER_SECOND);
        picture_id = (picture_id + 1) & 0x7FFF;
    }
}

/// Waits until the connection is up; `false` when it fails.
async fn is_connected(mut state: watch::Receiver<RTCPeerConnectionState>) -> bool {
    let settled = state.wait_for(|state| {
        use RTCPeerConnectionState::{Closed, Connected, Failed};
        matches!(state, Connected | Failed | Closed)
    });
    settled.await.is_ok_and(|state| *state == RTCPeerConnectionState::Connected)
}

fn header(local: &LocalTrack, payload_type: u8) -> Header {
    Header { version: 2, payload_type, ssrc: local.ssrc, ..Header::default() }
}

/// An interval that skips missed ticks: when this process is too slow, it sends less, rather than everything late and
/// at once.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
