/** A host moderates a room with the page's buttons. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, hears, join, launchBrowser, newVisitor, received, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "운영회의";

describe("a host", () => {
  let server;
  let browser;
  let host;
  let guest;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [host, guest] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    // Without authentication, the first participant of a room is its host.
    await join(host, server, ROOM, "김하나");
    await connected(host);
    await join(guest, server, ROOM, "이두리", { pictures: 1 });
    await connected(guest);
    host.on("dialog", (dialog) => dialog.accept());
    await host.getByTestId("people-button").click();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("opened the room, and sees who is in it", async () => {
    const rows = host.getByTestId("person");
    await rows.nth(1).waitFor();
    assert.equal(await rows.count(), 2);
    assert.match(await rows.first().textContent(), /진행자/);
    assert.equal(await guest.getByTestId("mute-person").count(), 0);
  });

  test("mutes somebody, who can't unmute before the host allows it", async () => {
    await heardFrom(host, (energy, before) => energy > before);

    await host.getByTestId("mute-person").click();
    await guest.getByRole("button", { name: "음소거 해제" }).waitFor();
    await heardFrom(host, (energy, before) => energy === before);
    await guest.getByTestId("mute-button").click();
    await guest.getByTestId("problem").waitFor();
    await guest.getByRole("button", { name: "음소거 해제" }).waitFor();

    await host.getByRole("button", { name: "이두리님 음소거 해제 허용" }).click();
    await host.getByRole("button", { name: "이두리님 음소거", exact: true }).waitFor();
    await guest.getByTestId("mute-button").click();
    await heardFrom(host, (energy, before) => energy > before);
  });

  test("stops a camera", async () => {
    await host.getByTestId("stop-camera").click();

    await host.locator("figure:not(.has-picture)", { hasText: "이두리" }).waitFor();
    await guest.getByRole("button", { name: "카메라 켜기" }).waitFor();
  });

  test("deletes what somebody wrote, for everybody", async () => {
    await say(guest, "지워질 이야기");
    await hears(host, "지워질 이야기");
    await say(guest, "남을 이야기");
    await hears(host, "남을 이야기");

    const message = host.getByTestId("chat-message").filter({ hasText: "지워질" });
    await message.hover();
    await message.getByTestId("delete-message").click();

    for (const page of [host, guest]) {
      await page.waitForFunction(() => !document.body.textContent.includes("지워질 이야기"));
      await hears(page, "남을 이야기");
    }
  });

  test("locks the room, which then lets nobody in", async () => {
    await host.getByTestId("lock-button").click();
    await host.getByRole("button", { name: "회의실 잠금 해제" }).waitFor();
    const late = await newVisitor(browser);
    await join(late, server, ROOM, "박세미");
    await late.getByText("잠긴 회의실이에요.").waitFor();

    await host.getByTestId("lock-button").click();
    await host.getByRole("button", { name: "회의실 잠그기" }).waitFor();
    await late.getByTestId("join-button").click();
    await connected(late);
    await late.getByTestId("leave-button").click();
    await late.close();
  });

  test("gives somebody another role", async () => {
    await host.getByTestId("role-select").selectOption("listener");
    await guest.getByRole("button", { name: "음소거 해제" }).waitFor();

    await guest.getByTestId("mute-button").click();
    await guest.getByText("청중으로 참여하고 있어요.").waitFor();
  });

  test("removes somebody from the room", async () => {
    await host.getByTestId("kick-person").click();

    await guest.getByText("회의실에서 내보내졌어요.").waitFor();
    await host.waitForFunction(() => document.querySelectorAll("[data-testid=remote-video]").length === 0);
  });

  test("ends the meeting for everybody", async () => {
    const other = await newVisitor(browser);
    await join(other, server, ROOM, "최네모");
    await connected(other);

    await host.getByTestId("end-room-button").click();

    for (const page of [host, other]) await page.getByText("회의가 종료되었어요.").waitFor();
    await other.close();
  });

  test("no page complained", () => {
    assert.deepEqual([host, guest].map(({ errors }) => errors).flat(), []);
  });
});

/** Waits until the audio energy before and after a second is as expected. */
async function heardFrom(page, isExpected) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const before = (await received(page)).totalAudioEnergy;
    await page.waitForTimeout(1_000);
    const { totalAudioEnergy } = await received(page);
    if (isExpected(totalAudioEnergy, before)) return;
    assert.ok(Date.now() < deadline, `heard ${totalAudioEnergy - before} in the last second`);
  }
}
