import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

describe("somebody without camera and microphone", () => {
  let server;
  let browser;
  let hana;
  let listener;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [hana, listener] = [await newVisitor(browser), await newVisitor(browser, { locale: "en-US" })];
    await listener.addInitScript(() => {
      navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("not allowed", "NotAllowedError"));
    });
    await join(hana, server, "회의실", "김하나");
    await connected(hana);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("is told why, and joins by a link without a click", async () => {
    await listener.goto(`${server.url}/rooms/회의실`);
    await listener.getByText("Access to your camera or microphone is blocked.").waitFor();

    await listener.goto(`${server.url}/rooms/회의실?name=Lee&autojoin=1`);

    await connected(listener);
    // Browsers play no sound before a user gesture unless a microphone is open.
    await listener.getByRole("button", { name: "Turn sound on" }).click();
    await assertMediaFlows(listener, { from: 1, seconds: 2 });
  });

  test("is shown by name, and chats", async () => {
    await hana.locator("figure:not(.has-picture)", { hasText: "Lee" }).waitFor();
    await say(listener, "I can only listen today.");
    await hears(hana, "I can only listen today.");
  });

  test("Enter sends, but not while a syllable is composed", async () => {
    const input = hana.getByTestId("chat-input");
    await input.fill("안녕");
    await input.dispatchEvent("keydown", { key: "Enter", isComposing: true, keyCode: 229 });
    assert.equal(await input.inputValue(), "안녕");

    await input.press("Enter");

    await hears(listener, "안녕");
    assert.equal(await input.inputValue(), "");
  });

  test("an invalid room name is explained", async () => {
    await hana.getByTestId("leave-button").click();
    await hana.getByTestId("room-input").fill("회의 실!");
    await hana.getByTestId("join-button").click();

    await hana.getByRole("alert").filter({ hasText: "회의실 이름은" }).waitFor();
    assert.deepEqual(hana.errors, []);
  });

  test("the lobby lists the open rooms", async () => {
    await hana.getByTestId("open-room").filter({ hasText: "회의실" }).click();

    assert.equal(await hana.getByTestId("room-input").inputValue(), "회의실");
  });
});
