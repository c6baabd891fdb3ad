//! The peer connection of one peer, as a browser would make it: it sends audio and video, and offers slots to receive.

#![expect(
    clippy::disallowed_methods,
    reason = "a UDP socket finds the local address that leads to the server"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use madang_wire::request::Mids;
use madang_wire::{IceServer, SourceKind};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sdp::extmap::AUDIO_LEVEL_URI;
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnectionState,
    RTCSessionDescription, Registry, SettingEngineBuilder, Slot, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use crate::key_frames::KeyFrameRequest;
use crate::stamp::{Kind, SenderId};

/// RTP payload type of Opus.
pub const OPUS: u8 = 111;
/// RTP payload type of VP8.
pub const VP8: u8 = 96;
const VP8_RTX: u8 = 97;

/// A peer connection, with its offer.
pub struct Media {
    connection: Arc<dyn PeerConnection>,
    /// The SDP offer.
    pub offer: String,
    /// The published m-lines of the offer.
    pub mids: Mids,
    /// The audio track that it sends.
    pub audio: LocalTrack,
    /// The video track that it sends.
    pub video: LocalTrack,
    /// The tracks that the server sends, as they start. Taken by the receiving task.
    pub tracks: Option<mpsc::Receiver<Arc<dyn TrackRemote>>>,
    /// The state of the connection.
    pub state: watch::Receiver<RTCPeerConnectionState>,
    /// Set when a receiver of the video requests a key frame.
    pub(crate) key_frame_request: KeyFrameRequest,
}

/// An outgoing track.
#[derive(Clone)]
pub struct LocalTrack {
    /// The track to which packets are written.
    pub track: Arc<TrackLocalStaticRTP>,
    /// The SSRC of the packets.
    pub ssrc: u32,
}

/// The parameters of an offer.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The peer's number.
    pub sender: SenderId,
    /// The number of audio slots.
    pub audio_slots: usize,
    /// The number of video slots.
    pub video_slots: usize,
    /// The address to send from.
    pub local: IpAddr,
    /// The TURN servers to use exclusively; `None` to connect directly.
    pub relays: Option<Vec<IceServer>>,
}

impl Media {
    /// Creates a peer connection and its offer.
    ///
    /// # Errors
    /// When the `webrtc` crate fails.
    pub async fn offer(wanted: &Wanted) -> Result<Media> {
        let slots = wanted.audio_slots + wanted.video_slots;
        let (tracks_in, tracks) = mpsc::channel(slots.max(1));
        let (state_in, state) = watch::channel(RTCPeerConnectionState::New);
        let key_frame_request = KeyFrameRequest::default();
        let handler = Arc::new(Handler { tracks: tracks_in, state: state_in });
        let connection = build(wanted, handler, &key_frame_request).await?;
        let audio = LocalTrack::new(wanted.sender, Kind::Audio);
        let video = LocalTrack::new(wanted.sender, Kind::Video);
        let mut published = Vec::new();
        for (local, source) in [(&audio, SourceKind::Microphone), (&video, SourceKind::Camera)] {
            let track = Arc::clone(&local.track) as Arc<dyn TrackLocal>;
            let init = direction(RTCRtpTransceiverDirection::Sendonly);
            published.push((connection.add_transceiver_from_track(track, init).await?, source));
        }
        for (kind, count) in
            [(RtpCodecKind::Audio, wanted.audio_slots), (RtpCodecKind::Video, wanted.video_slots)]
        {
            for _ in 0..count {
                let init = direction(RTCRtpTransceiverDirection::Recvonly);
                connection.add_transceiver_from_kind(kind, init).await?;
            }
        }
        let offer = connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        connection.set_local_description(offer).await?;
        let mut mids = Mids::new();
        for (transceiver, source) in published {
            mids.insert(transceiver.mid().await?.context("an offered m-line has no mid")?, source);
        }
        let connection: Arc<dyn PeerConnection> = connection;
        Ok(Media {
            connection,
            offer: sdp,
            mids,
            audio,
            video,
            tracks: Some(tracks),
            state,
            key_frame_request,
        })
    }

    /// Applies the server's answer.
    ///
    /// # Errors
    /// When the `webrtc` crate rejects the answer.
    pub async fn accept(&self, answer: &str) -> Result<()> {
        let answer = RTCSessionDescription::answer(answer.to_owned())?;
        Ok(self.connection.set_remote_description(answer).await?)
    }

    /// Closes the connection.
    pub async fn close(&self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "could not close a peer connection");
        }
    }
}

async fn build(
    wanted: &Wanted,
    handler: Arc<Handler>,
    key_frame_request: &KeyFrameRequest,
) -> Result<Arc<impl PeerConnection + use<>>> {
    let mut engine = MediaEngine::default();
    for (kind, codec) in codecs() {
        engine.register_codec(codec, kind)?;
    }
    let level = RTCRtpHeaderExtensionCapability { uri: AUDIO_LEVEL_URI.to_owned() };
    engine.register_header_extension(level, RtpCodecKind::Audio, None)?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?
        .with(Slot::Custom(20_000), key_frame_request.watcher());
    // There is only one path to the server, so waiting for a better candidate than a relay is useless.
    let settings = SettingEngineBuilder::new()
        .with_relay_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration(wanted))
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(handler)
        .with_udp_addrs(vec![SocketAddr::new(wanted.local, 0)])
        .build()
        .await?;
    Ok(Arc::new(connection))
}

fn configuration(wanted: &Wanted) -> webrtc::peer_connection::RTCConfiguration {
    let Some(relays) = &wanted.relays else {
        return RTCConfigurationBuilder::new().build();
    };
    let relay = |server: &IceServer| RTCIceServer {
        urls: server.urls.iter().filter(|url| url.starts_with("turn")).cloned().collect(),
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.as_ref().map_or("", |secret| secret.expose()).to_owned(),
    };
    let relays: Vec<RTCIceServer> =
        relays.iter().map(relay).filter(|server| !server.urls.is_empty()).collect();
    RTCConfigurationBuilder::new()
        .with_ice_servers(relays)
        .with_ice_transport_policy(RTCIceTransportPolicy::Relay)
        .build()
}

fn codecs() -> [(RtpCodecKind, RTCRtpCodecParameters); 3] {
    let video = |mime_type: &str, payload_type, fmtp: String| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec { sdp_fmtp_line: fmtp, ..codec(mime_type, 90_000, 0) },
        payload_type,
    };
    let opus =
        RTCRtpCodecParameters { rtp_codec: codec(MIME_TYPE_OPUS, 48_000, 2), payload_type: OPUS };
    [
        (RtpCodecKind::Audio, opus),
        (RtpCodecKind::Video, video(MIME_TYPE_VP8, VP8, String::new())),
        (RtpCodecKind::Video, video(MIME_TYPE_RTX, VP8_RTX, format!("apt={VP8}"))),
    ]
}

fn codec(mime_type: &str, clock_rate: u32, channels: u16) -> RTCRtpCodec {
    RTCRtpCodec { mime_type: mime_type.to_owned(), clock_rate, channels, ..RTCRtpCodec::default() }
}

fn direction(direction: RTCRtpTransceiverDirection) -> Option<RTCRtpTransceiverInit> {
    Some(RTCRtpTransceiverInit { direction, streams: Vec::new(), send_encodings: Vec::new() })
}

impl LocalTrack {
    fn new(sender: SenderId, kind: Kind) -> LocalTrack {
        let ssrc = 0x1000_0000 + sender.0 * 2 + kind as u32;
        let (codec_kind, codec) = match kind {
            Kind::Audio => (RtpCodecKind::Audio, codec(MIME_TYPE_OPUS, 48_000, 2)),
            Kind::Video => (RtpCodecKind::Video, codec(MIME_TYPE_VP8, 90_000, 0)),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            },
            codec,
            ..RTCRtpEncodingParameters::default()
        };
        let stream = format!("peer-{}", sender.0);
        let id = format!("{stream}-{kind}");
        let track = MediaStreamTrack::new(stream, id.clone(), id, codec_kind, vec![encoding]);
        LocalTrack { track: Arc::new(TrackLocalStaticRTP::new(track)), ssrc }
    }
}

/// Passes events of the connection to the peer.
struct Handler {
    /// Capacity: one per slot.
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        // The task that moves packets calls this, so it must not wait. More tracks than slots are an error of the
        // server, which shows as a stream that is not received.
        if self.tracks.try_send(track).is_err() {
            tracing::warn!("the server sent more tracks than there are slots; ignoring one");
        }
    }
}

/// The m-line of each SSRC announced in an answer (RFC 5576 §4.1).
pub fn mids_by_ssrc(answer: &str) -> BTreeMap<u32, String> {
    let mut mids = BTreeMap::new();
    for section in answer.split("\nm=").skip(1) {
        let value = |line: &str, name: &str| line.trim_end().strip_prefix(name).map(str::to_owned);
        let Some(mid) = section.lines().find_map(|line| value(line, "a=mid:")) else {
            continue;
        };
        for line in section.lines().filter_map(|line| value(line, "a=ssrc:")) {
            if let Some(ssrc) = line.split(' ').next().and_then(|ssrc| ssrc.parse().ok()) {
                mids.insert(ssrc, mid.clone());
            }
        }
    }
    mids
}

/// The local address used to reach `server`.
///
/// # Errors
/// When the name does not resolve, or there is no route.
pub fn local_address_towards(host: &str, port: u16) -> Result<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let server = std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?
        .next()
        .with_context(|| format!("the host name {host} has no address"))?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connecting a UDP socket sends nothing; it only selects the local address.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssrcs_are_found_with_their_m_line() {
        let answer = "v=0\r\nm=audio 9 X 111\r\na=mid:2\r\na=ssrc:11 cname:x\r\n\
                      m=video 9 X 96\r\na=ssrc-group:FID 21 22\r\na=ssrc:21 cname:x\r\na=ssrc:22\r\na=mid:5\r\n";

        let mids = mids_by_ssrc(answer);

        let expected = [(11, "2"), (21, "5"), (22, "5")].map(|(s, m)| (s, m.to_owned()));
        assert_eq!(mids, BTreeMap::from(expected));
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        assert!(local_address_towards("127.0.0.1", 1).unwrap().is_loopback());
    }
}
