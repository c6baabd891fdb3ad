import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, join, launchBrowser, newVisitor, received } from "./browser.mjs";
import { launchFirefox, newFirefoxVisitor } from "./firefox.mjs";
import { startServer } from "./server.mjs";
import { badNetwork, throughBadNetwork } from "./udp-relay.mjs";

const ROOM = "loss";
const LOSS = 0.05;
const SECONDS = 20;

/**
 * Every packet crosses the bad network twice. While it is watched, each video loses about 50 packets: on the way to the
 * server, which sends a NACK to the publisher, or from it, when the receiver sends a NACK to the server.
 */
describe("a call over a network that loses 5 % in either direction", () => {
  let server;
  let network;
  let chromium;
  let firefox;
  /** By name. */
  let visitors;
  /** What each of them received and sent, one entry a second. */
  let seen;

  before(async () => {
    server = await startServer();
    network = await badNetwork(server.datagramPorts(), { loss: LOSS, delay: 10 });
    chromium = await launchBrowser();
    firefox = await launchFirefox();
    visitors = {
      "김하나 (Chromium)": await newVisitor(chromium),
      "이두리 (Chromium)": await newVisitor(chromium),
      "Sam (Firefox)": await newFirefoxVisitor(firefox),
    };
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
    network?.close();
  });

  test("everybody comes in", async () => {
    const pages = Object.values(visitors);
    for (const [name, page] of Object.entries(visitors)) {
      await page.addInitScript(throughBadNetwork, network.ports);
      await join(page, server, ROOM, name);
      await connected(page);
    }
    await Promise.all(pages.map((page) => showsPictures(page, pages.length - 1)));

    for (const [name, page] of Object.entries(visitors)) {
      const { remotePort } = await received(page);
      const text = `${name} goes to ${remotePort}, not through the bad network`;
      assert.ok(Object.values(network.ports).includes(remotePort), text);
    }
  });

  test("the pictures keep moving", async (t) => {
    seen = await watch(visitors, SECONDS);

    const names = Object.keys(visitors);
    for (const [name, seconds] of Object.entries(seen)) {
      assert.equal(seconds[0].videos.length, names.length - 1);
      for (const [index, { videos }] of seconds.slice(1).entries()) {
        for (const video of videos) {
          const before = seconds[index].videos.find(({ id }) => id === video.id);
          assert.ok(video.framesDecoded > before.framesDecoded, `a picture stood still for ${name}`);
        }
      }
      const decoded = rate(seconds, ({ videos }) => sum(videos, "framesDecoded"));
      const encoded = names
        .filter((other) => other !== name)
        .reduce((total, other) => total + rate(seen[other], ({ framesEncoded }) => framesEncoded), 0);
      const text = `${name} decoded ${decoded.toFixed(1)} of ${encoded.toFixed(1)} frames a second`;
      t.diagnostic(text);
      // Relative to what was encoded: cameras slow down on a busy machine.
      assert.ok(decoded >= 0.9 * encoded, text);
    }
  });

  test("they hardly ever freeze, and nobody needs key frames to go on", (t) => {
    for (const [name, seconds] of Object.entries(seen)) {
      const rise = (counter) => risen(seconds, ({ videos }) => sum(videos, counter));
      const frozen = rise("totalFreezesDuration");
      const [plis, keyFrames] = [rise("pliCount"), rise("keyFramesDecoded")];
      const freezes = `${rise("freezeCount")} freezes, ${frozen.toFixed(1)} s together`;
      const text = `${name}: ${freezes}; ${plis} PLIs; ${keyFrames} key frames`;
      t.diagnostic(text);
      const pictures = seconds[0].videos.length;
      // By time, because a stall of ten seconds counts as one freeze. Measured: at most 2 % on an idle machine; up to
      // 11 % on a busy one, where cameras slow down (6 % without loss); 78 % in Firefox without retransmission.
      assert.ok(frozen <= 0.15 * pictures * SECONDS, text);
      // None was measured: a repaired picture continues without one. Without retransmission Firefox sent 11.
      assert.ok(plis <= (pictures * SECONDS) / 10, text);
      // Senders produce some by themselves when a layer starts or stops, and each layer switch needs one.
      assert.ok(keyFrames <= (pictures * SECONDS) / 2, text);
    }
  });

  test("what is lost is asked for and sent again", async (t) => {
    for (const [name, seconds] of Object.entries(seen)) {
      assert.ok(risen(seconds, ({ videos }) => sum(videos, "nackCount")) > 0, `${name} asked for nothing`);
      // Firefox does not count retransmitted packets.
      if (name.includes("Firefox")) continue;
      const repaired = risen(seconds, ({ videos }) => sum(videos, "retransmittedPacketsReceived"));
      assert.ok(repaired > 0, `nothing was sent again to ${name}`);
    }
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    for (const family of ["nack_sent", "rtx_received_packets", "rtx_sent_packets"]) {
      const values = [...metrics.matchAll(new RegExp(`^madang_sfu_${family}_total\\{.*\\} (\\d+)$`, "gm"))];
      const total = values.reduce((total, [, value]) => total + Number(value), 0);
      t.diagnostic(`${family}: ${total}`);
      assert.ok(total > 0, `the server counts no ${family}`);
    }
  });

  test("they hear each other, and lost audio comes again to those who can ask for it", (t) => {
    for (const [name, seconds] of Object.entries(seen)) {
      const rise = (counter) => risen(seconds, ({ audios }) => sum(audios, counter));
      const missing = rise("packetsLost") / (rise("packetsLost") + rise("packetsReceived"));
      const concealed = rise("concealedSamples") / rise("totalSamplesReceived");
      const text = `${name}: ${percent(missing)} of audio packets missing, ${percent(concealed)} concealed`;
      t.diagnostic(text);
      // Firefox sends no NACK for audio: it misses audio lost between the server and itself, but not before the server.
      assert.ok(missing < (name.includes("Firefox") ? 1.6 * LOSS : 0.2 * LOSS), text);
      assert.ok(risen(seconds, ({ audioEnergy }) => audioEnergy) > 0, `${name} hears nothing`);
    }
  });

  test("as much was lost as was said, and no page complained", () => {
    for (const { passed, lost } of Object.values(network.counts)) {
      const share = lost / (passed + lost);
      assert.ok(share > 0.6 * LOSS && share < 1.4 * LOSS, `${lost} lost, ${passed} passed`);
    }
    assert.deepEqual(
      Object.values(visitors).flatMap(({ errors }) => errors),
      [],
    );
  });
});

function showsPictures(page, count) {
  return page.waitForFunction(
    (count) => {
      const videos = [...document.querySelectorAll("[data-testid=remote-video]")];
      return videos.filter((video) => video.readyState >= video.HAVE_CURRENT_DATA).length === count;
    },
    count,
    { timeout: 30_000 },
  );
}

/** The reports of all visitors at the beginning and after each second. */
async function watch(visitors, seconds) {
  const watching = Object.entries(visitors).map(async ([name, page]) => {
    const seen = [await page.evaluate(report)];
    while (seen.length <= seconds) {
      await page.waitForTimeout(1_000);
      seen.push(await page.evaluate(report));
    }
    return [name, seen];
  });
  return Object.fromEntries(await Promise.all(watching));
}

/** Runs in the page. */
async function report() {
  const reports = [...(await window.madang.peerConnection.getStats()).values()];
  const of = (type, kind) => reports.filter((report) => report.type === type && report.kind === kind);
  return {
    at: performance.now(),
    videos: of("inbound-rtp", "video").filter(({ framesDecoded }) => framesDecoded > 0),
    audios: of("inbound-rtp", "audio"),
    audioEnergy: of("inbound-rtp", "audio").reduce(
      (energy, { totalAudioEnergy = 0 }) => energy + totalAudioEnergy,
      0,
    ),
    // Of the layer with the most: all layers encode the same pictures.
    framesEncoded: Math.max(...of("outbound-rtp", "video").map(({ framesEncoded }) => framesEncoded)),
  };
}

function risen(seconds, counter) {
  return counter(seconds.at(-1)) - counter(seconds[0]);
}

/** The increase of a counter per second. */
function rate(seconds, counter) {
  return (1_000 * risen(seconds, counter)) / risen(seconds, ({ at }) => at);
}

function sum(reports, counter) {
  return reports.reduce((total, report) => total + (report[counter] ?? 0), 0);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
