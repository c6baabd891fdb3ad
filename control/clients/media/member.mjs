/** A participant of a room: STOMP signalling for the peer connection of a client (docs/protocol.md §3, §4, §7). */
import assert from "node:assert/strict";
import { Client } from "@stomp/stompjs";

import "../websocket.mjs";

/** The longest wait for anything that a test expects, in milliseconds. */
const PATIENCE_MS = 15_000;

/**
 * Connects, and joins the room with the offer of `engine`, which has a peer connection. `engine` is an object with the
 * methods of a client: those of web-engine.mjs. It is closed
 * when it cannot join.
 */
export async function join(server, room, name, engine) {
  const session = await connect(server, room);
  let joined;
  try {
    const { sdp, mids } = await engine.offer();
    joined = await session.request("join", { name, sdp, mids });
    assert.equal(joined.type, "joined", joined.message);
    await engine.answer(joined.answer);
    await until(`${name} connects`, async () => (await engine.state()) === "connected");
  } catch (error) {
    await engine.end();
    await session.close();
    throw error;
  }
  return {
    name,
    id: joined.participant.id,
    /** The SDP of the last answer. */
    answer: joined.answer,
    engine,
    events: session.events,
    /** What was in the slots after each signal about them. */
    showings: session.showings,
    /** Offers again, after `engine` has changed its m-lines. */
    async negotiate() {
      const offer = await engine.offer();
      const answer = await session.request("offer", { sdp: offer.sdp });
      assert.equal(answer.type, "answer", answer.message);
      this.answer = answer.sdp;
      await engine.answer(answer.sdp);
      session.send("sources", { mids: offer.mids });
    },
    /** Sends a request and resolves with its reply, which may be an error. */
    request: session.request,
    /** What this participant has received of a source of another so far; undefined without a slot for it. */
    async received(from, source) {
      const slot = session.showings
        .at(-1)
        ?.find((slot) => slot.participant === from.id && slot.source === source);
      return slot && (await engine.received()).find(({ mid }) => mid === slot.mid);
    },
    async close() {
      try {
        await engine.close();
      } finally {
        await engine.end();
        await session.close();
      }
    },
  };
}

/** A STOMP session that listens to its signals and to the events of a room. */
async function connect(server, room) {
  const client = new Client({
    brokerURL: `${server.url.replace("http", "ws")}/ws`,
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
  });
  await new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = ({ body }) => reject(new Error(body));
    client.onWebSocketError = reject;
    client.activate();
  });
  const replies = new Map();
  const events = [];
  const showings = [];
  let requests = 0;
  await subscribe(client, "/user/queue/signal", (signal, { "correlation-id": id }) => {
    if (signal.slots) showings.push(signal.slots);
    replies.get(id)?.(signal);
  });
  await subscribe(client, `/topic/rooms/${room}/events`, (event) => events.push(event));
  const send = (action, body, headers = {}) => {
    const destination = `/app/rooms/${room}/${action}`;
    client.publish({
      destination,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  };
  return {
    events,
    showings,
    send,
    /** Sends a request and resolves with its reply, which may be an error. */
    request(action, body) {
      const id = `c-${requests++}`;
      const reply = new Promise((resolve) => replies.set(id, resolve));
      send(action, body, { "correlation-id": id });
      return within(PATIENCE_MS, reply, `no reply to ${action}`);
    },
    close: () => client.deactivate(),
  };
}

function subscribe(client, destination, handle) {
  const receipt = `subscribed-${destination}`;
  const subscribed = new Promise((resolve) => client.watchForReceipt(receipt, resolve));
  client.subscribe(destination, ({ body, headers }) => handle(JSON.parse(body), headers), { receipt });
  return within(PATIENCE_MS, subscribed, `no RECEIPT for ${destination}`);
}

/** Waits until `condition` holds, and resolves with what it returned. `what` describes it in the error. */
export async function until(what, condition, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Waits for `promise`; rejects with `message` when that takes too long. */
export async function within(patience, promise, message) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(message)), patience)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
