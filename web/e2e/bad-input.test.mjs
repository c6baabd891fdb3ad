import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, join, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "robust";

/** Malformed input on other connections does not disturb a call. */
describe("a running call", () => {
  let server;
  let browser;
  let hana;
  let dul;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await join(hana, server, ROOM, "김하나");
    await connected(hana);
    await join(dul, server, ROOM, "이두리");
    await connected(dul);
    await assertMediaFlows(dul, { from: 1, seconds: 1 });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("survives a malformed STOMP frame", async () => {
    const heard = await stranger(hana, [
      "CONNECT\naccept-version:1.2\nhost:x\n\n\0",
      "NONSENSE\nno colon here\n\n\0",
    ]);

    assert.match(heard.at(-2), /^ERROR/);
    assert.equal(heard.at(-1), "closed");
    await assertMediaFlows(dul, { from: 1, seconds: 2 });
  });

  test("survives invalid SDP, and a megabyte of it", async () => {
    const offer = (sdp) => {
      const body = JSON.stringify({ name: "stranger", sdp, mids: {} });
      return `SEND\ndestination:/app/rooms/${ROOM}/join\ncontent-type:application/json\n\n${body}\0`;
    };

    const heard = await stranger(
      hana,
      [
        "CONNECT\naccept-version:1.2\nhost:x\n\n\0",
        "SUBSCRIBE\nid:0\ndestination:/user/queue/signal\n\n\0",
        offer("v=0\r\nthis is no SDP"),
        offer(`v=0\r\n${"a=x\r\n".repeat(200_000)}`),
      ],
      3,
    );

    assert.match(heard[0], /^CONNECTED/);
    assert.match(heard[1], /"code":"bad_sdp"/);
    assert.match(heard[2], /"code":"too_large"|"code":"bad_sdp"/);
    await assertMediaFlows(dul, { from: 1, seconds: 2 });
    assert.equal(await dul.getByTestId("participant-count").textContent(), "2");
  });

  test("survives noise at the media and TURN ports", async () => {
    const socket = createSocket("udp4");
    for (let sent = 0; sent < 3_000; sent++) {
      const noise = randomBytes(1 + (sent % 1_400));
      // The first byte looks like STUN, DTLS, TURN channel data or RTP (RFC 7983 §7); the rest is noise.
      noise[0] = [0, 20, 22, 64, 128, 144][sent % 6];
      for (const port of server.datagramPorts()) socket.send(noise, port, "127.0.0.1");
      if (sent % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await assertMediaFlows(dul, { from: 1, seconds: 2 });
    socket.close();
  });

  test("survives a page that reloads", async () => {
    await hana.reload();
    await dul.waitForFunction(() => document.querySelectorAll("[data-testid=remote-video]").length === 0);
    await join(hana, server, ROOM, "김하나");

    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1, seconds: 2 })));
  });
});

/** Opens another connection from a page, sends `frames`, and returns what it receives: `answers` frames, or all. */
function stranger(page, frames, answers = Infinity) {
  return page.evaluate(
    ([frames, answers]) =>
      new Promise((resolve) => {
        const heard = [];
        const socket = new WebSocket(`ws://${location.host}/ws`, ["v12.stomp"]);
        const done = () => {
          socket.close();
          resolve(heard);
        };
        socket.onopen = () => frames.forEach((frame) => socket.send(frame));
        socket.onmessage = ({ data }) => {
          if (String(data).trim() !== "") heard.push(String(data));
          if (heard.length >= answers) done();
        };
        socket.onclose = () => {
          heard.push("closed");
          resolve(heard);
        };
        setTimeout(done, 5_000);
      }),
    [frames, answers === Infinity ? 1e9 : answers],
  );
}
