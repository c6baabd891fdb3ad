import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

describe("a call from a network without UDP", () => {
  let server;
  let browser;
  let hana;
  let dul;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await hana.addInitScript(loseUdp);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("people see and hear each other, one over TCP, one over UDP", async () => {
    for (const [page, name] of [
      [hana, "김하나"],
      [dul, "이두리"],
    ]) {
      await join(page, server, "tcp", name);
      await connected(page);
    }

    const [atHana, atDul] = await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));

    assert.deepEqual([atHana.protocol, atHana.remotePort], ["tcp", server.streamPorts()[0]]);
    assert.equal(atDul.protocol, "udp");
    await say(hana, "UDP 없이도 잘 들려요");
    await hears(dul, "UDP 없이도 잘 들려요");
  });

  test("who comes while others are there gets pictures over TCP, too", async () => {
    const sam = await newVisitor(browser);
    await sam.addInitScript(loseUdp);
    await join(sam, server, "tcp", "Sam Park", { pictures: 2 });

    const seen = await assertMediaFlows(sam, { from: 2 });

    assert.equal(seen.protocol, "tcp");
  });

  test("no page complained", () => {
    assert.deepEqual([hana, dul].map(({ errors }) => errors).flat(), []);
  });
});

describe("a call over IPv6", () => {
  let server;
  let browser;
  let hana;
  let dul;

  before(async () => {
    server = await startServer({ host: "[::1]" });
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await dul.addInitScript(loseUdp);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("two people see and hear each other, one over TCP, one over UDP", async () => {
    for (const [page, name] of [
      [hana, "김하나"],
      [dul, "이두리"],
    ]) {
      await join(page, server, "six", name);
      await connected(page);
    }

    const [atHana, atDul] = await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));

    assert.deepEqual([atHana.protocol, atHana.remoteAddress], ["udp", "::1"]);
    assert.deepEqual([atDul.protocol, atDul.remoteAddress], ["tcp", "::1"]);
  });
});

/** Runs in the page: hides UDP candidates from its peer connections. */
function loseUdp() {
  const real = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return real.call(this, { type, sdp: sdp.replace(/^a=candidate:\S+ \d+ udp .*\r\n/gim, "") });
  };
}
