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

test("a megabyte in Hangul, to a destination in Hangul, in pieces of 16 KiB", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/소식");
  const body = "한글".repeat(170_000);

  client.send("/topic/소식", body);

  const message = await inbox.next();
  assert.equal(message.headers.destination, "/topic/소식");
  assert.equal(message.body, body);
});

test("what is refused goes to another, what is acknowledged to nobody", async () => {
  const [first, second] = [await connect(), await connect()];
  const inbox = await subscribe(first, "/queue/web", { ack: "client-individual" });
  for (const body of ["one", "two"]) first.send("/queue/web", body);
  const [one, two] = [await inbox.next(), await inbox.next()];
  const others = await subscribe(second, "/queue/web");

  one.ack();
  two.nack();

  assert.equal((await others.next()).body, "two");
  await new Promise((resolve) => first.disconnect(resolve));
  second.send("/queue/web", "three");
  assert.equal((await others.next()).body, "three");
});

test("a transaction is carried out as a whole, or not at all", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/web-tx");
  for (const end of ["abort", "commit"]) {
    const transaction = client.begin();
    client.send("/topic/web-tx", end, { transaction: transaction.id });
    transaction[end]();
  }

  assert.equal((await inbox.next()).body, "commit");
});

test("heart-beats of a second are held", async () => {
  const client = await connect({ heartbeat: { incoming: 1_000, outgoing: 1_000 } });
  const closed = new Promise((resolve) => client.ws.addEventListener("close", () => resolve("closed")));

  const outcome = await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 4_000, "open"))]);

  assert.equal(outcome, "open");
  await new Promise((resolve) => client.disconnect(resolve));
});

test("a violation ends the connection with an ERROR that says why", async () => {
  const client = await connect();
  const error = new Promise((resolve) => (client.onerror = resolve));

  client.send("/topic/a", "x", { transaction: "never-begun" });

  assert.match((await error).body, /no transaction "never-begun" is open/);
});

async function connect(settings = {}) {
  const url = `${server.url.replace("http", "ws")}/ws`;
  const client = webstomp.client(url, { debug: false, heartbeat: false, ...settings });
  const failed = (reject) => (error) => (reject(error), client.onerror?.(error));
  await new Promise((resolve, reject) => client.connect({}, resolve, failed(reject)));
  return client;
}

/** Subscribes and waits for the RECEIPT; `next` waits for the next message. */
async function subscribe(client, destination, headers = {}) {
  const arrived = [];
  const waiting = [];
  const subscribed = new Promise((resolve) => (client.onreceipt = resolve));
  const put = (message) => (waiting.length ? waiting.shift()(message) : arrived.push(message));
  client.subscribe(destination, put, { receipt: `subscribed-${destination}`, ...headers });
  await subscribed;
  return {
    next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve))),
  };
}
