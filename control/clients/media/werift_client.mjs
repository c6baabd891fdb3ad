/**
 * werift, a WebRTC stack in TypeScript, as a client. It has no codecs: it sends a recorded key frame and a recorded
 * tone again and again, and counts packets. It declares Node.js 22 and works with 20, too.
 */
import { readFileSync } from "node:fs";
import { MediaStream, MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket } from "werift";

import { installedVersion, serve } from "./program.mjs";
import { webEngine } from "./web-engine.mjs";

const FRAMES = JSON.parse(readFileSync(new URL("frames.json", import.meta.url)));
/** The payload descriptor of the first packet of a VP8 frame (RFC 7741 §4.2). */
const VP8_DESCRIPTOR = "10";

const engine = webEngine({
  RTCPeerConnection,
  MediaStream,
  createTrack: (source) =>
    source === "microphone"
      ? track("audio", FRAMES.opus, { period: 20, clockRate: 48_000 })
      : track("video", VP8_DESCRIPTOR + FRAMES.vp8[source === "camera" ? 640 : 320], { period: 50, clockRate: 90_000 }),
  play: () => {},
});

serve({
  ...engine,
  version: () => installedVersion("werift"),
  received: async () => (await engine.received()).map(({ mid, kind, packets }) => ({ mid, kind, packets })),
});

/** A track that sends the same payload, in one packet, every `period` milliseconds. */
function track(kind, payload, { period, clockRate }) {
  const track = new MediaStreamTrack({ kind });
  let number = 0;
  setInterval(() => {
    const header = new RtpHeader({
      version: 2,
      marker: true,
      sequenceNumber: number % 65_536,
      timestamp: (number * period * clockRate) / 1_000,
    });
    number++;
    track.writeRtp(new RtpPacket(header, Buffer.from(payload, "hex")));
  }, period);
  return track;
}
