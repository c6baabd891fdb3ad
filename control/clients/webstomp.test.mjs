/** `webstomp-client` against the real server. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import webstomp from "webstomp-client";

import "./websocket.mjs";
import { startServer } from "../../web/e2e/server.mjs";

let server;

before(async () => {
  server = await startServer();
});

after(() => server.stop());

for (const version of ["1.0", "1.1", "1.2"]) {
  test(`STOMP ${version}: subscribe with a receipt, send, disconnect`, async () => {
    const url = `${server.url.replace("http", "ws")}/ws`;
    const client = webstomp.client(url, { debug: false, heartbeat: false, protocols: [`v${version.replace(".", "")}.stomp`] });
    await new Promise((resolve, reject) => client.connect({ "accept-version": version }, resolve, reject));
    const subscribed = new Promise((resolve) => (client.onreceipt = resolve));
    const message = new Promise((resolve) => {
      client.subscribe("/sub/chat", resolve, { id: "s", receipt: "r" });
    });
    assert.equal((await subscribed).headers["receipt-id"], "r");

    client.send("/sub/chat", '{"말":"안녕"}', { "content-type": "application/json" });

    assert.equal((await message).body, '{"말":"안녕"}');
    await new Promise((resolve) => client.disconnect(resolve));
  });
}
