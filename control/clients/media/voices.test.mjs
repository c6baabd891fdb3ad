/** More people who speak than a listener has slots for, in Chromium. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { launchChromium } from "./browsers.mjs";
import { join, until } from "./member.mjs";

const ROOM = "voices";
const SLOTS = 2;
/** Hertz. */
const VOICES = { low: 300, middle: 500, high: 800 };
const LISTENED_MS = 10_000;

let server;
let chromium;
let listener;
const speakers = [];

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  const enter = async (name, options) => {
    const engine = await chromium.newEngine(server);
    await engine.open(options);
    return join(server, ROOM, name, engine);
  };
  for (const [name, voice] of Object.entries(VOICES)) speakers.push(await enter(name, { voice }));
  listener = await enter("listener", { audioSlots: SLOTS });
  await listener.request("view", { slots: [] });
});

after(async () => {
  for (const member of [...speakers, listener]) await member?.close();
  await chromium?.close();
  await server?.stop();
});

test("a slot keeps its voice while three people speak at once", { timeout: 60_000 }, async (t) => {
  await until("both slots are heard", async () => (await heard()).length === SLOTS);
  const signals = listener.showings.length;
  const before = listener.showings.at(-1);

  await new Promise((resolve) => setTimeout(resolve, LISTENED_MS));

  const after = listener.showings.slice(signals);
  const changes = [before, ...after].slice(1).map((slots, at) => changed([before, ...after][at], slots));
  const total = changes.reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${after.length} signals, ${total} changes of ${SLOTS} slots in ${LISTENED_MS} ms`);
  // A slot that takes any newcomer changes 50 times a second.
  assert.ok(total <= 6, `${total} changes`);
  assert.equal((await heard()).length, SLOTS);
});

test("the third is heard when one of the others stops", { timeout: 60_000 }, async () => {
  const [silent, other] = await heard();
  const third = speakers.find((speaker) => speaker !== silent && speaker !== other);

  await silent.engine.setLoudness(0);

  await until("the third is heard", async () => (await heard()).includes(third));
  const now = await heard();
  assert.ok(now.includes(other) && !now.includes(silent), now.map(({ name }) => name).join(" and "));
});

/** How many audio slots carry another voice than before. */
function changed(before, after) {
  const voices = (slots) => new Map(slots.filter(isVoice).map(({ mid, participant }) => [mid, participant]));
  const [old, current] = [voices(before), voices(after)];
  return [...current].filter(([mid, participant]) => old.get(mid) !== participant).length;
}

function isVoice({ source }) {
  return source === "microphone";
}

/** The speakers whose voices sound in the listener's slots, within the next half second. */
async function heard() {
  const energies = () => Promise.all(speakers.map((speaker) => listener.received(speaker, "microphone")));
  const before = await energies();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const after = await energies();
  return speakers.filter((_, at) => after[at] && after[at].energy > (before[at]?.energy ?? Infinity));
}
