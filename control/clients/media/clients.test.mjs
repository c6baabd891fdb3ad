/**
 * WebRTC clients of others against the real server: each ability of each client is a test. Chromium is in the room with
 * each of them, sees and hears them, and is seen and heard.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { python } from "../python.mjs";
import { launchChromium, launchFirefoxEsr, serverAndChromium } from "./browsers.mjs";
import { join, until } from "./member.mjs";
import { launchProgram } from "./program.mjs";
import { format, write, written, writtenVersion } from "./table.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Built by `cargo build --examples`. */
const WEBRTC_RS = new URL("../../../target/debug/examples/webrtc_rs_client", import.meta.url);

const ABILITIES = [
  "join",
  "publish audio",
  "publish video",
  "simulcast",
  "receive audio",
  "receive video",
  "mute",
  "renegotiate twice",
  "restart ICE",
  "leave",
];

/**
 * The clients. `cannot` says of an ability why the client itself lacks it. Those of Debian are whichever version the
 * machine has.
 */
const CLIENTS = [
  { name: "Chromium", isDebians: true, launch: launchChromium },
  { name: "Firefox", isDebians: true, launch: launchFirefoxEsr },
  { name: "@roamhq/wrtc", launch: () => launchProgram(process.execPath, `${HERE}wrtc_client.mjs`) },
  {
    name: "aiortc",
    launch: () => launchProgram(python(), `${HERE}aiortc_client.py`),
    cannot: {
      simulcast: "aiortc does not send simulcast",
      "restart ICE": "aiortc has no ICE restart",
    },
  },
  {
    name: "GStreamer webrtcbin",
    isDebians: true,
    launch: () => launchProgram("/usr/bin/python3", `${HERE}webrtcbin_client.py`),
    cannot: {
      simulcast: "webrtcbin 1.22 does not send simulcast",
      mute: "webrtcbin 1.22 does not take an m-line back that was inactive",
      "restart ICE": "webrtcbin 1.22 has no ICE restart",
    },
  },
  {
    name: "werift",
    launch: () => launchProgram(process.execPath, `${HERE}werift_client.mjs`),
    cannot: {
      simulcast: "werift does not send simulcast",
      "restart ICE": "werift starts no connectivity checks while DTLS is connected",
    },
  },
  { name: "webrtc-rs", launch: () => launchProgram(fileURLToPath(WEBRTC_RS)) },
];

/** Whether the run writes the table instead of comparing it. */
const isToWrite = process.env.WRITE_TABLE !== undefined;

/** The width of each client's camera. A second simulcast layer is half as wide. */
const WIDTH = 640;

/** The rows of the table in docs/clients.md. */
const rows = [];

const started = serverAndChromium();

for (const [index, { name, launch, isDebians, cannot = {} }] of CLIENTS.entries()) {
  describe(name, () => {
    const row = { name, version: undefined, found: { ...cannot } };
    rows.push(row);
    let launched;
    let viewer;
    /** A promise of the client. */
    let client;

    before(async () => {
      launched = await launch();
      row.version = isDebians && !isToWrite ? writtenVersion(name) : launched.version;
      viewer = await enter(await started.chromium.newEngine(started.server), "viewer", {
        audioSlots: 2,
        videoSlots: 2,
      });
    });

    after(async () => {
      await (await client?.catch(() => {}))?.close();
      await viewer?.close();
      await launched?.close();
    });

    /**
     * A test with the client in the room. After one that fails, the client joins again, so that the next can pass; when
     * joining fails, all do.
     */
    const ability = (what, run) => {
      if (what in cannot) return;
      test(what, { timeout: 60_000 }, async () => {
        client ??= enter(await launched.newEngine(started.server), "client", {
          audioSlots: 1,
          videoSlots: 1,
          simulcast: !("simulcast" in cannot),
        });
        const joined = await client;
        try {
          await run(joined);
          row.found[what] = true;
        } catch (error) {
          client = undefined;
          await joined.close().catch(() => {});
          throw error;
        }
      });
    };

    ability("join", () => {});

    ability("publish audio", (client) => arrives(viewer, client, "microphone"));

    ability("publish video", (client) => arrives(viewer, client, "camera"));

    ability("simulcast", async (client) => {
      const width = async () => (await viewer.received(client, "camera"))?.width ?? 0;
      await until("the larger layer", async () => (await width()) === WIDTH);
      await client.engine.sendLayers(1);
      await until("the smaller layer", async () => (await width()) < WIDTH);
      await arrives(viewer, client, "camera");
      await client.engine.sendLayers(2);
    });

    ability("receive audio", (client) => arrives(client, viewer, "microphone"));

    ability("receive video", (client) => arrives(client, viewer, "camera"));

    ability("mute", async (client) => {
      await client.engine.pause();
      await client.negotiate();
      for (const source of ["microphone", "camera"]) await ends(viewer, client, source);
      await client.engine.resume();
      await client.negotiate();
      for (const source of ["microphone", "camera"]) await arrives(viewer, client, source);
    });

    ability("renegotiate twice", async (client) => {
      await client.engine.addScreen();
      await client.negotiate();
      for (const source of ["screen", "camera"]) await arrives(viewer, client, source);
      await client.engine.removeScreen();
      await client.negotiate();
      await ends(viewer, client, "screen");
      await arrives(viewer, client, "camera");
    });

    ability("restart ICE", async (client) => {
      const before = ufrag(client);
      await client.engine.restartIce();
      await client.negotiate();
      assert.notEqual(ufrag(client), before);
      await arrives(viewer, client, "camera");
      await arrives(client, viewer, "camera");
    });

    ability("leave", async (client) => {
      assert.equal((await client.request("leave", {})).type, "left");
      const isGoodbye = ({ type, participant }) =>
        type === "participant_left" && participant.id === client.id;
      await until("the goodbye", () => viewer.events.some(isGoodbye));
      await ends(viewer, client, "camera");
    });
  });

  async function enter(engine, who, options) {
    await engine.open(options);
    return join(started.server, `clients-${index}`, who, engine);
  }
}

test("the table in docs/clients.md says what was found", () => {
  const table = format(ABILITIES, rows);
  if (isToWrite) write(table);
  assert.equal(written(), table, "write it with `npm --prefix control/clients run table`");
});

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
