import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, join, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";
import { badNetwork, throughBadNetwork } from "./udp-relay.mjs";

const ROOM = "simulcast";
/** Less than the camera needs at half its size, and more than at a quarter. */
const NARROW_BITS_PER_SECOND = 220_000;
/** A sender starts at 300 kbit/s, and takes a while to send all layers. */
const PATIENCE_MS = 60_000;
const CAMERA_WIDTH = 960;

describe("a camera in three sizes", () => {
  let server;
  let network;
  let browser;
  let publisher;
  let wide;
  let narrow;

  before(async () => {
    server = await startServer();
    network = await badNetwork(server.datagramPorts(), { delay: 10, rate: NARROW_BITS_PER_SECOND });
    browser = await launchBrowser();
    [publisher, wide, narrow] = [
      await newVisitor(browser),
      await newVisitor(browser),
      await newVisitor(browser),
    ];
    for (const page of [wide, narrow]) await page.addInitScript(refuseDevices);
    await narrow.addInitScript(throughBadNetwork, network.ports);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    network?.close();
  });

  test("is offered and answered with the restriction identifiers q, h and f", async () => {
    await join(publisher, server, ROOM, "김하나");
    await connected(publisher);
    for (const page of [wide, narrow]) {
      await page.goto(`${server.url}/rooms/${ROOM}?name=viewer&autojoin=1`);
      await connected(page);
    }
    const answer = await publisher.evaluate(() => window.madang.peerConnection.remoteDescription.sdp);
    assert.match(answer, /^a=simulcast:recv q;h;f\r$/m);
  });

  test("is seen in its whole size by who can receive that", async (t) => {
    await wide.waitForFunction(showsWidth, CAMERA_WIDTH, { timeout: PATIENCE_MS });
    const { frozen, keyFramesWanted } = await wide.evaluate(pictures);
    t.diagnostic(`${frozen.toFixed(1)} s frozen, ${keyFramesWanted} key frames asked for`);
    const sent = await publisher.evaluate(sentLayers);
    assert.deepEqual(Object.keys(sent).sort(), ["f", "h", "q"]);
    assert.equal(sent.f, CAMERA_WIDTH);
    assert.equal(sent.h, CAMERA_WIDTH / 2);
    assert.equal(sent.q, CAMERA_WIDTH / 4);
  });

  test("is seen in a smaller one by who can't, and goes on moving", async (t) => {
    await narrow.waitForFunction(showsLessThan, CAMERA_WIDTH, { timeout: PATIENCE_MS });
    const first = await narrow.evaluate(pictures);
    const widths = [];
    for (let second = 0; second < 15; second++) {
      await narrow.waitForTimeout(1_000);
      widths.push((await narrow.evaluate(pictures)).width);
    }
    const last = await narrow.evaluate(pictures);
    const { passed, lost } = network.counts.down;
    t.diagnostic(
      `widths ${widths.join(" ")}; ${last.frames - first.frames} frames; ${lost} lost, ${passed} not`,
    );
    // The server probes the next layer from time to time.
    const small = widths.filter((width) => width < CAMERA_WIDTH);
    assert.ok(small.length >= 12, `widths ${widths.join(" ")}`);
    assert.ok(last.frames - first.frames >= 75, `${last.frames - first.frames} frames in 15 s`);
  });

  test("is seen in its whole size again when there is room for it", async (t) => {
    const started = performance.now();
    network.limit(Infinity);
    await narrow.waitForFunction(showsWidth, CAMERA_WIDTH, { timeout: PATIENCE_MS });
    t.diagnostic(`after ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  });

  test("is chosen by what the receivers tell of when packets came", async () => {
    const page = await (await fetch(`${server.url}/metrics`)).text();
    const sum = (name) => {
      const values = [...page.matchAll(new RegExp(`^${name}\\{.*\\} (\\d+)$`, "gm"))];
      return values.reduce((total, [, value]) => total + Number(value), 0);
    };
    assert.equal(sum("madang_sfu_feedback_estimates"), 2);
    assert.equal(sum("madang_sfu_remb_estimates"), 0);
    assert.ok(sum("madang_sfu_layers_down_total") > 0);
    assert.ok(sum("madang_sfu_layers_up_total") > 0);
  });

  test("no page complained", () => {
    assert.deepEqual([publisher, wide, narrow].map(({ errors }) => errors).flat(), []);
  });
});

/** These run in the page. */

function refuseDevices() {
  MediaDevices.prototype.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
}

function showsWidth(width) {
  return document.querySelector("[data-testid=remote-video]")?.videoWidth === width;
}

function showsLessThan(width) {
  const shown = document.querySelector("[data-testid=remote-video]")?.videoWidth ?? 0;
  return shown > 0 && shown < width;
}

async function pictures() {
  const reports = [...(await window.madang.peerConnection.getStats()).values()];
  const report = reports.find(({ type, kind, framesDecoded }) => {
    return type === "inbound-rtp" && kind === "video" && framesDecoded > 0;
  });
  return {
    width: report?.frameWidth ?? 0,
    frames: report?.framesDecoded ?? 0,
    frozen: report?.totalFreezesDuration ?? 0,
    keyFramesWanted: report?.pliCount ?? 0,
  };
}

/** The width of each layer, by its rid. */
async function sentLayers() {
  const reports = [...(await window.madang.peerConnection.getStats()).values()];
  const layers = reports.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
  return Object.fromEntries(layers.map(({ rid, frameWidth }) => [rid, frameWidth]));
}
