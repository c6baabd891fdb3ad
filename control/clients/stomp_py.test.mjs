/** `stomp.py` against the real server: runs stomp_py.py in a virtual environment. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startServer } from "../../web/e2e/server.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const ENVIRONMENT = `${HERE}node_modules/.stomp-py`;
const READY = `${ENVIRONMENT}/lib-is-installed`;
const PACKAGES = ["stomp.py==9.0.0", "websocket-client==1.9.2"];

let server;

before(async () => {
  if (!existsSync(READY)) {
    console.log(`This installs the Python packages ${PACKAGES.join(" and ")} into ${ENVIRONMENT}.`);
    execFileSync("python3", ["-m", "venv", ENVIRONMENT]);
    execFileSync(`${ENVIRONMENT}/bin/pip`, ["install", "--quiet", ...PACKAGES], { stdio: "inherit" });
    execFileSync("touch", [READY]);
  }
  server = await startServer();
});

after(() => server?.stop());

test("stomp.py", async () => {
  const url = `${server.url.replace("http", "ws")}/ws`;
  const python = spawn(`${ENVIRONMENT}/bin/python`, [`${HERE}stomp_py.py`, url], { stdio: "inherit" });
  assert.equal(await new Promise((resolve) => python.once("exit", resolve)), 0);
});
