/** @roamhq/wrtc, libwebrtc for Node.js, as a client. */
import wrtc from "@roamhq/wrtc";

import { installedVersion, serve } from "./program.mjs";
import { webEngine } from "./web-engine.mjs";

const { RTCPeerConnection, MediaStream } = wrtc;
const { RTCAudioSource, RTCVideoSource } = wrtc.nonstandard;

let size = { width: 640, height: 360 };

serve({
  version: () => installedVersion("@roamhq/wrtc"),
  ...webEngine({
    RTCPeerConnection,
    MediaStream,
    createTrack: (source) => (source === "microphone" ? tone() : picture()),
    play: () => {},
  }),
  // setParameters() fails after negotiation. Of a small picture, libwebrtc sends no second layer.
  sendLayers(count) {
    size = { width: 320 * count, height: 180 * count };
  },
});

/** A tone of 500 Hz. */
function tone() {
  const source = new RTCAudioSource();
  const samples = Int16Array.from({ length: 480 }, (_, index) => 8_000 * Math.sin((2 * Math.PI * index) / 96));
  setInterval(() => source.onData({ samples, sampleRate: 48_000 }), 10);
  return source.createTrack();
}

/** A gradient that moves. */
function picture() {
  const source = new RTCVideoSource();
  let time = 0;
  setInterval(() => {
    const { width, height } = size;
    const data = new Uint8ClampedArray((width * height * 3) / 2).fill(128);
    time += 4;
    for (let y = 0; y < height; y++) data.fill(64 + ((y + time) % 128), y * width, (y + 1) * width);
    source.onFrame({ width, height, data });
  }, 50);
  return source.createTrack();
}
