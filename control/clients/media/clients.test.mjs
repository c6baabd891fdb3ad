/**
 * WebRTC clients of others against the real server: each ability of each client is a test. Chromium is in the room with
 * each of them, sees and hears them, and is seen and heard.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { launchChromium, launchFirefoxEsr } from "./browsers.mjs";
import { join, until } from "./member.mjs";

const CLIENTS = [
  { name: "Chromium", launch: launchChromium },
  { name: "Firefox", launch: launchFirefoxEsr },
];

/** The widths of the picture, with one simulcast layer and with two. */
const WIDTHS = [320, 640];

let server;
let chromium;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

for (const [index, { name, launch, cannot = {} }] of CLIENTS.entries()) {
  describe(name, () => {
    let launched;
    let viewer;
    let client;

    before(async () => {
      launched = await launch();
      viewer = await enter(await chromium.newEngine(server), "viewer", { audioSlots: 2, videoSlots: 2 });
    });

    after(async () => {
      await client?.close();
      await viewer?.close();
      await launched?.close();
    });

    const ability = (what, run) => {
      if (!(what in cannot)) test(what, { timeout: 40_000 }, run);
    };

    ability("join", async () => {
      const simulcast = !("simulcast" in cannot);
      client = await enter(await launched.newEngine(server), "client", { audioSlots: 1, videoSlots: 1, simulcast });
    });

    ability("publish audio", () => arrives(viewer, client, "microphone"));

    ability("publish video", () => arrives(viewer, client, "camera"));

    ability("simulcast", async () => {
      for (const layers of [2, 1]) {
        await client.engine.sendLayers(layers);
        await until(`${layers} layers`, async () => (await viewer.received(client, "camera")).width === WIDTHS[layers - 1]);
      }
      await client.engine.sendLayers(2);
    });

    ability("receive audio", () => arrives(client, viewer, "microphone"));

    ability("receive video", () => arrives(client, viewer, "camera"));

    ability("mute", async () => {
      await client.engine.pause();
      await client.negotiate();
      for (const source of ["microphone", "camera"]) await ends(viewer, client, source);
      await client.engine.resume();
      await client.negotiate();
      for (const source of ["microphone", "camera"]) await arrives(viewer, client, source);
    });

    ability("add an m-line", async () => {
      await client.engine.addScreen();
      await client.negotiate();
      for (const source of ["screen", "camera"]) await arrives(viewer, client, source);
    });

    ability("remove an m-line", async () => {
      await client.engine.removeScreen();
      await client.negotiate();
      await ends(viewer, client, "screen");
      await arrives(viewer, client, "camera");
    });

    ability("restart ICE", async () => {
      const before = ufrag(client);
      await client.engine.restartIce();
      await client.negotiate();
      assert.notEqual(ufrag(client), before);
      await arrives(viewer, client, "camera");
      await arrives(client, viewer, "camera");
    });

    ability("leave", async () => {
      assert.equal((await client.leave()).type, "left");
      const isGoodbye = ({ type, participant }) => type === "participant_left" && participant.id === client.id;
      await until("the goodbye", () => viewer.events.some(isGoodbye));
      await ends(viewer, client, "camera");
    });
  });

  async function enter(engine, who, options) {
    await engine.open(options);
    return join(server, `clients-${index}`, who, engine);
  }
}

/** Waits until `viewer` decodes a source of `publisher`, or gets more packets of it in a client without a decoder. */
async function arrives(viewer, publisher, source) {
  const seen = async () => {
    const { packets = 0, frames = packets } = (await viewer.received(publisher, source)) ?? {};
    return source === "microphone" ? packets : frames;
  };
  const what = `${viewer.name} gets the ${source} of ${publisher.name}`;
  const before = await until(what, seen);
  await until(`${what} continuously`, async () => (await seen()) > before + 10);
}

/** Waits until `viewer` has no slot with that source. */
async function ends(viewer, publisher, source) {
  const what = `${viewer.name} no longer gets the ${source} of ${publisher.name}`;
  await until(what, async () => (await viewer.received(publisher, source)) === undefined);
}

function ufrag({ answer }) {
  return /a=ice-ufrag:(\S+)/.exec(answer)[1];
}
