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
} from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "recovery";

/** A call survives lost networks, server restarts and rooms that fill up. */
describe("a call goes on", () => {
  let server;
  let browser;
  let hana;
  let dul;
  /** Hana's WebSocket, which the test cuts. */
  let hanasSocket;

  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await hana.routeWebSocket(/\/ws$/, (socket) => {
      hanasSocket = socket;
      socket.connectToServer();
    });
    await join(hana, server, ROOM, "김하나");
    await connected(hana);
    await join(dul, server, ROOM, "이두리");
    await connected(dul);
    await assertMediaFlows(dul, { from: 1, seconds: 1 });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("when the control connection is lost and comes back", async () => {
    const [before] = (await received(dul)).videos;

    await hanasSocket.close({ code: 3000 });
    await say(dul, "하나 씨, 들리세요?");

    await hears(hana, "하나 씨, 들리세요?");
    await connected(hana);
    await say(hana, "네, 다시 왔어요");
    await hears(dul, "네, 다시 왔어요");
    const seen = await assertMediaFlows(dul, { from: 1, seconds: 1 });
    assert.equal(seen.videos[0].participant, before.participant, "it is somebody else");
    assert.equal(await hana.getByTestId("chat-message").count(), 2, "messages are missing or shown twice");
    await assertMediaFlows(hana, { from: 1, seconds: 1 });
  });

  test("when ICE starts over", async () => {
    const credentials = () => {
      return window.madang.peerConnection.localDescription.sdp.match(/a=ice-ufrag:(.*)/)[1];
    };
    const before = await hana.evaluate(credentials);

    await hana.evaluate(() => window.madang.restartIce());

    await hana.waitForFunction(
      (before) => {
        const { peerConnection } = window.madang;
        const now = peerConnection.currentLocalDescription.sdp.match(/a=ice-ufrag:(.*)/)[1];
        return now !== before && peerConnection.connectionState === "connected";
      },
      before,
      { timeout: 30_000 },
    );
    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1, seconds: 2 })));
  });

  test("when more people come than there are slots", async () => {
    await dul.evaluate(joinWithoutMedia, { room: ROOM, count: 9 });

    await hana.waitForFunction(() => {
      const { peerConnection } = window.madang;
      const slots = peerConnection.getTransceivers().filter(({ mid, receiver, currentDirection }) => {
        return mid !== null && receiver.track.kind === "video" && currentDirection === "recvonly";
      });
      return slots.length === 16 && peerConnection.signalingState === "stable";
    });
    assert.equal(await hana.getByTestId("participant-count").textContent(), "11");
    await dul.evaluate(() => window.crowd.forEach((socket) => socket.send("DISCONNECT\n\n\0")));
    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1, seconds: 2 })));
  });

  test("when the server restarts", async () => {
    const message = "이 글은 남아 있어야 합니다";
    await say(dul, message);
    await hears(hana, message);

    const pages = [hana, dul];
    const before = await Promise.all(pages.map(shownParticipants));

    await server.restart();

    for (const [index, page] of pages.entries()) {
      // A restarted server has no participants: everybody joins as a new one.
      await page.waitForFunction((before) => {
        const shown = [...document.querySelectorAll("[data-testid=remote-video]")];
        return shown.length === 1 && !before.includes(shown[0].dataset.participant);
      }, before[index]);
      await connected(page);
    }
    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1, seconds: 2 })));
    assert.equal(await dul.getByTestId("chat-message").filter({ hasText: message }).count(), 1);
    await say(hana, "다시 연결됐네요");
    await hears(dul, "다시 연결됐네요");
  });
});

function shownParticipants(page) {
  return page
    .getByTestId("remote-video")
    .evaluateAll((videos) => videos.map((video) => video.dataset.participant));
}

/** Runs in a page: lets `count` participants without media join. */
function joinWithoutMedia({ room, count }) {
  window.crowd = [];
  const join = (index) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.host}/ws`, ["v12.stomp"]);
      window.crowd.push(socket);
      socket.onopen = () => {
        socket.send("CONNECT\naccept-version:1.2\nhost:x\n\n\0");
        socket.send("SUBSCRIBE\nid:0\ndestination:/user/queue/signal\n\n\0");
        socket.send(`SEND\ndestination:/app/rooms/${room}/join\n\n{"name":"Guest ${index}"}\0`);
      };
      socket.onmessage = ({ data }) => data.includes('"joined"') && resolve();
    });
  return Promise.all(Array.from({ length: count }, (_, index) => join(index)));
}
