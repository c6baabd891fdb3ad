/** The example `bot` of control/wire against the real server. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@stomp/stompjs";

import "./websocket.mjs";
import { startProgram } from "../../web/e2e/process.mjs";
import { startServer } from "../../web/e2e/server.mjs";

const BOT = fileURLToPath(new URL("../../target/debug/examples/bot", import.meta.url));
const ROOM = "봇-시험";

let server;
let visitor;

before(async () => {
  if (!existsSync(BOT)) {
    throw new Error(`${BOT} is missing: run \`cargo build -p madang-wire --example bot\` first`);
  }
  server = await startServer({ settings: { MADANG_AUTH__REQUIRED: "true" } });
  visitor = await enter(await server.token("--room", ROOM, "--name", "이두리"));
});

after(async () => {
  await visitor?.client.deactivate();
  await server?.stop();
});

test("the bot greets, answers !time, and leaves on Ctrl-C", async () => {
  const url = `${server.url.replace("http", "ws")}/ws`;
  const env = { ...process.env, TOKEN: await server.token("--room", ROOM, "--name", "Time bot") };
  const bot = await startBot([url, ROOM], env);
  const greeting = await visitor.chat.next();
  assert.match(greeting.text, /!time/);
  await visitor.events.next(isAbout("participant_joined", greeting.from.id));

  visitor.say("!time");
  assert.equal((await visitor.chat.next()).text, "!time");
  const answer = await visitor.chat.next();
  assert.equal(answer.from.id, greeting.from.id);
  assert.match(answer.text, /^It is \d{4}-\d{2}-\d{2}T.*Z\.$/);

  assert.equal(await bot.stop("SIGINT"), 0, bot.output());
  const left = await visitor.events.next(isAbout("participant_left", greeting.from.id));
  assert.equal(left.reason, "left");
});

test("without a token the bot says why the server refused it", async () => {
  const url = `${server.url.replace("http", "ws")}/ws`;
  const bot = await startBot([url, ROOM], process.env);

  await bot.prints(/Error: ".*token.*"/);

  assert.equal(await bot.exited(), 1);
});

function startBot(args, env) {
  return startProgram([BOT, ...args], { ready: /^/, env });
}

function isAbout(event, id) {
  return ({ type, participant }) => type === event && participant.id === id;
}

/** Somebody in the room who reads its chat and its events. */
async function enter(token) {
  const client = new Client({
    brokerURL: `${server.url.replace("http", "ws")}/ws`,
    connectHeaders: { Authorization: `Bearer ${token}` },
    reconnectDelay: 0,
  });
  await new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = ({ body }) => reject(new Error(body));
    client.activate();
  });
  const publish = (action, body) => {
    client.publish({ destination: `/app/rooms/${ROOM}/${action}`, body: JSON.stringify(body) });
  };
  const signals = inbox(client, "/user/queue/signal");
  publish("join", { name: "이두리" });
  await signals.next(({ type }) => type === "joined");
  const [chat, events] = ["chat", "events"].map((topic) => inbox(client, `/topic/rooms/${ROOM}/${topic}`));
  return { client, chat, events, say: (text) => publish("chat", { text }) };
}

/** The messages of a subscription: `next` takes the next one that fits. */
function inbox(client, destination) {
  const arrived = [];
  let wake = () => {};
  client.subscribe(destination, ({ body }) => {
    arrived.push(JSON.parse(body));
    wake();
  });
  return {
    async next(fits = () => true) {
      for (;;) {
        while (arrived.length > 0) {
          const message = arrived.shift();
          if (fits(message)) return message;
        }
        await new Promise((resolve) => (wake = resolve));
      }
    },
  };
}
