import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  assertMediaFlows,
  connected,
  hears,
  join,
  launchBrowser,
  newVisitor,
  received,
  say,
  sentSize,
} from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "주간회의";

describe("a call", () => {
  let server;
  let browser;
  let hana;
  let dul;
  let sam;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [hana, dul, sam] = await Promise.all([newVisitor(browser), newVisitor(browser), newVisitor(browser)]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("two people see and hear each other", async () => {
    await join(hana, server, ROOM, "김하나");
    await connected(hana);
    await join(dul, server, ROOM, "이두리");
    await connected(dul);

    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1 })));

    // The smaller layers come first, until the browser has found out that all fit.
    const sent = await sentSize(hana);
    for (const page of [hana, dul]) {
      await page.waitForFunction(({ width, height }) => {
        const video = document.querySelector("[data-testid=remote-video]");
        return video.videoWidth === width && video.videoHeight === height;
      }, sent);
    }
    assert.equal(await hana.getByTestId("participant-count").textContent(), "2");
  });

  test("each reads what the other writes, as text", async () => {
    await say(hana, "안녕하세요, 잘 들리시나요? <img src=x onerror=alert(1)>");
    await hears(dul, "잘 들리시나요? <img src=x");
    await say(dul, "네, 아주 잘 들려요! 👍");
    await hears(hana, "네, 아주 잘 들려요!");

    assert.equal(await dul.locator("[data-testid=chat-message] img").count(), 0);
  });

  test("a late joiner sees everybody, and the earlier chat", async (t) => {
    const elapsed = await join(sam, server, ROOM, "Sam Park", { pictures: 2 });
    t.diagnostic(`${Math.round(elapsed)} ms from the click to both pictures`);

    await hears(sam, "안녕하세요, 잘 들리시나요?");
    await hears(sam, "네, 아주 잘 들려요!");
    await Promise.all([hana, dul, sam].map((page) => assertMediaFlows(page, { from: 2 })));
  });

  test("others see that somebody muted and turned the camera off", async () => {
    await sam.getByTestId("mute-button").click();
    await sam.getByTestId("camera-button").click();

    const tile = hana.locator("figure", { hasText: "Sam Park" });
    await tile.locator(".tile-muted").waitFor({ state: "visible", timeout: 30_000 });
    await hana.locator("figure:not(.has-picture)", { hasText: "Sam Park" }).waitFor({ timeout: 30_000 });
  });

  test("a participant who leaves disappears, and the call continues", async () => {
    await sam.getByTestId("leave-button").click();

    await sam.getByTestId("join-button").waitFor();
    for (const page of [hana, dul]) {
      await page.waitForFunction(() => document.querySelectorAll("[data-testid=remote-video]").length === 1);
      assert.equal(await page.getByTestId("participant-count").textContent(), "2");
    }
    await assertMediaFlows(hana, { from: 1, seconds: 2 });
  });

  test("a participant who closes the tab disappears", async () => {
    await dul.close({ runBeforeUnload: false });

    await hana.waitForFunction(
      () => document.querySelectorAll("[data-testid=remote-video]").length === 0,
      null,
      {
        timeout: 30_000,
      },
    );
    assert.deepEqual((await received(hana)).videos, []);
  });

  test("no page complained", () => {
    assert.deepEqual([hana, sam].map(({ errors }) => errors).flat(), []);
  });
});
