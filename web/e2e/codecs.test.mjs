import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, join, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";

const SWITCHES = 3;
const WATCH_MS = 2_000;

/** The codecs of the two publishers. */
const CALLS = [
  ["VP8", "VP8"],
  ["VP9", "VP9"],
  ["H264", "H264"],
  ["AV1", "AV1"],
  ["VP9", "H264"],
];

/** A slot switches between publishers, and the receiver's decoder sees only a key frame. */
for (const codecs of CALLS) {
  const room = codecs.join("-");
  describe(`video in ${codecs.join(" and ")}`, () => {
    let server;
    let browser;
    let publishers;
    let viewer;

    before(async () => {
      server = await startServer();
      browser = await launchBrowser();
      publishers = [await newVisitor(browser), await newVisitor(browser)];
      viewer = await newVisitor(browser);
      for (const page of [...publishers, viewer]) await page.addInitScript(exposeSocket);
      for (const [index, page] of publishers.entries()) {
        await page.addInitScript(preferCodec, `video/${codecs[index]}`);
        await page.addInitScript(useSmallCamera);
      }
      await viewer.addInitScript(refuseDevices);
    });

    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    test("is sent, forwarded and decoded", async () => {
      for (const [index, page] of publishers.entries()) {
        await join(page, server, room, `publisher ${index}`);
        await connected(page);
        // They receive nothing: their decoders would take the CPU time that the encoders need.
        await show(page, room, []);
      }
      await viewer.goto(`${server.url}/rooms/${room}?name=viewer&autojoin=1`);
      await connected(viewer);
      await viewer.waitForFunction(showsPictures, publishers.length, { timeout: 30_000 });

      const streams = await receivedStreams(viewer);

      assert.deepEqual(
        streams.map(({ mimeType }) => mimeType).sort(),
        codecs.map((codec) => `video/${codec}`).sort(),
      );
    });

    test("goes on in a slot that changes over from one to the other", async (t) => {
      const participants = await viewer.evaluate(() => {
        return [...document.querySelectorAll("[data-testid=remote-video]")].map(
          ({ dataset }) => dataset.participant,
        );
      });
      const mid = await viewer.evaluate(() => {
        const transceivers = window.madang.peerConnection.getTransceivers();
        return transceivers.find(
          ({ direction, receiver }) => direction === "recvonly" && receiver.track.kind === "video",
        ).mid;
      });
      await show(viewer, room, [slot(mid, participants[0])]);
      await viewer.waitForTimeout(WATCH_MS);
      const before = await streamOf(viewer, mid);

      for (let turn = 1; turn <= SWITCHES; turn++) {
        const last = await streamOf(viewer, mid);
        await show(viewer, room, [slot(mid, participants[turn % 2])]);
        await viewer.waitForTimeout(WATCH_MS);
        const { framesDecoded, keyFramesDecoded } = await streamOf(viewer, mid);
        const frames = framesDecoded - last.framesDecoded;
        assert.ok(frames >= (10 * WATCH_MS) / 1_000, `${frames} frames after switch ${turn}`);
        assert.ok(keyFramesDecoded > last.keyFramesDecoded, `switch ${turn} started on no key frame`);
      }

      const after = await streamOf(viewer, mid);
      const more = (counter) => after[counter] - before[counter];
      t.diagnostic(
        `${more("framesDecoded")} frames, ${more("freezeCount")} freezes, ${more("framesDropped")} dropped, ` +
          `${more("pliCount")} key frames asked for, ${more("jitterBufferDelay").toFixed(1)} s in the jitter buffer`,
      );
      assert.equal(more("pliCount"), 0, "the decoder had to ask for a key frame");
      // The new publisher may have to produce a key frame first; the picture must not freeze longer than that.
      const frozen = more("totalFreezesDuration");
      assert.ok(frozen <= SWITCHES, `the picture stood still for ${frozen} s in ${SWITCHES} switches`);
    });

    test("no page complained", () => {
      assert.deepEqual(publishers.map(({ errors }) => errors).flat(), []);
    });
  });
}

function slot(mid, participant) {
  return { mid, participant, source: "camera" };
}

/** Requests these slots and turns automatic filling off (protocol §3, `view`). */
function show(page, room, slots) {
  const body = JSON.stringify({ slots, auto: false });
  return page.evaluate(
    (frame) => window.openSocket.send(frame),
    ["SEND", `destination:/app/rooms/${room}/view`, "content-type:application/json", "", `${body}\0`].join(
      "\n",
    ),
  );
}

async function streamOf(page, mid) {
  const streams = await receivedStreams(page);
  return streams.find((stream) => stream.mid === mid);
}

/** The received videos, with their codecs. */
function receivedStreams(page) {
  return page.evaluate(async () => {
    const reports = await window.madang.peerConnection.getStats();
    const inbound = [...reports.values()].filter(
      ({ type, kind }) => type === "inbound-rtp" && kind === "video",
    );
    return inbound
      .filter(({ framesDecoded }) => framesDecoded > 0)
      .map((report) => ({ ...report, mimeType: reports.get(report.codecId)?.mimeType }));
  });
}

/** These run in the page, the first three before its own scripts. */

function exposeSocket() {
  window.WebSocket = class extends WebSocket {
    constructor(...options) {
      super(...options);
      window.openSocket = this;
    }
  };
}

/** The sender uses the first codec that both sides support. */
function preferCodec(mimeType) {
  const { setCodecPreferences } = RTCRtpTransceiver.prototype;
  RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
    const preferred = codecs.filter((codec) => codec.mimeType === mimeType);
    const others = codecs.filter((codec) => codec.mimeType !== mimeType);
    return setCodecPreferences.call(this, [...preferred, ...others]);
  };
}

/** AV1 is encoded in software: two small cameras leave CPU time for the rest of the test. */
function useSmallCamera() {
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = function (constraints) {
    const video = constraints.video && { width: 320, height: 180, frameRate: 20 };
    return getUserMedia.call(this, { ...constraints, video });
  };
}

function refuseDevices() {
  MediaDevices.prototype.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
}

function showsPictures(count) {
  const videos = [...document.querySelectorAll("[data-testid=remote-video]")];
  return videos.length === count && videos.every((video) => video.readyState >= video.HAVE_CURRENT_DATA);
}
