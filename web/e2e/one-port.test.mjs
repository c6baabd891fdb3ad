import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { launchFirefox, newFirefoxVisitor } from "./firefox.mjs";
import { startServer } from "./server.mjs";

describe("a call for which the port of HTTPS must do", () => {
  let server;
  let port;
  let chromium;
  let firefox;
  let hana;
  let dul;

  before(async () => {
    server = await startServer({ https: true });
    port = Number(new URL(server.url).port);
    chromium = await launchBrowser("--ignore-certificate-errors");
    firefox = await launchFirefox({ acceptInsecureCerts: true });
    [hana, dul] = await Promise.all([
      newVisitor(chromium, { ignoreHTTPSErrors: true }),
      newFirefoxVisitor(firefox),
    ]);
    await Promise.all([hana, dul].map((page) => page.addInitScript(loseOtherPorts, port)));
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
  });

  test("people see and hear each other, in Chromium and in Firefox", async () => {
    for (const [page, name] of [
      [hana, "김하나"],
      [dul, "이두리"],
    ]) {
      await join(page, server, "하나의-문", name);
      await connected(page);
    }

    const seen = await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));

    for (const { protocol, remotePort } of seen) assert.deepEqual([protocol, remotePort], ["tcp", port]);
    await say(hana, "한 문으로 다 들어왔어요");
    await hears(dul, "한 문으로 다 들어왔어요");
  });

  test("who has UDP as well uses that", async () => {
    const sam = await newVisitor(chromium, { ignoreHTTPSErrors: true });
    await join(sam, server, "하나의-문", "Sam Park", { pictures: 2 });

    const { protocol, remotePort } = await assertMediaFlows(sam, { from: 2 });

    assert.equal(protocol, "udp");
    assert.notEqual(remotePort, port);
  });

  test("no page complained", () => {
    assert.deepEqual([hana, dul].map(({ errors }) => errors).flat(), []);
  });
});

/** Runs in the page: hides candidates with other ports from its peer connections. */
function loseOtherPorts(port) {
  const isOther = (line) => line.startsWith("a=candidate:") && line.split(" ")[5] !== String(port);
  const real = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split("\r\n").filter((line) => !isOther(line));
    return real.call(this, { type, sdp: lines.join("\r\n") });
  };
}
