import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, join, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";

/** Browsers that decode different codecs. */
describe("a viewer who decodes VP8 alone", () => {
  let server;
  let browser;
  const pages = [];

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function visitor(...codecs) {
    const page = await newVisitor(browser);
    await page.addInitScript(offerOnly, codecs);
    pages.push(page);
    return page;
  }

  test("sees a publisher who can send VP8, too", async () => {
    const publisher = await visitor("video/H264", "video/VP8");
    const viewer = await visitor("video/VP8");
    await join(publisher, server, "change", "publisher");
    await connected(publisher);
    await publisher.waitForFunction(sends, "video/H264", { timeout: 30_000 });

    await join(viewer, server, "change", "viewer", { pictures: 1 });

    await publisher.waitForFunction(sends, "video/VP8", { timeout: 30_000 });
    // The server sees the change a moment after the publisher.
    await viewer.locator(".tile-note:visible").first().waitFor({ state: "hidden", timeout: 30_000 });
    assert.equal(await viewer.locator(".tile-note:visible").count(), 0);
  });

  test("reads why a publisher cannot be seen who sends H264 alone", async () => {
    const publisher = await visitor("video/H264");
    const viewer = await visitor("video/VP8");
    await join(publisher, server, "never", "publisher");
    await connected(publisher);

    await join(viewer, server, "never", "viewer");

    const note = viewer.locator(".tile:has([data-testid=remote-video]) .tile-note");
    await note.waitFor({ state: "visible", timeout: 30_000 });
    assert.equal(await note.textContent(), "이 브라우저에서는 이 영상을 재생할 수 없어요.");
  });

  test("no page complained", () => {
    assert.deepEqual(pages.map(({ errors }) => errors).flat(), []);
  });
});

/** Runs in the page before its own scripts: offers these video codecs alone, the preferred one first. */
function offerOnly(mimeTypes) {
  const { setCodecPreferences } = RTCRtpTransceiver.prototype;
  RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
    const isVideo = codecs.some(({ mimeType }) => mimeType.startsWith("video/"));
    const named = mimeTypes.flatMap((name) => codecs.filter(({ mimeType }) => mimeType === name));
    const rtx = codecs.filter(({ mimeType }) => mimeType === "video/rtx");
    return setCodecPreferences.call(this, isVideo ? [...named, ...rtx] : codecs);
  };
}

async function sends(mimeType) {
  const reports = await window.madang.peerConnection.getStats();
  const outbound = [...reports.values()].filter(({ type, kind, active, framesEncoded }) => {
    return type === "outbound-rtp" && kind === "video" && active !== false && framesEncoded > 0;
  });
  const used = outbound.map(({ codecId }) => reports.get(codecId)?.mimeType);
  return used.length > 0 && used.every((each) => each === mimeType);
}
