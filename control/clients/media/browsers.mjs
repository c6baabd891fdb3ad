/** Chromium and Firefox as clients: a page of theirs with an RTCPeerConnection, a fake camera and a fake microphone. */
import { after, before } from "node:test";

import { launchBrowser, newVisitor } from "../../../web/e2e/browser.mjs";
import { launchFirefox, newFirefoxVisitor } from "../../../web/e2e/firefox.mjs";
import { startServer } from "../../../web/e2e/server.mjs";
import { webEngine } from "./web-engine.mjs";

export async function launchChromium() {
  const browser = await launchBrowser("--autoplay-policy=no-user-gesture-required");
  return {
    version: browser.version(),
    newEngine: async (server) => newPage(await newVisitor(browser), server),
    close: () => browser.close(),
  };
}

/** A server and Chromium for the tests of a file: they start before the tests and stop after them. */
export function serverAndChromium() {
  const started = { server: undefined, chromium: undefined };
  before(async () => {
    started.server = await startServer();
    started.chromium = await launchChromium();
  });
  after(async () => {
    await started.chromium?.close();
    await started.server?.stop();
  });
  return started;
}

export async function launchFirefoxEsr() {
  const browser = await launchFirefox();
  return {
    version: (await browser.version()).replace(/^\D*/, ""),
    newEngine: async (server) => newPage(await newFirefoxVisitor(browser), server),
    close: () => browser.close(),
  };
}

/** An engine in a page of the server's origin, where loopback gives access to the devices. */
async function newPage(page, server) {
  await page.goto(`${server.url}/healthz`);
  await page.evaluate(`window.engine = (${webEngine})((${pageMedia})())`);
  const call = ([method, params]) => window.engine[method](params);
  const get = (_, method) => {
    if (method === "then") return undefined;
    if (method === "setLoudness")
      return (gain) => page.evaluate((gain) => (window.loudness.value = gain), gain);
    if (method === "end") return () => page.close();
    return (params) => page.evaluate(call, [method, params]);
  };
  return new Proxy({}, { get });
}

/**
 * Runs in the page: what webEngine needs. The screen is a drawing, since headless browsers have none to share. With
 * `voice` the microphone is a tone of so many hertz in syllables; `window.loudness` is its gain.
 */
function pageMedia() {
  const { RTCPeerConnection, MediaStream } = window;
  const speak = (voice) => {
    const context = new AudioContext();
    const [tone, syllables, mouth, loudness] = [
      new OscillatorNode(context, { frequency: voice }),
      new OscillatorNode(context, { frequency: 2, type: "square" }),
      new GainNode(context, { gain: 0.25 }),
      new GainNode(context, { gain: 1 }),
    ];
    const destination = new MediaStreamAudioDestinationNode(context);
    // The square wave opens and shuts the mouth: 0.25 ± 0.25.
    syllables.connect(new GainNode(context, { gain: 0.25 })).connect(mouth.gain);
    tone.connect(mouth).connect(loudness).connect(destination);
    [tone, syllables].forEach((node) => node.start());
    window.loudness = loudness.gain;
    return destination.stream.getAudioTracks()[0];
  };
  const createTrack = async (source, { voice }) => {
    if (source === "microphone" && voice) return speak(voice);
    if (source === "screen") {
      const canvas = Object.assign(document.createElement("canvas"), {
        width: 320,
        height: 180,
      });
      const pen = canvas.getContext("2d");
      setInterval(() => {
        pen.fillStyle = `hsl(${performance.now() / 20}deg 80% 50%)`;
        pen.fillRect(0, 0, canvas.width, canvas.height);
      }, 50);
      return canvas.captureStream(20).getVideoTracks()[0];
    }
    const wanted =
      source === "camera" ? { video: { width: 640, height: 360, frameRate: 20 } } : { audio: true };
    return (await navigator.mediaDevices.getUserMedia(wanted)).getTracks()[0];
  };
  const play = (track) => {
    const element = document.createElement(track.kind);
    Object.assign(element, {
      srcObject: new MediaStream([track]),
      autoplay: true,
      muted: track.kind === "video",
    });
    document.body.append(element);
  };
  return { RTCPeerConnection, MediaStream, createTrack, play };
}
