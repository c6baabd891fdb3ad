/** The peer of peer.py in a room: it publishes a camera or views one. */
import { fileURLToPath } from "node:url";

import { python } from "../python.mjs";
import { join, until } from "./member.mjs";
import { startProgram } from "./program.mjs";

const PROGRAM = fileURLToPath(new URL("peer.py", import.meta.url));
/** The SSRC of the camera. */
export const CAMERA = 71;
export const CAMERA_LINE = { direction: "sendonly", ssrc: CAMERA };

/** A peer with these options of `Peer.open`, and these m-lines. */
export async function newPeer({ lines = [CAMERA_LINE], ...options } = {}) {
  const peer = startProgram([python(), PROGRAM]);
  await peer.open(options);
  await peer.setLines(lines);
  return peer;
}

/** Joins with a camera, until the test `t` ends. */
export async function publish(t, server, room, options) {
  return enter(t, server, room, "publisher", options);
}

/** Joins with so many slots, until the test `t` ends. */
export async function view(t, server, room, { slots = 1 } = {}) {
  const lines = Array.from({ length: slots }, () => ({ direction: "recvonly" }));
  return enter(t, server, room, "viewer", { lines });
}

async function enter(t, server, room, name, options) {
  const member = await join(server, room, name, await newPeer(options));
  // Node.js calls no further hook after one that fails.
  t.after(() => member.close().catch(() => {}));
  return member;
}

/** Waits until a viewer has a publisher's camera in its slot, and then so many more packets. */
export async function flows(viewer, publisher, { count = 30, patience } = {}) {
  const received = () => viewer.received(publisher, "camera");
  const before = await until("a slot with the camera", received, patience);
  const enough = async () => (await received())?.packets >= before.packets + count;
  await until(`${count} packets of the camera`, enough, patience);
}
