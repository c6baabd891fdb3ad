import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

for (const protocol of ["udp", "tcp", "tls"])
  describe(`a call through the TURN server alone, by ${protocol}`, () => {
    let server;
    let browser;
    let hana;
    let dul;

    before(async () => {
      server = await startServer({ https: protocol === "tls" });
      browser = await launchBrowser("--ignore-certificate-errors");
      const visitor = () => newVisitor(browser, { ignoreHTTPSErrors: true });
      [hana, dul] = await Promise.all([visitor(), visitor()]);
    });

    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    test("two people see and hear each other", async () => {
      for (const [page, name] of [
        [hana, "김하나"],
        [dul, "이두리"],
      ]) {
        await page.addInitScript(onlyBy, protocol);
        await join(page, server, "relay", name, { query: "?relay=1" });
        await connected(page);
      }

      const seen = await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));

      for (const { localCandidateType, relayProtocol } of seen) {
        assert.deepEqual([localCandidateType, relayProtocol], ["relay", protocol]);
      }
    });

    test("chat works as ever", async () => {
      await say(hana, "중계 서버로도 잘 됩니다");
      await hears(dul, "중계 서버로도 잘 됩니다");
    });
  });

/** Runs in the page, before anything else: of the TURN servers that it is given, it knows only those by one protocol. */
function onlyBy(protocol) {
  const [scheme, transport] = protocol === "tls" ? ["turns:", "tcp"] : ["turn:", protocol];
  const some = ({ urls, ...rest }) => ({
    urls: [urls].flat().filter((url) => url.startsWith(scheme) && url.endsWith(`=${transport}`)),
    ...rest,
  });
  const fewer = ({ iceServers = [], ...rest } = {}) => ({
    ...rest,
    iceServers: iceServers.map(some).filter(({ urls }) => urls.length > 0),
  });
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(fewer(configuration));
    }
    setConfiguration(configuration) {
      super.setConfiguration(fewer(configuration));
    }
  };
}
