/** A peer connection is known by its DTLS fingerprint and ICE credentials, not by the o= line of its offers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { until } from "./member.mjs";
import { CAMERA, CAMERA_LINE, flows, newPeer, publish, view } from "./peers.mjs";

const SCREEN_LINE = { direction: "sendonly", ssrc: 72 };

let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

test("an offer of the same connection under another o= line renegotiates it", { timeout: 60_000 }, async (t) => {
  const publisher = await publish(t, server, "same", { origin: "- 1000 1 IN IP4 127.0.0.1" });
  const viewer = await view(t, server, "same", { slots: 2 });
  await publisher.engine.play({ ssrc: CAMERA, mid: "0" });
  await flows(viewer, publisher);
  const before = ufrag(publisher.answer);

  await publisher.engine.setOrigin("- 1001 2 IN IP4 127.0.0.1");
  await publisher.engine.setLines([CAMERA_LINE, SCREEN_LINE]);
  await publisher.negotiate();

  assert.equal(ufrag(publisher.answer), before);
  await flows(viewer, publisher);
  assert.equal(await publisher.engine.state(), "connected");
});

test("an offer of another connection under the same o= line replaces it", { timeout: 60_000 }, async (t) => {
  const origin = "- 0 0 IN IP4 127.0.0.1";
  const publisher = await publish(t, server, "other", { origin });
  const viewer = await view(t, server, "other");
  await publisher.engine.play({ ssrc: CAMERA, mid: "0" });
  await flows(viewer, publisher);

  const other = await newPeer({ origin });
  t.after(() => other.end());
  const { sdp } = await other.offer();
  const answer = await publisher.request("offer", { sdp });
  assert.equal(answer.type, "answer", answer.message);
  await other.answer(answer.sdp);
  await until("the other connects", async () => (await other.state()) === "connected");
  await publisher.engine.stop(CAMERA);
  await other.play({ ssrc: CAMERA, mid: "0" });

  await flows(viewer, publisher);
});

function ufrag(sdp) {
  return /a=ice-ufrag:(\S+)/.exec(sdp)[1];
}
