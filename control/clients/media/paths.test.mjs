/** One sign of life is enough, and media follows the path that works. The tests wait for the end of consent: 30 s. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { CAMERA, flows, publish, view } from "./peers.mjs";

/** Consent has run out for certain, in milliseconds (RFC 7675 §5.1: 30 s). */
const CONSENT_IS_OVER = 34_000;

let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

describe("media goes on", { concurrency: true }, () => {
  test("from a publisher that sends no checks", { timeout: 60_000 }, async (t) => {
    const { publisher, viewer } = await call(t, "unchecked");

    await publisher.engine.stopChecks();
    await passes(CONSENT_IS_OVER);

    await flows(viewer, publisher);
    assert.equal(await publisher.engine.state(), "connected");
  });

  test("when the answer to an ICE restart is lost", { timeout: 60_000 }, async (t) => {
    const { publisher, viewer } = await call(t, "lost-answer");

    await publisher.engine.restartIce();
    const { sdp } = await publisher.engine.offer();
    const answer = await publisher.request("offer", { sdp });
    assert.equal(answer.type, "answer", answer.message);
    await passes(CONSENT_IS_OVER);

    await flows(viewer, publisher);
    assert.equal(await publisher.engine.state(), "connected");
  });

  test("on the path of a viewer that nominated a dead one as well", { timeout: 60_000 }, async (t) => {
    const { publisher, viewer } = await call(t, "dead-path");

    await viewer.engine.nominateElsewhere();

    const signsOfLife = setInterval(() => viewer.engine.requestKeyFrame(), 500);
    await flows(viewer, publisher, { count: 150, patience: 13_000 });
    clearInterval(signsOfLife);
  });

  test("after an ICE restart", { timeout: 60_000 }, async (t) => {
    const { publisher, viewer } = await call(t, "restart");

    await publisher.engine.restartIce();
    await publisher.negotiate();
    await passes(CONSENT_IS_OVER);

    await flows(viewer, publisher);
  });
});

/** A publisher whose camera a viewer receives. */
async function call(t, room) {
  const publisher = await publish(t, server, room);
  const viewer = await view(t, server, room);
  await publisher.engine.play({ ssrc: CAMERA, mid: "0" });
  await flows(viewer, publisher);
  return { publisher, viewer };
}

function passes(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
