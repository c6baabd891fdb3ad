import { withAudioNack } from "./audio-nack.ts";
import type { Mids, RoomCodec } from "./messages.ts";

/** The server forwards the loudest active speakers. People cannot follow more than three at once. */
export const AUDIO_SLOTS = 3;
export const FIRST_VIDEO_SLOTS = 8;
export const MAX_VIDEO_SLOTS = 49;

/** The longer side, in pixels, from which a picture is sent in three sizes; from half of it, in two. */
const THREE_LAYERS = 960;
const RIDS = ["q", "h", "f"];
/** Enough for moving faces. A layer's bitrate is proportional to its number of pixels. */
const BITS_PER_PIXEL_AND_SECOND = 2.2;
/** In bits per second. */
const LEAST_BITRATE = 100_000;

/**
 * The simulcast layers of a camera, from which the server chooses for each receiver by its bandwidth. For a small
 * picture Chromium sends only as many layers as are active here, the first ones: those must not be the smallest then.
 *
 * Each encoding has one spatial and one temporal layer. Without an explicit mode Chromium sends VP9 and AV1 as one
 * scalable stream, of which the server could not forward less.
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
 * The only peer connection to the server (protocol §7). The client makes every offer, with m-lines in this order:
 *
 *     microphone  sendonly ┐ always present, so that a device can be switched
 *     camera      sendonly ┘ on later without a new offer; the camera in layers q, h, f
 *     3 audio     recvonly ┐ slots: the server's `slots` messages change what
 *     8+ video    recvonly ┘ they carry, never a renegotiation
 */
export class Call {
  readonly peerConnection: RTCPeerConnection;
  readonly #microphone: RTCRtpTransceiver;
  readonly #camera: RTCRtpTransceiver;
  readonly #audioSlots: RTCRtpTransceiver[] = [];
  readonly #videoSlots: RTCRtpTransceiver[] = [];
  /** One for each slot. A slot's track never changes, and neither does its stream. */
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

  /** Creates an offer, sets it as the local description and returns its SDP. `accept` takes the answer. */
  async offer(): Promise<string> {
    // It needs no candidates: the server learns this end's address from the connectivity checks.
    const offer = await this.peerConnection.createOffer();
    await this.peerConnection.setLocalDescription({ type: "offer", sdp: withAudioNack(offer.sdp ?? "") });
    return this.peerConnection.localDescription?.sdp ?? "";
  }

  /** Applies an answer. */
  async accept(answer: string): Promise<void> {
    await this.peerConnection.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /** The sources of the sending m-lines. Known after the first offer. */
  get mids(): Mids {
    const mids: Mids = {};
    if (this.#microphone.mid && this.#microphone.sender.track) {
      mids[this.#microphone.mid] = "microphone";
    }
    if (this.#camera.mid && this.#camera.sender.track) mids[this.#camera.mid] = "camera";
    return mids;
  }

  /** Replaces the tracks that are sent, without a new offer. */
  async replaceTracks(tracks: CallTracks): Promise<void> {
    await this.#microphone.sender.replaceTrack(tracks.microphone ?? null);
    await this.#camera.sender.replaceTrack(tracks.camera ?? null);
    if (tracks.camera) await this.#fitLayers(tracks.camera);
  }

  /**
   * Sends a source in the codec that most receivers can decode. Does nothing if the browser can't change it without a new
   * offer: this page offers codecs that all browsers decode first.
   */
  async prefer(mid: string, wanted: RoomCodec | undefined): Promise<void> {
    const transceiver = this.peerConnection.getTransceivers().find((each) => each.mid === mid);
    if (transceiver === undefined || wanted === undefined) return;
    const parameters = transceiver.sender.getParameters();
    const codec = parameters.codecs.find((each) => isSame(each, wanted));
    if (codec === undefined) return;
    for (const encoding of parameters.encodings) Object.assign(encoding, { codec });
    await transceiver.sender.setParameters(parameters).catch((error: unknown) => {
      console.warn(`Could not send ${wanted.mime_type}:`, error);
    });
  }

  /** Adjusts the layers to a camera, whose size may differ from the one before. */
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

  /** Adds video slots until there are `wanted`, or the maximum. Returns whether that needs a new offer. */
  ensureVideoSlots(wanted: number): boolean {
    const goal = Math.min(wanted, MAX_VIDEO_SLOTS);
    const grows = this.#videoSlots.length < goal;
    while (this.#videoSlots.length < goal) this.#videoSlots.push(this.#addSlot("video"));
    return grows;
  }

  get videoSlots(): number {
    return this.#videoSlots.length;
  }

  /** The stream of the slot with this `mid`. */
  stream(mid: string): MediaStream | undefined {
    const slot = [...this.#audioSlots, ...this.#videoSlots].find((slot) => slot.mid === mid);
    return slot && this.#streams.get(slot);
  }

  /** The streams of all audio slots, whoever they carry. */
  get audioStreams(): MediaStream[] {
    return this.#audioSlots.flatMap((slot) => this.#streams.get(slot) ?? []);
  }

  /** Replaces the ICE servers. The browser uses them from the next ICE restart on, which the next offer then is. */
  setIceServers(iceServers: RTCIceServer[]): void {
    this.peerConnection.setConfiguration({ ...this.peerConnection.getConfiguration(), iceServers });
  }

  /** Makes the next offer restart ICE, with new credentials and candidates. */
  restartIce(): void {
    this.peerConnection.restartIce();
  }

  /** Closes the connection. The local tracks continue: they belong to the caller. */
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

/** Whether a codec of this browser is one that the server names. */
export function isSame({ mimeType, sdpFmtpLine = "" }: RTCRtpCodec, wanted: RoomCodec): boolean {
  const isSameType = mimeType.toLowerCase() === wanted.mime_type.toLowerCase();
  return isSameType && sdpFmtpLine === (wanted.sdp_fmtp_line ?? "");
}

function encodingsOf(camera: MediaStreamTrack | undefined): RTCRtpEncodingParameters[] {
  const { width, height } = camera?.getSettings() ?? {};
  return cameraEncodings(width, height);
}

/**
 * Offers the codecs that the server forwards, VP8 first, with one profile each. Every slot repeats all codecs: with
 * more profiles, a page with many slots would send some hundred kilobytes of SDP.
 */
function chooseCodecs(transceiver: RTCRtpTransceiver, kind: "audio" | "video"): void {
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  const isVp8 = (codec: RTCRtpCodec) => codec.mimeType.toLowerCase() === "video/vp8";
  const chosen = codecs.filter(isForwarded);
  // A browser that supports none of them keeps its own offer.
  if (chosen.length > 0) {
    transceiver.setCodecPreferences([...chosen.filter(isVp8), ...chosen.filter((codec) => !isVp8(codec))]);
  }
}

/** Whether the server forwards this codec (protocol §7), in the profile that all browsers support. */
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
