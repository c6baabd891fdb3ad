/** SRTP state belongs to the keys, not to an m-line: a stream goes on whatever its m-line did in between. */
import { after, before, describe, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { CAMERA, CAMERA_LINE, flows, publish, view } from "./peers.mjs";

/** Offers for a camera that is off. */
const OFF = {
  inactive: { direction: "inactive" },
  recvonly: { direction: "recvonly" },
  "port 0": { direction: "inactive", port: 0 },
};

let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

describe("a camera that is off and on again after its sequence numbers wrapped", { concurrency: true }, () => {
  for (const [name, line] of Object.entries(OFF)) {
    test(name, { timeout: 60_000 }, async (t) => {
      const room = `wrapped-${name.replaceAll(" ", "-")}`;
      const lines = [CAMERA_LINE, { direction: "recvonly" }];
      const publisher = await publish(t, server, room, { lines });
      const viewer = await view(t, server, room);
      await publisher.engine.play({ ssrc: CAMERA, mid: "0", first: 65_500 });
      await flows(viewer, publisher, { count: 90 });
      await publisher.engine.stop(CAMERA);

      await publisher.engine.setLines([line, lines[1]]);
      await publisher.negotiate();
      await publisher.engine.setLines(lines);
      await publisher.negotiate();
      await publisher.engine.play({ ssrc: CAMERA, mid: "0" });

      await flows(viewer, publisher);
    });
  }
});
