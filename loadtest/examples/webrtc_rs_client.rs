//! The `webrtc` crate as a client of control/clients/media/program.mjs: reads requests and writes responses, one JSON
//! object a line. It has no codecs: it sends a recorded key frame and a recorded tone again and again.
#![expect(clippy::print_stdout, reason = "responses go to standard output")]
#![expect(clippy::disallowed_methods, reason = "frames are sent at fixed intervals")]

use std::collections::BTreeMap;
use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use loadtest::media::mids_by_ssrc;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::configure_simulcast_extension_headers;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8};
use rtc::rtp::extension::HeaderExtension;
use rtc::rtp::{Header, Packet};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sdp::extmap::{SDES_MID_URI, SDES_RTP_STREAM_ID_URI};
use rtc::shared::marshal::{Marshal, MarshalSize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::interval;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCPeerConnectionState, RTCSessionDescription, Registry, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit, RtpTransceiver};

const FRAMES: &str = include_str!("../../control/clients/media/frames.json");

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut client = runtime.block_on(Client::new())?;
    for line in stdin().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let method = request["method"].as_str().context("a request has no method")?;
        let outcome = runtime.block_on(client.handle(method, &request["params"]));
        let response = match outcome {
            Ok(result) => json!({ "id": request["id"], "result": result }),
            Err(error) => json!({ "id": request["id"], "error": format!("{method}: {error:#}") }),
        };
        println!("{response}");
    }
    Ok(())
}

/// The number of packets of each incoming stream, by SSRC.
type Packets = watch::Sender<BTreeMap<u32, u64>>;

struct Client {
    connection: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    packets: Packets,
    sources: BTreeMap<&'static str, Arc<dyn RtpTransceiver>>,
    /// The number of simulcast layers that the camera sends.
    layers: Arc<AtomicUsize>,
    next_ssrc: u32,
    /// The mid of each SSRC in the last answer.
    mids: BTreeMap<u32, String>,
    tasks: JoinSet<()>,
}

impl Client {
    async fn new() -> Result<Client> {
        let (state_in, state) = watch::channel(RTCPeerConnectionState::New);
        let (tracks_in, tracks) = mpsc::unbounded_channel();
        let packets = Packets::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(count(tracks, packets.clone()));
        let mut engine = MediaEngine::default();
        engine.register_default_codecs()?;
        configure_simulcast_extension_headers(&mut engine)?;
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler { state: state_in, tracks: tracks_in }))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await?;
        Ok(Client {
            connection: Arc::new(connection),
            state,
            packets,
            sources: BTreeMap::new(),
            layers: Arc::new(AtomicUsize::new(2)),
            next_ssrc: 1,
            mids: BTreeMap::new(),
            tasks,
        })
    }

    async fn handle(&mut self, method: &str, params: &Value) -> Result<Value> {
        use RTCRtpTransceiverDirection::{Inactive, Sendonly};
        match method {
            "version" => return Ok(json!(version())),
            "open" => self.open(params).await?,
            "offer" => return self.offer().await,
            "answer" => self.answer(params.as_str().unwrap_or_default()).await?,
            "state" => return Ok(json!(self.state.borrow().to_string())),
            "pause" => self.set_directions(Inactive).await?,
            "resume" => self.set_directions(Sendonly).await?,
            "addScreen" => self.publish("screen", &[("", 320)]).await?,
            "removeScreen" => {
                self.sources.remove("screen").context("there is no screen")?.stop().await?;
            }
            "restartIce" => self.connection.restart_ice().await?,
            "sendLayers" => {
                let layers = params.as_u64().and_then(|layers| usize::try_from(layers).ok());
                self.layers.store(layers.context("how many layers?")?, Ordering::Relaxed);
            }
            "received" => return Ok(self.received()),
            "close" => self.connection.close().await?,
            _ => bail!("unknown method"),
        }
        Ok(Value::Null)
    }

    async fn open(&mut self, slots: &Value) -> Result<()> {
        self.publish("microphone", &[("", 0)]).await?;
        let is_simulcast = slots["simulcast"] == true;
        let layers: &[_] = if is_simulcast { &[("h", 320), ("f", 640)] } else { &[("", 640)] };
        self.publish("camera", layers).await?;
        for (kind, count) in
            [(RtpCodecKind::Audio, "audioSlots"), (RtpCodecKind::Video, "videoSlots")]
        {
            for _ in 0..slots[count].as_u64().unwrap_or(0) {
                let init = init(RTCRtpTransceiverDirection::Recvonly);
                self.connection.add_transceiver_from_kind(kind, init).await?;
            }
        }
        Ok(())
    }

    /// Adds an m-line, and sends its layers, each with a rid and the width of the picture.
    async fn publish(
        &mut self,
        source: &'static str,
        layers: &[(&'static str, u64)],
    ) -> Result<()> {
        let (kind, codec) = match source {
            "microphone" => (RtpCodecKind::Audio, codec(MIME_TYPE_OPUS, 48_000, 2)),
            _ => (RtpCodecKind::Video, codec(MIME_TYPE_VP8, 90_000, 0)),
        };
        let first_ssrc = self.next_ssrc;
        let ssrcs = first_ssrc..;
        let encodings = layers.iter().zip(ssrcs.clone()).map(|((rid, _), ssrc)| {
            let rtp_coding_parameters = RTCRtpCodingParameters {
                rid: (*rid).to_owned(),
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            };
            let codec = codec.clone();
            RTCRtpEncodingParameters { rtp_coding_parameters, codec, ..Default::default() }
        });
        let id = || source.to_owned();
        let track =
            MediaStreamTrack::new("client".to_owned(), id(), id(), kind, encodings.collect());
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        let sender = Arc::clone(&track) as Arc<dyn TrackLocal>;
        let init = init(RTCRtpTransceiverDirection::Sendonly);
        let transceiver = self.connection.add_transceiver_from_track(sender, init).await?;
        for (number, ((rid, width), ssrc)) in layers.iter().zip(ssrcs).enumerate() {
            let stream = Stream {
                track: Arc::clone(&track),
                transceiver: Arc::clone(&transceiver),
                ssrc,
                rid,
                number,
                layers: Arc::clone(&self.layers),
            };
            self.next_ssrc = ssrc + 1;
            match kind {
                RtpCodecKind::Audio => self.tasks.spawn(stream.send(audio()?, 20, 48, 111)),
                _ => self.tasks.spawn(stream.send(video(*width)?, 50, 90, 96)),
            };
        }
        self.sources.insert(source, transceiver);
        Ok(())
    }

    async fn set_directions(&self, direction: RTCRtpTransceiverDirection) -> Result<()> {
        for transceiver in self.sources.values() {
            transceiver.set_direction(direction).await?;
        }
        Ok(())
    }

    async fn offer(&self) -> Result<Value> {
        let offer = self.connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        let mut mids = BTreeMap::new();
        for (source, transceiver) in &self.sources {
            if transceiver.direction().await? == RTCRtpTransceiverDirection::Sendonly {
                mids.insert(transceiver.mid().await?.context("an m-line has no mid")?, source);
            }
        }
        Ok(json!({ "sdp": sdp, "mids": mids }))
    }

    async fn answer(&mut self, sdp: &str) -> Result<()> {
        self.mids = mids_by_ssrc(sdp);
        let answer = RTCSessionDescription::answer(sdp.to_owned())?;
        Ok(self.connection.set_remote_description(answer).await?)
    }

    fn received(&self) -> Value {
        let entry = |(ssrc, packets): (&u32, &u64)| json!({ "mid": self.mids.get(ssrc), "packets": packets });
        self.packets.borrow().iter().map(entry).collect()
    }
}

/// One outgoing RTP stream.
struct Stream {
    track: Arc<TrackLocalStaticRTP>,
    transceiver: Arc<dyn RtpTransceiver>,
    ssrc: u32,
    rid: &'static str,
    /// Its place among the simulcast layers.
    number: usize,
    layers: Arc<AtomicUsize>,
}

impl Stream {
    /// Sends the payload every `period_ms`, with timestamps of `khz`.
    async fn send(self, payload: Bytes, period_ms: u32, khz: u32, payload_type: u8) {
        let mut ticks = interval(Duration::from_millis(period_ms.into()));
        let mut header = Header { version: 2, marker: true, payload_type, ..Header::default() };
        header.ssrc = self.ssrc;
        loop {
            ticks.tick().await;
            header.timestamp = header.timestamp.wrapping_add(period_ms * khz);
            let direction = self.transceiver.current_direction().await;
            let is_sending = matches!(direction, Ok(RTCRtpTransceiverDirection::Sendonly));
            if !is_sending || self.number >= self.layers.load(Ordering::Relaxed) {
                continue;
            }
            header.sequence_number = header.sequence_number.wrapping_add(1);
            let packet = Packet { header: header.clone(), payload: payload.clone() };
            let mid = self.transceiver.mid().await.ok().flatten().unwrap_or_default();
            let extensions = match self.rid {
                "" => Vec::new(),
                rid => vec![
                    extension(SDES_MID_URI, mid),
                    extension(SDES_RTP_STREAM_ID_URI, rid.to_owned()),
                ],
            };
            // It fails until the connection is up.
            let _ = self.track.write_rtp_with_extensions(packet, &extensions).await;
        }
    }
}

fn extension(uri: &'static str, text: String) -> HeaderExtension {
    HeaderExtension::Custom { uri: uri.into(), extension: Box::new(Text(text)) }
}

/// The value of a header extension that is text (RFC 7941 §4.1).
struct Text(String);

impl MarshalSize for Text {
    fn marshal_size(&self) -> usize {
        self.0.len()
    }
}

impl Marshal for Text {
    fn marshal_to(&self, buffer: &mut [u8]) -> Result<usize, rtc::shared::error::Error> {
        buffer[..self.0.len()].copy_from_slice(self.0.as_bytes());
        Ok(self.0.len())
    }
}

/// Passes events of the connection on.
struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        // The task that moves packets calls this, so it must not wait.
        let _ = self.tracks.send(track);
    }
}

/// Counts the packets of each incoming stream, by SSRC.
async fn count(mut tracks: mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>, packets: Packets) {
    let mut readers = JoinSet::new();
    while let Some(track) = tracks.recv().await {
        let packets = packets.clone();
        readers.spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    packets.send_modify(|seen| *seen.entry(packet.header.ssrc).or_default() += 1);
                }
            }
        });
    }
}

fn audio() -> Result<Bytes> {
    payload("", &frames()?["opus"])
}

/// The payload of a packet with a whole frame: the descriptor (RFC 7741 §4.2) has the start bit alone.
fn video(width: u64) -> Result<Bytes> {
    payload("10", &frames()?["vp8"][width.to_string()])
}

fn frames() -> Result<Value> {
    Ok(serde_json::from_str(FRAMES)?)
}

fn payload(descriptor: &str, frame: &Value) -> Result<Bytes> {
    let text = format!("{descriptor}{}", frame.as_str().context("there is no such frame")?);
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16);
    Ok((0..text.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?.into())
}

fn codec(mime_type: &str, clock_rate: u32, channels: u16) -> RTCRtpCodec {
    RTCRtpCodec { mime_type: mime_type.to_owned(), clock_rate, channels, ..RTCRtpCodec::default() }
}

fn init(direction: RTCRtpTransceiverDirection) -> Option<RTCRtpTransceiverInit> {
    Some(RTCRtpTransceiverInit { direction, streams: Vec::new(), send_encodings: Vec::new() })
}

/// The version in the workspace's manifest, which names an exact one.
fn version() -> &'static str {
    let manifest = include_str!("../../Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("webrtc = \"="));
    version.unwrap_or_default().trim_end_matches('"')
}
