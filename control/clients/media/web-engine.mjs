/**
 * A client with the W3C's RTCPeerConnection: in pages of browsers, and with @roamhq/wrtc. It runs in the page, so it
 * uses nothing but its argument, which has the constructors and what creates the tracks.
 */
export function webEngine({ RTCPeerConnection, MediaStream, createTrack, play }) {
  // Two layers: libwebrtc sends no more of a picture that is 640 pixels wide.
  const LAYERS = [
    { rid: "h", scaleResolutionDownBy: 2 },
    { rid: "f", scaleResolutionDownBy: 1 },
  ];
  const RSA = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  const sources = new Map();
  let connection;
  let options;

  /** Adds an m-line that sends a source. */
  async function publish(source, sendEncodings) {
    const track = await createTrack(source, options);
    const init = { direction: "sendonly", streams: [new MediaStream([track])] };
    if (sendEncodings) init.sendEncodings = sendEncodings;
    sources.set(source, connection.addTransceiver(track, init));
  }

  /** Asks for three encodings of the only video that is sent, as clients did before there were rids. */
  function withSimGroup(sdp) {
    const [line, ssrc, rtx] = /a=ssrc-group:FID (\d+) (\d+)\r\n/
      .exec(sdp)
      .map((found, at) => (at ? Number(found) : found));
    const pairs = [0, 1, 2].map((layer) => [ssrc + layer, rtx + layer]);
    const groups = pairs.map((pair) => `a=ssrc-group:FID ${pair.join(" ")}\r\n`);
    groups.push(`a=ssrc-group:SIM ${pairs.map(([media]) => media).join(" ")}\r\n`);
    const further = pairs
      .slice(1)
      .flat()
      .map((name) => `a=ssrc:${name} cname:sim\r\n`);
    return sdp
      .replace(line, groups.join(""))
      .replace(/(?:a=ssrc:\d+ .*\r\n)+$/, (lines) => lines + further.join(""));
  }

  async function until(condition) {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  function setDirections(direction) {
    for (const transceiver of sources.values()) transceiver.direction = direction;
  }

  return {
    /**
     * Creates the peer connection: a microphone, a camera, and slots to receive. Further options: `bestFirst`, the
     * simulcast layers in the other order; `simGroup`, three layers by an ssrc-group; `rsa`, an RSA certificate;
     * `bundlePolicy`; `channelFirst`, a data channel whose m-line is the first; `gathered`, offers have all candidates.
     */
    async open(wanted) {
      options = wanted;
      const {
        audioSlots = 0,
        videoSlots = 0,
        simulcast,
        bestFirst,
        rsa,
        bundlePolicy,
        channelFirst,
      } = options;
      const certificates = rsa ? [await RTCPeerConnection.generateCertificate(RSA)] : undefined;
      connection = new RTCPeerConnection({ certificates, bundlePolicy });
      if (channelFirst) {
        connection.createDataChannel("chat");
        await connection.setLocalDescription(await connection.createOffer());
      }
      await publish("microphone");
      await publish("camera", simulcast ? (bestFirst ? LAYERS.toReversed() : LAYERS) : undefined);
      connection.ontrack = ({ track }) => play(track);
      for (let slot = 0; slot < audioSlots; slot++)
        connection.addTransceiver("audio", { direction: "recvonly" });
      for (let slot = 0; slot < videoSlots; slot++)
        connection.addTransceiver("video", { direction: "recvonly" });
    },
    async offer() {
      const { type, sdp } = await connection.createOffer();
      await connection.setLocalDescription({
        type,
        sdp: options.simGroup ? withSimGroup(sdp) : sdp,
      });
      if (options.gathered) await until(() => connection.iceGatheringState === "complete");
      const mids = [...sources]
        .filter(([, { direction }]) => direction === "sendonly")
        .map(([source, { mid }]) => [mid, source]);
      return {
        sdp: connection.localDescription.sdp,
        mids: Object.fromEntries(mids),
      };
    },
    answer: (sdp) => connection.setRemoteDescription({ type: "answer", sdp }),
    state: () => connection.connectionState,
    pause: () => setDirections("inactive"),
    resume: () => setDirections("sendonly"),
    addScreen: () => publish("screen"),
    removeScreen() {
      sources.get("screen").stop();
      sources.delete("screen");
    },
    restartIce: () => connection.restartIce(),
    /** Sends only this many of the simulcast layers, the smallest first. */
    async sendLayers(count) {
      const { sender } = sources.get("camera");
      const parameters = sender.getParameters();
      parameters.encodings.forEach((encoding, index) => (encoding.active = index < count));
      await sender.setParameters(parameters);
    },
    async received() {
      const reports = [...(await connection.getStats()).values()].filter(
        ({ type }) => type === "inbound-rtp",
      );
      return reports.map((report) => {
        const transceiver = connection
          .getTransceivers()
          .find(({ receiver }) => receiver.track.id === report.trackIdentifier);
        const {
          kind,
          packetsReceived: packets = 0,
          framesDecoded: frames = 0,
          frameWidth: width = 0,
        } = report;
        const { keyFramesDecoded: keyFrames = 0, totalAudioEnergy: energy = 0 } = report;
        return {
          mid: report.mid ?? transceiver?.mid,
          kind,
          packets,
          frames,
          width,
          keyFrames,
          energy,
        };
      });
    },
    close: () => connection.close(),
  };
}
