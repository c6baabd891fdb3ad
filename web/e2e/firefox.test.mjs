import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { launchFirefox, newFirefoxVisitor } from "./firefox.mjs";
import { startServer } from "./server.mjs";

const ROOM = "두-브라우저";

describe("Firefox and Chromium in one room", () => {
  let server;
  let chromium;
  let firefox;
  let hana;
  let dul;

  before(async () => {
    server = await startServer();
    chromium = await launchBrowser();
    firefox = await launchFirefox();
    [hana, dul] = await Promise.all([newVisitor(chromium), newFirefoxVisitor(firefox)]);
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
  });

  test("see and hear each other", async () => {
    await join(hana, server, ROOM, "김하나");
    await connected(hana);
    await join(dul, server, ROOM, "이두리");
    await connected(dul);

    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));
  });

  test("are both encrypted with AES-GCM", async () => {
    for (const page of [hana, dul]) assert.match(await srtpCipher(page), /AEAD_AES_(128|256)_GCM/);
  });

  test("read what the other writes", async () => {
    await say(hana, "불여우에서도 보이나요?");
    await hears(dul, "불여우에서도 보이나요?");
    await say(dul, "네, 잘 보여요!");
    await hears(hana, "네, 잘 보여요!");
  });

  test("who comes later sees both soon", async (t) => {
    const sam = await newFirefoxVisitor(firefox);
    const elapsed = await join(sam, server, ROOM, "Sam Park", { pictures: 2 });
    t.diagnostic(`${Math.round(elapsed)} ms from the click to both pictures`);

    await Promise.all([hana, dul, sam].map((page) => assertMediaFlows(page, { from: 2 })));
    assert.deepEqual([hana, dul, sam].map(({ errors }) => errors).flat(), []);
  });
});

function srtpCipher(page) {
  return page.evaluate(async () => {
    const reports = [...(await window.madang.peerConnection.getStats()).values()];
    return reports.find(({ type }) => type === "transport").srtpCipher;
  });
}
