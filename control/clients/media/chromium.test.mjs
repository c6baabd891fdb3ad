/** Chromium with peer connections that other pages than ours make. Each is seen by a viewer in another page. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { serverAndChromium } from "./browsers.mjs";
import { join, until } from "./member.mjs";

/** The width of the camera. */
const WIDTH = 640;

let rooms = 0;

const started = serverAndChromium();

for (const bestFirst of [false, true]) {
  test(`the best layer is shown if its rid is the ${bestFirst ? "first" : "last"}`, async (t) => {
    const { publisher, viewer } = await meet(t, { simulcast: true, bestFirst });

    assert.match((await publisher.engine.offer()).sdp, bestFirst ? /send f;h/ : /send h;f/);
    await until("the larger layer", async () => (await seen(viewer, publisher)).width === WIDTH);
  });
}

test("layers in an ssrc-group are shown without a storm of key frames", async (t) => {
  const { publisher, viewer } = await meet(t, { simGroup: true });
  await moves(viewer, publisher);
  const before = await seen(viewer, publisher);

  await until("a hundred frames", async () => (await seen(viewer, publisher)).frames > before.frames + 100);

  const { keyFrames } = await seen(viewer, publisher);
  assert.ok(keyFrames - before.keyFrames <= 3, `${keyFrames - before.keyFrames} key frames in a hundred`);
});

test("a client with an RSA certificate connects", async (t) => {
  const { publisher, viewer } = await meet(t, { rsa: true });
  await moves(viewer, publisher);
});

for (const bundlePolicy of ["balanced", "max-bundle", "max-compat"]) {
  test(`a data channel may have the first m-line with ${bundlePolicy}`, async (t) => {
    const { publisher, viewer } = await meet(t, {
      channelFirst: true,
      bundlePolicy,
    });

    assert.match(publisher.answer, /^m=application /m);
    await moves(viewer, publisher);
  });
}

test("an offer of 49 slots with all its candidates is answered", async (t) => {
  const { publisher, viewer } = await meet(t, {
    gathered: true,
    audioSlots: 3,
    videoSlots: 49,
  });

  assert.equal(publisher.answer.match(/^m=/gm).length, 2 + 3 + 49);
  await moves(viewer, publisher);
  await moves(publisher, viewer);
});

test("an m-line is used again by another track", async (t) => {
  const { publisher, viewer } = await meet(t, {});
  await moves(viewer, publisher);

  for (let round = 0; round < 2; round++) {
    await publisher.engine.addScreen();
    await publisher.negotiate();
    await moves(viewer, publisher, "screen");
    await publisher.engine.removeScreen();
    await publisher.negotiate();
  }

  assert.equal(publisher.answer.match(/^m=/gm).length, 3);
});

/** Lets a publisher join whose peer connection is made with `options`, and a viewer with a camera of its own. */
async function meet(t, options) {
  const room = `chromium-${rooms++}`;
  const enter = async (name, options) => {
    const engine = await started.chromium.newEngine(started.server);
    await engine.open(options);
    const member = await join(started.server, room, name, engine);
    t.after(() => member.close());
    return member;
  };
  const publisher = await enter("publisher", options);
  return {
    publisher,
    viewer: await enter("viewer", { audioSlots: 1, videoSlots: 2 }),
  };
}

async function seen(viewer, publisher, source = "camera") {
  return (
    (await viewer.received(publisher, source)) ?? {
      frames: 0,
      width: 0,
      keyFrames: 0,
    }
  );
}

/** Waits until `viewer` shows ten frames more of `publisher`. */
async function moves(viewer, publisher, source) {
  const frames = async () => (await seen(viewer, publisher, source)).frames;
  const before = await until(`${viewer.name} sees ${publisher.name}`, frames);
  await until("the picture moves", async () => (await frames()) > before + 10);
}
