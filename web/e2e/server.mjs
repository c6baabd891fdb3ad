/** The real binary, started for a test and stopped after it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BINARY = process.env.MADANG_BIN ?? fileURLToPath(new URL("../../target/debug/madang", import.meta.url));
const START_MS = 20_000;

/** Starts a server on free ports of the loopback interface, with a data folder of its own. */
export async function startServer(environment = {}) {
  if (!existsSync(BINARY)) {
    throw new Error(`${BINARY} is missing: run \`cargo build\` first, or name a binary in MADANG_BIN`);
  }
  const dataDir = await mkdtemp(join(tmpdir(), "madang-e2e-"));
  const child = spawn(BINARY, [], {
    env: {
      ...process.env,
      MADANG_HTTP__LISTEN: `127.0.0.1:${await freePort()}`,
      MADANG_MEDIA__UDP_PORT: "0",
      MADANG_TURN__LISTEN: "127.0.0.1:0",
      MADANG_DATA_DIR: dataDir,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(child);
  // A test that fails must leave no server behind.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);

  const url = await output.match(/^(http:\/\/\S+)$/m, START_MS);
  return {
    url: url.replace(/\/$/, ""),
    mediaPorts: [...output.text().matchAll(/:(\d+)\/udp/g)].map(([, port]) => Number(port)),
    log: output.text,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
      if (child.exitCode === null) child.kill("SIGTERM");
      const how = child.exitCode ?? (await ended);
      process.off("exit", kill);
      await rm(dataDir, { recursive: true, force: true });
      return how;
    },
  };
}

function collect(child) {
  let text = "";
  let ended = false;
  const waiting = new Set();
  const wake = () => waiting.forEach((look) => look());
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (data) => {
      text += data;
      wake();
    });
  }
  child.on("exit", () => {
    ended = true;
    wake();
  });
  return {
    text: () => text,
    match: (pattern, timeout) =>
      new Promise((resolve, reject) => {
        const settle = (act) => {
          waiting.delete(look);
          clearTimeout(timer);
          act();
        };
        const look = () => {
          const found = pattern.exec(text)?.[1];
          if (found !== undefined) settle(() => resolve(found));
          else if (ended) settle(() => reject(new Error(`the server ended:\n${text}`)));
        };
        const late = () => settle(() => reject(new Error(`the server did not say ${pattern}:\n${text}`)));
        const timer = setTimeout(late, timeout);
        waiting.add(look);
        look();
      }),
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
