/** `@stomp/stompjs` against the real server. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, Versions } from "@stomp/stompjs";

import "./websocket.mjs";
import { startServer } from "../../web/e2e/server.mjs";

let server;
const open = new Set();

before(async () => {
  server = await startServer();
});

after(async () => {
  await Promise.all([...open].map((client) => client.deactivate()));
  await server.stop();
});

for (const version of ["1.0", "1.1", "1.2"]) {
  test(`STOMP ${version}: what is sent comes back`, async () => {
    const client = await connect({ stompVersions: new Versions([version]) });
    assert.equal(client.connectedVersion, version);
    const inbox = await subscribe(client, `/topic/version-${version}`);

    client.publish({ destination: `/topic/version-${version}`, body: "안녕: \\ \n", headers: { "x-note": "a" } });

    const message = await inbox.next();
    assert.equal(message.body, "안녕: \\ \n");
    assert.equal(message.headers["x-note"], "a");
  });
}

test("the tutorials' exchange", async () => {
  const [a, b] = [await connect(), await connect()];
  const inbox = await subscribe(a, "/topic/chat/room/5");
  const body = '{"chatRoomId":5,"type":"MESSAGE","writer":"clientB"}';

  b.publish({ destination: "/pub/chat", body });

  assert.equal((await inbox.next()).body, body);
});

test("a pattern gets what it stands for", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/news/*/kr");

  client.publish({ destination: "/topic/news/a/us", body: "no" });
  client.publish({ destination: "/topic/news/a/kr", body: "yes" });

  assert.equal((await inbox.next()).body, "yes");
});

test("bytes and a megabyte arrive as they were", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/bytes");
  const bytes = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 7) % 256);

  client.publish({ destination: "/topic/bytes", binaryBody: bytes, headers: { "content-type": "application/octet-stream" } });

  assert.deepEqual(Buffer.from((await inbox.next()).binaryBody), Buffer.from(bytes));
});

test("what is not acknowledged goes to somebody else", async () => {
  const [first, second] = [await connect(), await connect()];
  const firstInbox = await subscribe(first, "/queue/work", { ack: "client-individual" });
  first.publish({ destination: "/queue/work", body: "one" });
  const message = await firstInbox.next();
  const secondInbox = await subscribe(second, "/queue/work", { ack: "client" });

  message.nack();

  const again = await secondInbox.next();
  assert.equal(again.body, "one");
  again.ack();
});

test("a consumer that goes leaves its messages to the others", async () => {
  const [first, second] = [await connect(), await connect()];
  const firstInbox = await subscribe(first, "/queue/inheritance", { ack: "client" });
  first.publish({ destination: "/queue/inheritance", body: "one" });
  await firstInbox.next();
  const secondInbox = await subscribe(second, "/queue/inheritance");

  await first.deactivate();

  assert.equal((await secondInbox.next()).body, "one");
});

test("a transaction is carried out as a whole, or not at all", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/transactions");
  const dropped = client.begin();
  client.publish({ destination: "/topic/transactions", body: "dropped", headers: { transaction: dropped.id } });
  dropped.abort();
  const kept = client.begin();
  client.publish({ destination: "/topic/transactions", body: "kept", headers: { transaction: kept.id } });
  client.publish({ destination: "/topic/transactions", body: "outside" });
  kept.commit();

  assert.equal((await inbox.next()).body, "outside");
  assert.equal((await inbox.next()).body, "kept");
});

test("another user's queue is that user's alone", async () => {
  const [alice, bob] = [await connect(), await connect()];
  const inbox = await subscribe(alice, "/user/queue/notes");
  const others = await subscribe(bob, "/user/queue/notes");

  bob.publish({ destination: `/user/${alice.userName}/queue/notes`, body: "for Alice" });

  assert.equal((await inbox.next()).body, "for Alice");
  assert.equal(others.length(), 0);
});

test("heart-beats keep a silent connection", async () => {
  const client = await connect({ heartbeatIncoming: 10_000, heartbeatOutgoing: 10_000 });
  await new Promise((resolve) => setTimeout(resolve, 21_000));

  const inbox = await subscribe(client, "/topic/still-here");
  client.publish({ destination: "/topic/still-here", body: "yes" });
  assert.equal((await inbox.next()).body, "yes");
});

test("heart-beats of a second are held", async () => {
  const heard = [];
  const client = await connect({
    heartbeatIncoming: 1_000,
    heartbeatOutgoing: 1_000,
    debug: (line) => line.includes("PONG") && heard.push(line),
  });
  const closed = new Promise((resolve) => (client.onWebSocketClose = () => resolve("closed")));

  // The client closes a connection that has been silent for twice the interval.
  const outcome = await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 5_000, "open"))]);

  assert.equal(outcome, "open");
  assert.ok(heard.length >= 3, `${heard.length} heart-beats in 5 s`);
});

test("a receipt follows what was sent, and the last one is the goodbye's", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/소식/서울");
  const receipts = [];
  client.watchForReceipt("sent", () => receipts.push("sent"));

  client.publish({ destination: "/topic/소식/서울", body: "눈이 온다", headers: { receipt: "sent" } });
  const message = await inbox.next();
  const goodbye = new Promise((resolve) => (client.onDisconnect = resolve));
  await client.deactivate();

  assert.equal(message.body, "눈이 온다");
  assert.equal(message.headers.destination, "/topic/소식/서울");
  assert.ok((await goodbye).headers["receipt-id"]);
  assert.deepEqual(receipts, ["sent"]);
});

test("an aborted transaction takes back what it sent and acknowledged", async () => {
  const [first, second] = [await connect(), await connect()];
  const results = await subscribe(second, "/topic/results");
  const work = await subscribe(first, "/queue/할일", { ack: "client-individual" });
  first.publish({ destination: "/queue/할일", body: "one" });
  const message = await work.next();
  const transaction = first.begin();
  first.publish({ destination: "/topic/results", body: "dropped", headers: { transaction: transaction.id } });
  message.ack({ transaction: transaction.id });

  transaction.abort();
  await first.deactivate();
  const inherited = await subscribe(second, "/queue/할일");
  second.publish({ destination: "/topic/results", body: "last" });

  assert.equal((await inherited.next()).body, "one");
  assert.equal((await results.next()).body, "last");
});

test("ten bodies of a megabyte of text keep their order", async () => {
  const client = await connect();
  const inbox = await subscribe(client, "/topic/large");
  const body = (number) => `${number}${"한".repeat(349_000)}`;

  for (let number = 0; number < 10; number++) client.publish({ destination: "/topic/large", body: body(number) });

  for (let number = 0; number < 10; number++) assert.equal((await inbox.next()).body, body(number));
});

test("a protocol violation is answered with an ERROR", async () => {
  const client = await connect();
  const error = new Promise((resolve) => {
    client.onStompError = resolve;
  });

  client.publish({ destination: "/topic/a", body: "x", headers: { transaction: "never-begun" } });

  assert.equal((await error).headers.message, "bad transaction");
});

test("a client that lost its server comes back to the next", async () => {
  const client = await connect({ reconnectDelay: 100 });
  const bodies = [];
  const again = new Promise((resolve) => {
    client.onConnect = () => {
      client.watchForReceipt("subscribed", () => client.publish({ destination: "/topic/again", body: "다시" }));
      client.subscribe("/topic/again", ({ body }) => resolve(bodies.push(body)), { receipt: "subscribed" });
    };
  });

  await server.restart();

  await again;
  assert.deepEqual(bodies, ["다시"]);
});

async function connect(settings = {}) {
  const client = new Client({
    brokerURL: `${server.url.replace("http", "ws")}/ws`,
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    ...settings,
  });
  open.add(client);
  client.userName = await new Promise((resolve, reject) => {
    client.onConnect = (frame) => resolve(frame.headers["user-name"]);
    client.onWebSocketError = reject;
    client.activate();
  });
  return client;
}

/** Subscribes and waits for the RECEIPT; `next` waits for the next message. */
async function subscribe(client, destination, headers = {}) {
  const arrived = [];
  const waiting = [];
  const receipt = `subscribed-${Math.random()}`;
  const subscribed = new Promise((resolve) => client.watchForReceipt(receipt, resolve));
  client.subscribe(
    destination,
    (message) => {
      const resolve = waiting.shift();
      if (resolve) resolve(message);
      else arrived.push(message);
    },
    { receipt, ...headers },
  );
  await subscribed;
  return {
    next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve))),
    length: () => arrived.length,
  };
}
