/** The page `examples/plain.html`, from another origin, in a room with the web client. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "예제";

describe("the plain example page", () => {
  let pages;
  let server;
  let browser;
  let hana;
  let dul;

  before(async () => {
    pages = await servePage();
    server = await startServer({ settings: { MADANG_HTTP__ALLOWED_ORIGINS: pages.url } });
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await hana.addInitScript(exposeCall);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await pages?.stop();
  });

  test("joins, and sees and hears the web client", async () => {
    await join(dul, server, ROOM, "이두리");
    await connected(dul);
    await say(dul, "먼저 와 있었어요");
    const query = new URLSearchParams({ room: ROOM, name: "김하나", server: socketUrl(server) });
    await hana.goto(`${pages.url}/plain.html?${query}`);
    await hana.getByText(`In ${ROOM} as 김하나`).waitFor();

    await hana.locator("figure:not([hidden]):has(video)", { hasText: "이두리" }).waitFor();
    await hana.waitForFunction(() => document.querySelector("figure:not([hidden]) video").videoWidth > 0);
    const before = await hana.evaluate(received);
    await hana.waitForTimeout(2_000);
    const after = await hana.evaluate(received);
    assert.ok(after.framesDecoded - before.framesDecoded >= 20, "the picture stands still");
    assert.ok(after.totalAudioEnergy > before.totalAudioEnergy, "nothing is heard");
  });

  test("is seen and heard in the web client", async () => {
    await assertMediaFlows(dul, { from: 1, seconds: 2 });
  });

  test("shows the chat from before, and chats, without reading HTML", async () => {
    await hana.getByText("이두리: 먼저 와 있었어요").waitFor();
    await say(dul, "잘 보이나요? <img src=x onerror=alert(1)>");
    await hana.getByText("이두리: 잘 보이나요? <img src=x onerror=alert(1)>").waitFor();
    await hana.getByRole("textbox").fill("네, 잘 보여요!");
    await hana.getByRole("button", { name: "Send" }).click();

    await hears(dul, "네, 잘 보여요!");
    if (process.env.SCREENSHOT) await hana.screenshot({ path: process.env.SCREENSHOT });
  });

  test("keeps no slot of somebody who left", async () => {
    await dul.getByTestId("leave-button").click();

    await hana.locator("figure:not([hidden]):has(video)").waitFor({ state: "detached" });
    assert.deepEqual([hana, dul].map(({ errors }) => errors).flat(), []);
  });
});

function socketUrl({ url }) {
  return `${url.replace("http", "ws")}/ws`;
}

/** Another origin than the server's, as `python3 -m http.server` is. */
async function servePage() {
  const page = await readFile(new URL("../examples/plain.html", import.meta.url));
  const server = createServer(({ url }, response) => {
    if (!url.startsWith("/plain.html?")) return response.writeHead(204).end();
    response.setHeader("content-type", "text/html").end(page);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}`,
    stop: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

/** These run in the page. */

function exposeCall() {
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(configuration);
      window.call = this;
    }
  };
}

async function received() {
  const reports = [...(await window.call.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
  const sum = (name) => reports.reduce((total, report) => total + (report[name] ?? 0), 0);
  return { framesDecoded: sum("framesDecoded"), totalAudioEnergy: sum("totalAudioEnergy") };
}
