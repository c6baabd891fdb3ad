/** Chromium with a fake camera and microphone, and what tests do with a page. */
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export const EXECUTABLE = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];

export function launchBrowser(...furtherFlags) {
  return launchBrowserBy(EXECUTABLE, ...furtherFlags);
}

/** Launches Chromium with another executable, for example a script that starts it elsewhere. */
export function launchBrowserBy(executablePath, ...furtherFlags) {
  return chromium.launch({ executablePath, args: [...FLAGS, ...furtherFlags] });
}

/** Opens a page in a browser context of its own, without shared storage. Collects the page's errors in `errors`. */
export async function newVisitor(browser, options = {}) {
  const context = await browser.newContext({
    locale: "ko-KR",
    viewport: { width: 1280, height: 760 },
    permissions: ["camera", "microphone"],
    ...options,
  });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") page.errors.push(message.text());
  });
  return page;
}

/** Joins a room through the lobby. Resolves with the milliseconds from the click to the first pictures. */
export async function join(page, server, room, name, { pictures = 0, query = "" } = {}) {
  await page.goto(`${server.url}/${query}`);
  await page.getByTestId("name-input").fill(name);
  await page.getByTestId("room-input").fill(room);
  await page.waitForFunction(() => document.querySelector("[data-testid=local-video]")?.videoWidth > 0);
  const elapsed = page.evaluate(timeToPictures, pictures);
  await page.getByTestId("join-button").click();
  return elapsed;
}

/** Runs in the page: the time from the click on "join" until as many remote videos have shown a frame. */
function timeToPictures(pictures) {
  return new Promise((resolve) => {
    let clickedAt;
    const button = document.querySelector("[data-testid=join-button]");
    button.addEventListener("click", () => (clickedAt = performance.now()), { capture: true });
    const look = () => {
      const videos = [...document.querySelectorAll("[data-testid=remote-video]")];
      // Not by counting frames: Firefox does not count those of a peer connection.
      const shown = videos.filter((video) => video.readyState >= video.HAVE_CURRENT_DATA).length;
      if (clickedAt !== undefined && shown >= pictures) resolve(performance.now() - clickedAt);
      else setTimeout(look, 5);
    };
    look();
  });
}

export async function connected(page) {
  await page.locator('[data-testid=connection-state][data-state="connected"]').waitFor({ timeout: 30_000 });
}

/** The media that the page receives: an entry for each remote participant, and the audio of all. */
export function received(page) {
  return page.evaluate(async () => {
    const reports = [...(await window.madang.peerConnection.getStats()).values()];
    const inbound = reports.filter(({ type }) => type === "inbound-rtp");
    const videos = [...document.querySelectorAll("[data-testid=remote-video]")].map((video) => {
      const track = video.srcObject?.getVideoTracks()[0]?.id;
      const report = inbound.find(({ trackIdentifier }) => track && trackIdentifier === track) ?? {};
      const { framesDecoded = 0, frameWidth = 0, frameHeight = 0, freezeCount = 0 } = report;
      return { participant: video.dataset.participant, framesDecoded, frameWidth, frameHeight, freezeCount };
    });
    const sound = inbound.filter(({ kind }) => kind === "audio");
    // Chromium names the selected pair in the transport's report, Firefox in the pair's.
    const inUse = reports.find(({ type }) => type === "transport")?.selectedCandidatePairId;
    const pair = reports.find(
      ({ type, id, selected }) => type === "candidate-pair" && (selected || id === inUse),
    );
    const [local, remote] = [pair?.localCandidateId, pair?.remoteCandidateId].map((wanted) => {
      return reports.find(({ id }) => id === wanted);
    });
    return {
      videos,
      totalAudioEnergy: sound.reduce((sum, { totalAudioEnergy = 0 }) => sum + totalAudioEnergy, 0),
      localCandidateType: local?.candidateType,
      relayProtocol: local?.relayProtocol,
      protocol: local?.protocol,
      remoteAddress: remote?.address,
      remotePort: remote?.port,
    };
  });
}

/** The size of the page's own camera picture. */
export function sentSize(page) {
  return page.evaluate(() => {
    const { width, height } = document
      .querySelector("[data-testid=local-video]")
      .srcObject.getVideoTracks()[0]
      .getSettings();
    return { width, height };
  });
}

/** Asserts that for `seconds` every remote video is decoded and audio is heard. */
export async function assertMediaFlows(page, { from, seconds = 3 }) {
  await page.waitForFunction(
    (count) => {
      const videos = [...document.querySelectorAll("[data-testid=remote-video]")];
      return videos.length === count && videos.every((video) => video.readyState >= video.HAVE_CURRENT_DATA);
    },
    from,
    { timeout: 30_000 },
  );
  const before = await received(page);
  await page.waitForTimeout(seconds * 1_000);
  const after = await received(page);
  assert.equal(after.videos.length, from);
  for (const [index, video] of after.videos.entries()) {
    const frames = video.framesDecoded - before.videos[index].framesDecoded;
    // Ten frames a second are far below what is sent, and far above a stalled stream.
    assert.ok(frames >= 10 * seconds, `${frames} frames of ${video.participant} in ${seconds} s`);
  }
  assert.ok(after.totalAudioEnergy > before.totalAudioEnergy, "no audio is heard");
  return after;
}

export async function say(page, text) {
  await page.getByTestId("chat-input").fill(text);
  await page.getByTestId("chat-send").click();
}

export async function hears(page, text) {
  await page.getByTestId("chat-message").filter({ hasText: text }).waitFor({ timeout: 30_000 });
}
