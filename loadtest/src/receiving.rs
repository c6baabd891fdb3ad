//! Passes received packets from the peer connection to [`Reception`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::RTCPeerConnectionState;

use crate::media::{Media, mids_by_ssrc};
use crate::observed::Observed;
use crate::reception::{Received, Reception, lock};
use crate::stamp::Kind;
use crate::world::World;

/// The interval between repeated key frame requests in microseconds, as in browsers.
const ASK_AGAIN_US: u64 = 200_000;

/// The destinations of received packets.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Counts the packets.
    pub(crate) reception: Arc<Mutex<Reception>>,
    /// Records events for tasks that wait for them.
    pub(crate) observed: watch::Sender<Observed>,
    /// The run's clock.
    pub(crate) world: Arc<World>,
}

/// Starts receiving; it ends when the tasks are dropped.
pub(crate) fn start(media: &mut Media, answer: &str, receiver: &Receiver) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(tracks) = media.tracks.take() {
        tasks.spawn(receiver.clone().receive(tracks, mids_by_ssrc(answer)));
    }
    tasks.spawn(receiver.clone().watch(media.state.clone()));
    tasks
}

impl Receiver {
    async fn receive(
        self,
        mut tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
        mids: BTreeMap<u32, String>,
    ) {
        // Bounded by the channel's sender: one track per slot.
        let mut readers = JoinSet::new();
        while let Some(track) = tracks.recv().await {
            let ssrcs = track.ssrcs().await;
            let mid = ssrcs.iter().find_map(|ssrc| mids.get(ssrc)).cloned();
            let mid = mid.unwrap_or_else(|| format!("with the unannounced ssrc {ssrcs:?}"));
            let kind = match track.kind().await {
                RtpCodecKind::Audio => Kind::Audio,
                _ => Kind::Video,
            };
            readers.spawn(self.clone().read(track, mid, kind));
        }
    }

    async fn read(self, track: Arc<dyn TrackRemote>, mid: String, kind: Kind) {
        let mut asked_us = 0;
        while let Some(event) = track.poll().await {
            let TrackRemoteEvent::OnRtpPacket(packet) = event else {
                continue;
            };
            let now_us = self.world.clock.now_us();
            let (rtp_seq, payload) = (packet.header.sequence_number, &packet.payload);
            let received = Received { mid: &mid, kind, rtp_seq, payload };
            let outcome = lock(&self.reception).handle_packet(now_us, received);
            if let Some(stream) = outcome.begins {
                self.observed.send_modify(|seen| {
                    seen.media.insert(stream);
                });
            }
            if outcome.needs_key_frame && now_us >= asked_us + ASK_AGAIN_US {
                asked_us = now_us;
                ask_for_key_frame(track.as_ref(), packet.header.ssrc).await;
            }
        }
    }

    async fn watch(self, mut state: watch::Receiver<RTCPeerConnectionState>) {
        loop {
            let is_connected = *state.borrow_and_update() == RTCPeerConnectionState::Connected;
            self.observed.send_modify(|seen| seen.is_media_connected = is_connected);
            if state.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Sends a Picture Loss Indication (RFC 4585 §6.3.1).
async fn ask_for_key_frame(track: &dyn TrackRemote, media_ssrc: u32) {
    let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
    if let Err(error) = track.write_rtcp(vec![Box::new(request)]).await {
        tracing::debug!(%error, "could not request a key frame");
    }
}
