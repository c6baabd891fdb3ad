/** Chromium with a fake camera and microphone, and what tests ask of a page. */
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

/** The same by a program that starts it in its own way. */
export function launchBrowserBy(executablePath, ...furtherFlags) {
  return chromium.launch({ executablePath, args: [...FLAGS, ...furtherFlags] });
}

/** A visitor of their own: no storage shared with the others. Errors of the page fail the test at `leaveBehind`. */
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

/** Goes into a room as a person would. Resolves with the milliseconds from the click to the first pictures. */
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
      // Firefox counts no frames of what comes over a connection.
      const shown = videos.filter((video) => video.readyState >= video.HAVE_CURRENT_DATA).length;
      if (clickedAt !== undefined && shown >= pictures) resolve(performance.now() - clickedAt);
      else setTimeout(look, 5);
    };
    look();
  });
}

export async function connected(page) {
  await page.locator('[data-testid=connection-state][data-state="connected"]').waitFor({ timeout: 10_000 });
}

/** What the page receives: one entry per remote participant, and the sound of all. */
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
    // Chromium names the pair in use at the transport, Firefox at the pair.
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

/** The size that a page's own camera delivers. */
export function sentSize(page) {
  return page.evaluate(() => {
    const { width, height } = document
      .querySelector("[data-testid=local-video]")
      .srcObject.getVideoTracks()[0]
      .getSettings();
    return { width, height };
  });
}

/** Watches for `seconds`: every remote video goes on being decoded, and there is something to hear. */
export async function assertMediaFlows(page, { from, seconds = 3 }) {
  await page.waitForFunction(
    (count) => {
      const videos = [...document.querySelectorAll("[data-testid=remote-video]")];
      return videos.length === count && videos.every((video) => video.readyState >= video.HAVE_CURRENT_DATA);
    },
    from,
    { timeout: 10_000 },
  );
  const before = await received(page);
  await page.waitForTimeout(seconds * 1_000);
  const after = await received(page);
  assert.equal(after.videos.length, from);
  for (const [index, video] of after.videos.entries()) {
    const frames = video.framesDecoded - before.videos[index].framesDecoded;
    // Ten a second is far below what is sent, and far above what a stalled stream has.
    assert.ok(frames >= 10 * seconds, `${frames} frames of ${video.participant} in ${seconds} s`);
  }
  assert.ok(after.totalAudioEnergy > before.totalAudioEnergy, "nothing is heard");
  return after;
}

export async function say(page, text) {
  await page.getByTestId("chat-input").fill(text);
  await page.getByTestId("chat-send").click();
}

export async function hears(page, text) {
  await page.getByTestId("chat-message").filter({ hasText: text }).waitFor({ timeout: 5_000 });
}
