import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  assertMediaFlows,
  connected,
  EXECUTABLE,
  hears,
  join,
  launchBrowserBy,
  newVisitor,
  say,
} from "./browser.mjs";
import { answers, openNamespaces, whyNot, within } from "./namespace.mjs";
import { startServer } from "./server.mjs";

const ROOM = "방화벽";

const skip = await whyNot();
if (skip) console.log(`left out: ${skip}`);

describe("from a network that lets nothing out but TCP 443", { skip }, () => {
  const here = firewalled("203.0.113.1", "203.0.113.2");

  test("nothing else goes through", async () => {
    await assertBlocked(here);
  });

  test("the ordinary join works by itself, without a relay", async (t) => {
    const pages = await visitors(here);

    const seen = await call(t, here, pages, ROOM);

    for (const { localCandidateType, protocol, remoteAddress, remotePort } of seen) {
      assert.notEqual(localCandidateType, "relay");
      assert.deepEqual([protocol, remoteAddress, remotePort], ["tcp", here.address, 443]);
    }
    await say(pages[0], "방화벽 안에서도 잘 보여요");
    await hears(pages[1], "방화벽 안에서도 잘 보여요");
    await leave(pages);
  });

  for (const [protocol, scheme] of [
    ["tls", "turns"],
    ["tcp", "turn"],
  ])
    test(`TURN alone works, too, by ${protocol}`, async (t) => {
      const pages = await visitors(here);
      const url = `${scheme}:${here.address}:443?transport=tcp`;
      await Promise.all(pages.map((page) => page.addInitScript(onlyRelay, url)));

      const seen = await call(t, here, pages, `${ROOM}-${protocol}`, { query: "?relay=1" });

      for (const { localCandidateType, relayProtocol } of seen) {
        assert.deepEqual([localCandidateType, relayProtocol], ["relay", protocol]);
      }
      await leave(pages);
    });
});

// Chromium ignores candidates with port 443 at a private address.
describe("from such a network to a private address", { skip }, () => {
  const here = firewalled("10.77.0.1", "10.77.0.2");

  test("nothing else goes through", async () => {
    await assertBlocked(here);
  });

  test("the ordinary join works by itself, by TURN over TLS", async (t) => {
    const pages = await visitors(here);
    await Promise.all(pages.map((page) => page.addInitScript(countIceRestarts)));

    const seen = await call(t, here, pages, ROOM);

    for (const { localCandidateType, relayProtocol } of seen) {
      assert.deepEqual([localCandidateType, relayProtocol], ["relay", "tls"]);
    }
    for (const page of pages) {
      assert.equal(await page.evaluate(() => globalThis.iceRestarts), 0, "the first offer suffices");
    }
    await leave(pages);
  });
});

/** For the tests of a suite: a server at an address, and a browser in the other network. */
function firewalled(address, outside) {
  const here = { address };
  let program;
  before(async () => {
    here.namespaces = await openNamespaces(address, outside);
    here.server = await startServer({
      host: address,
      port: 443,
      https: true,
      name: address,
      namespace: here.namespaces.inside,
      settings: { MADANG_INSECURE: "true", MADANG_TURN__TLS_HOST: address },
    });
    program = await within(here.namespaces.outside, EXECUTABLE);
    here.browser = await launchBrowserBy(program.path, "--ignore-certificate-errors");
  });
  after(async () => {
    try {
      await here.browser?.close();
      await program?.remove();
      await here.server?.stop();
    } finally {
      here.namespaces?.close();
    }
  });
  return here;
}

async function assertBlocked({ address, namespaces, server }) {
  const { inside, outside } = namespaces;
  const udp = server.datagramPorts().at(-1);
  const tcp = server.turnPort();
  const table = [
    // From the server's own network everything is reachable.
    [inside, "udp", udp, true],
    [inside, "tcp", tcp, true],
    [outside, "tcp", 443, true],
    [outside, "tcp", tcp, false],
    [outside, "udp", udp, false],
    [outside, "udp", 443, false],
  ];
  const found = await Promise.all(
    table.map(([from, protocol, port]) => answers(from, protocol, address, port)),
  );
  assert.deepEqual(
    found,
    table.map(([, , , expected]) => expected),
  );
}

function visitors({ browser }) {
  return Promise.all([1, 2].map(() => newVisitor(browser, { ignoreHTTPSErrors: true })));
}

/** All pages join, and see and hear each other. Prints and returns the connection of each. */
async function call(t, { server }, pages, room, options) {
  for (const [at, page] of pages.entries()) {
    await join(page, server, room, `손님 ${at + 1}`, options);
    await connected(page);
  }
  const seen = await Promise.all(pages.map((page) => assertMediaFlows(page, { from: pages.length - 1 })));
  for (const { localCandidateType, relayProtocol, protocol, remoteAddress, remotePort } of seen) {
    const local = [localCandidateType, relayProtocol && `by ${relayProtocol}`].filter(Boolean).join(" ");
    t.diagnostic(`candidate pair: ${local} to ${remoteAddress}:${remotePort}/${protocol}`);
  }
  return seen;
}

async function leave(pages) {
  for (const page of pages) {
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
}

/** Runs in the page: counts ICE restarts. */
function countIceRestarts() {
  globalThis.iceRestarts = 0;
  const { restartIce } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.restartIce = function () {
    globalThis.iceRestarts += 1;
    return restartIce.call(this);
  };
}

/** Runs in the page: replaces all ICE servers by one TURN server, with the credentials that the server issued. */
function onlyRelay(url) {
  const only = ({ iceServers = [], ...rest } = {}) => {
    const { username, credential } = iceServers.find(({ credential }) => credential) ?? {};
    return { ...rest, iceServers: username ? [{ urls: [url], username, credential }] : [] };
  };
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(only(configuration));
    }
    setConfiguration(configuration) {
      super.setConfiguration(only(configuration));
    }
  };
}
