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
  const sources = new Map();
  let connection;

  /** Adds an m-line that sends a source. */
  async function publish(source, sendEncodings) {
    const track = await createTrack(source);
    const init = { direction: "sendonly", streams: [new MediaStream([track])] };
    if (sendEncodings) init.sendEncodings = sendEncodings;
    sources.set(source, connection.addTransceiver(track, init));
  }

  function setDirections(direction) {
    for (const transceiver of sources.values()) transceiver.direction = direction;
  }

  return {
    /** Creates the peer connection: a microphone, a camera, and slots to receive. */
    async open({ audioSlots, videoSlots, simulcast }) {
      connection = new RTCPeerConnection();
      await publish("microphone");
      await publish("camera", simulcast ? LAYERS : undefined);
      connection.ontrack = ({ track }) => play(track);
      for (let slot = 0; slot < audioSlots; slot++) connection.addTransceiver("audio", { direction: "recvonly" });
      for (let slot = 0; slot < videoSlots; slot++) connection.addTransceiver("video", { direction: "recvonly" });
    },
    async offer() {
      await connection.setLocalDescription(await connection.createOffer());
      const mids = [...sources]
        .filter(([, { direction }]) => direction === "sendonly")
        .map(([source, { mid }]) => [mid, source]);
      return { sdp: connection.localDescription.sdp, mids: Object.fromEntries(mids) };
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
      const reports = [...(await connection.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
      return reports.map((report) => {
        const transceiver = connection
          .getTransceivers()
          .find(({ receiver }) => receiver.track.id === report.trackIdentifier);
        const { kind, packetsReceived: packets = 0, framesDecoded: frames = 0, frameWidth: width = 0 } = report;
        return { mid: report.mid ?? transceiver?.mid, kind, packets, frames, width };
      });
    },
    close: () => connection.close(),
  };
}
