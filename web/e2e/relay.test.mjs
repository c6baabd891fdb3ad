import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { launchFirefox, newFirefoxVisitor } from "./firefox.mjs";
import { startServer } from "./server.mjs";

const SECURE = { https: true, settings: { MADANG_TURN__TLS_LISTEN: "127.0.0.1:0" } };

for (const [protocol, where, settings, part = () => ""] of [
  ["udp", "", {}],
  ["tcp", "", {}],
  ["tls", " at the port of the page", { https: true }],
  ["tls", " at a port of its own", SECURE, (server) => `:${server.secureTurnPort()}?`],
])
  describe(`a call through the TURN server alone, by ${protocol}${where}`, () => {
    let server;
    let browser;
    let hana;
    let dul;

    before(async () => {
      server = await startServer(settings);
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
        await page.addInitScript(onlyBy, [protocol, part(server)]);
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

describe("a call through the TURN server that outlives its credentials", () => {
  let server;
  let chromium;
  let firefox;
  let pages;

  before(async () => {
    server = await startServer({ settings: { MADANG_TURN__CREDENTIALS_LIFETIME: "10s" } });
    chromium = await launchBrowser();
    firefox = await launchFirefox();
    pages = await Promise.all([newVisitor(chromium), newFirefoxVisitor(firefox)]);
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
  });

  test("goes on, with new credentials for the next ICE restart", async () => {
    for (const [n, page] of pages.entries()) {
      await join(page, server, "long", ["김하나", "이두리"][n], { query: "?relay=1" });
      await connected(page);
    }
    const atFirst = await Promise.all(pages.map((page) => page.evaluate(expiry)));

    // Two lifetimes.
    await pages[0].waitForTimeout(20_000);

    const later = await Promise.all(pages.map((page) => page.evaluate(expiry)));
    for (const [n, end] of later.entries()) {
      assert.ok(end >= atFirst[n] + 10, `${end} after ${atFirst[n]}`);
    }
    await Promise.all(pages.map((page) => assertMediaFlows(page, { from: 1 })));
    const ufrags = await Promise.all(pages.map((page) => page.evaluate(remoteUfrag)));
    for (const page of pages) await page.evaluate(() => window.madang.restartIce());
    for (const [n, page] of pages.entries()) {
      await page.waitForFunction(
        (before) =>
          window.madang.peerConnection.connectionState === "connected" &&
          !window.madang.peerConnection.remoteDescription.sdp.includes(before),
        ufrags[n],
      );
    }
    const seen = await Promise.all(pages.map((page) => assertMediaFlows(page, { from: 1 })));
    for (const { localCandidateType } of seen) assert.equal(localCandidateType, "relay");
  });

  /** Runs in the page: when the TURN credentials expire, in seconds since 1970. */
  function expiry() {
    const { iceServers } = window.madang.peerConnection.getConfiguration();
    return Number(iceServers.find(({ username }) => username).username.split(":")[0]);
  }

  /** Runs in the page: the server's ICE credentials. */
  function remoteUfrag() {
    return /a=ice-ufrag:.*/.exec(window.madang.peerConnection.remoteDescription.sdp)[0];
  }
});

/** Browsers do not support TURN over DTLS: they treat such a URL as TLS over TCP. */
describe("a call where TURN is offered by DTLS, too", () => {
  let server;
  let chromium;
  let firefox;
  let pages;

  before(async () => {
    server = await startServer(SECURE);
    chromium = await launchBrowser("--ignore-certificate-errors");
    firefox = await launchFirefox({ acceptInsecureCerts: true });
    pages = await Promise.all([
      newVisitor(chromium, { ignoreHTTPSErrors: true }),
      newFirefoxVisitor(firefox),
    ]);
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
  });

  test("Chromium and Firefox are told of it, and see and hear each other", async () => {
    for (const [n, page] of pages.entries()) {
      await join(page, server, "dtls", ["김하나", "이두리"][n]);
      await connected(page);
      const urls = await page.evaluate(() =>
        window.madang.peerConnection.getConfiguration().iceServers.flatMap(({ urls }) => urls),
      );
      const named = urls.filter((url) => /^turns:localhost:\d+\?transport=udp$/.test(url));
      assert.equal(named.length, 1, urls.join(" "));
    }

    await Promise.all(pages.map((page) => assertMediaFlows(page, { from: 1 })));
  });
});

/**
 * Runs in the page before its own scripts: hides TURN servers of other protocols, and those whose URL does not contain
 * `part`.
 */
function onlyBy([protocol, part]) {
  const [scheme, transport] = protocol === "tls" ? ["turns:", "tcp"] : ["turn:", protocol];
  const some = ({ urls, ...rest }) => ({
    urls: [urls]
      .flat()
      .filter((url) => url.startsWith(scheme) && url.endsWith(`=${transport}`))
      .filter((url) => url.includes(part)),
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
