import { withAudioNack } from "./audio-nack.ts";
import type { Mids } from "./messages.ts";

/** The server forwards the loudest speakers of the moment; three is as many as people can follow. */
export const AUDIO_SLOTS = 3;
export const FIRST_VIDEO_SLOTS = 8;
export const MAX_VIDEO_SLOTS = 49;

/** A picture whose longer side has so many pixels is sent in three sizes; one of half of it in two. */
const THREE_LAYERS = 960;
const RIDS = ["q", "h", "f"];
/** Enough for faces that move; what a layer needs grows with its pixels. */
const BITS_PER_PIXEL_AND_SECOND = 2.2;
const LEAST_BITRATE = 100_000;

/**
 * In which sizes a camera is sent, so that the server can give each receiver what its connection carries. Of a small
 * picture Chromium sends only as many layers as here, the first ones: they must not be the smallest then.
 *
 * Each has one spatial and one temporal layer: without saying so, Chromium makes one scalable stream of VP9 and AV1, of
 * which no receiver could get less.
 */
export function cameraEncodings(width = THREE_LAYERS, height = 0): RTCRtpEncodingParameters[] {
  const side = Math.max(width, height);
  const layers = side >= THREE_LAYERS ? 3 : side >= THREE_LAYERS / 2 ? 2 : 1;
  return RIDS.map((rid, layer) => {
    const scaleResolutionDownBy = 2 ** Math.max(layers - 1 - layer, 0);
    const pixels = ((side / scaleResolutionDownBy) ** 2 * 9) / 16;
    const maxBitrate = Math.max(Math.round(pixels * BITS_PER_PIXEL_AND_SECOND), LEAST_BITRATE);
    const active = layer < layers;
    return { rid, active, scaleResolutionDownBy, maxBitrate, scalabilityMode: "L1T1" };
  });
}

export interface CallTracks {
  microphone: MediaStreamTrack | undefined;
  camera: MediaStreamTrack | undefined;
}

/**
 * The one peer connection to the server (protocol §7). The client makes every offer; the m-lines are, in this order:
 *
 *     microphone  sendonly ┐ always there, so that a device can be
 *     camera      sendonly ┘ switched on later without a new offer; the camera in layers q, h, f
 *     3 audio     recvonly ┐ slots: what they carry changes by the server's
 *     8+ video    recvonly ┘ `slots` messages, never by renegotiation
 */
export class Call {
  readonly peerConnection: RTCPeerConnection;
  readonly #microphone: RTCRtpTransceiver;
  readonly #camera: RTCRtpTransceiver;
  readonly #audioSlots: RTCRtpTransceiver[] = [];
  readonly #videoSlots: RTCRtpTransceiver[] = [];
  /** A slot's track never changes, so its stream doesn't either. */
  readonly #streams = new Map<RTCRtpTransceiver, MediaStream>();

  constructor(tracks: CallTracks, configuration: RTCConfiguration) {
    this.peerConnection = new RTCPeerConnection({ bundlePolicy: "max-bundle", ...configuration });
    const sendonly: RTCRtpTransceiverInit = { direction: "sendonly" };
    this.#microphone = this.peerConnection.addTransceiver(tracks.microphone ?? "audio", sendonly);
    this.#camera = this.peerConnection.addTransceiver(tracks.camera ?? "video", {
      ...sendonly,
      sendEncodings: encodingsOf(tracks.camera),
    });
    chooseCodecs(this.#microphone, "audio");
    chooseCodecs(this.#camera, "video");
    for (let slot = 0; slot < AUDIO_SLOTS; slot++) this.#audioSlots.push(this.#addSlot("audio"));
    this.ensureVideoSlots(FIRST_VIDEO_SLOTS);
  }

  /** Makes an offer and returns its SDP. The answer goes to `accept`. */
  async offer(): Promise<string> {
    // Candidates need not be in it: the server learns this end's address from its connectivity checks.
    const offer = await this.peerConnection.createOffer();
    await this.peerConnection.setLocalDescription({ type: "offer", sdp: withAudioNack(offer.sdp ?? "") });
    return this.peerConnection.localDescription?.sdp ?? "";
  }

  /** Takes the answer. `iceServers` are known only after the first offer and help from the next one on. */
  async accept(answer: string, iceServers?: RTCIceServer[]): Promise<void> {
    if (iceServers !== undefined) {
      this.peerConnection.setConfiguration({
        ...this.peerConnection.getConfiguration(),
        iceServers,
      });
    }
    await this.peerConnection.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /** What the sending m-lines carry. Known after the first offer. */
  get mids(): Mids {
    const mids: Mids = {};
    if (this.#microphone.mid && this.#microphone.sender.track) {
      mids[this.#microphone.mid] = "microphone";
    }
    if (this.#camera.mid && this.#camera.sender.track) mids[this.#camera.mid] = "camera";
    return mids;
  }

  /** Sends other tracks, without a new offer. */
  async replaceTracks(tracks: CallTracks): Promise<void> {
    await this.#microphone.sender.replaceTrack(tracks.microphone ?? null);
    await this.#camera.sender.replaceTrack(tracks.camera ?? null);
    if (tracks.camera) await this.#fitLayers(tracks.camera);
  }

  /** Another camera may have another size. */
  async #fitLayers(camera: MediaStreamTrack): Promise<void> {
    const { sender } = this.#camera;
    const parameters = sender.getParameters();
    const fitting = encodingsOf(camera);
    for (const encoding of parameters.encodings) {
      Object.assign(
        encoding,
        fitting.find(({ rid }) => rid === encoding.rid),
      );
    }
    await sender.setParameters(parameters);
  }

  /** Makes room for that many videos. True when a new offer has to tell the server. */
  ensureVideoSlots(wanted: number): boolean {
    const goal = Math.min(wanted, MAX_VIDEO_SLOTS);
    const grows = this.#videoSlots.length < goal;
    while (this.#videoSlots.length < goal) this.#videoSlots.push(this.#addSlot("video"));
    return grows;
  }

  get videoSlots(): number {
    return this.#videoSlots.length;
  }

  /** What arrives in the slot with this `mid`. */
  stream(mid: string): MediaStream | undefined {
    const slot = [...this.#audioSlots, ...this.#videoSlots].find((slot) => slot.mid === mid);
    return slot && this.#streams.get(slot);
  }

  /** What is to be played, whoever speaks. */
  get audioStreams(): MediaStream[] {
    return this.#audioSlots.flatMap((slot) => this.#streams.get(slot) ?? []);
  }

  /** Has the next offer start over with ICE: other credentials, other candidates, and servers learned since. */
  restartIce(): void {
    this.peerConnection.restartIce();
  }

  /** Ends it. The local tracks go on: they belong to the caller. */
  close(): void {
    this.peerConnection.close();
  }

  #addSlot(kind: "audio" | "video"): RTCRtpTransceiver {
    const slot = this.peerConnection.addTransceiver(kind, { direction: "recvonly" });
    chooseCodecs(slot, kind);
    this.#streams.set(slot, new MediaStream([slot.receiver.track]));
    return slot;
  }
}

function encodingsOf(camera: MediaStreamTrack | undefined): RTCRtpEncodingParameters[] {
  const { width, height } = camera?.getSettings() ?? {};
  return cameraEncodings(width, height);
}

/**
 * Offers what the server forwards, VP8 first, and one profile of each: every codec is repeated in every slot, and a
 * page with many slots would otherwise send some hundred kilobytes of SDP.
 */
function chooseCodecs(transceiver: RTCRtpTransceiver, kind: "audio" | "video"): void {
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  const isVp8 = (codec: RTCRtpCodec) => codec.mimeType.toLowerCase() === "video/vp8";
  const chosen = codecs.filter(isForwarded);
  // A browser that knows none of them is left alone: its offer is as good as ours.
  if (chosen.length > 0) {
    transceiver.setCodecPreferences([...chosen.filter(isVp8), ...chosen.filter((codec) => !isVp8(codec))]);
  }
}

/** Whether the server forwards this codec (protocol §7), in the profile that all browsers share. */
export function isForwarded({ mimeType, sdpFmtpLine = "" }: RTCRtpCodec): boolean {
  switch (mimeType.toLowerCase()) {
    case "audio/opus":
    case "audio/red":
    case "video/vp8":
    case "video/rtx":
      return true;
    case "video/vp9":
      return !/profile-id=[1-9]/.test(sdpFmtpLine);
    case "video/av1":
      return !/profile=[1-9]/.test(sdpFmtpLine);
    case "video/h264":
      return sdpFmtpLine.includes("packetization-mode=1") && /profile-level-id=42e0/i.test(sdpFmtpLine);
    default:
      return false;
  }
}
