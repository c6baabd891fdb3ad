/** Key frame requests of one viewer to a publisher that answers none. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { CAMERA, publish, view } from "./peers.mjs";

let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

test("requests that nobody answers become rare", { timeout: 60_000 }, async (t) => {
  const publisher = await publish(t, server, "deaf");
  await publisher.engine.play({ ssrc: CAMERA, mid: "0", isDeaf: true });
  const viewer = await view(t, server, "deaf");

  await new Promise((resolve) => setTimeout(resolve, 30_000));

  const ages = await publisher.engine.keyFrameRequests();
  const [early, late] = [ages.filter((age) => age > 20).length, ages.filter((age) => age < 10).length];
  assert.ok(early > 0, "no request");
  assert.ok(late <= 10, `${late} requests in the last 10 s, after ${early} in the first 10 s`);
});
