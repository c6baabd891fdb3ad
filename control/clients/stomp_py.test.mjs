/** `stomp.py` against the real server: runs stomp_py.py in a virtual environment. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { pythonEnvironment } from "./python.mjs";
import { startServer } from "../../web/e2e/server.mjs";

const SCRIPT = fileURLToPath(new URL("stomp_py.py", import.meta.url));
const PACKAGES = ["stomp.py==9.0.0", "websocket-client==1.9.2"];

let server;
let programs;

before(async () => {
  programs = pythonEnvironment("stomp-py", PACKAGES);
  server = await startServer();
});

after(() => server?.stop());

test("stomp.py", async () => {
  const url = `${server.url.replace("http", "ws")}/ws`;
  const python = spawn(`${programs}/python`, [SCRIPT, url], { stdio: "inherit" });
  assert.equal(await new Promise((resolve) => python.once("exit", resolve)), 0);
});
