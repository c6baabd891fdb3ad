/** The real server, started for a test and stopped after it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { startProgram } from "./process.mjs";

const BINARY = process.env.MADANG_BIN ?? fileURLToPath(new URL("../../target/debug/madang", import.meta.url));

/**
 * Starts a server on free ports of a loopback address, with a data folder of its own and these `settings`. With `https`
 * it has a certificate for `name`, a host name or an address, which is also the host in `url`. With `namespace` it runs
 * inside that network namespace.
 */
export async function startServer({
  host = "127.0.0.1",
  port,
  https = false,
  name = "localhost",
  namespace,
  settings = {},
} = {}) {
  if (!existsSync(BINARY)) {
    throw new Error(`${BINARY} is missing: run \`cargo build\` first, or name a binary in MADANG_BIN`);
  }
  const dataDir = await mkdtemp(join(tmpdir(), "madang-e2e-"));
  const listen = `${host}:${port ?? (await freePort())}`;
  const tls = https ? await makeCertificate(dataDir, name) : {};
  const command = namespace ? ["ip", "netns", "exec", namespace, BINARY] : [BINARY];
  const start = () => {
    return run(command, {
      ...tls,
      MADANG_HTTP__LISTEN: listen,
      MADANG_MEDIA__UDP_PORT: "0",
      MADANG_TURN__LISTEN: `${host}:0`,
      MADANG_DATA_DIR: dataDir,
      ...settings,
    });
  };
  let server = await start();
  return {
    url: https ? `https://${name}:${listen.split(":").at(-1)}` : `http://${listen}`,
    /** The UDP ports: media and TURN. */
    datagramPorts: () => [...server.output().matchAll(/:(\d+)\/udp/g)].map(([, port]) => Number(port)),
    /** The TCP port of TURN over TLS, besides the port of the page. */
    secureTurnPort: () => Number(/:(\d+)\/tcp \(TLS\)/.exec(server.output())[1]),
    /** The TCP ports of media. */
    streamPorts: () => {
      const media = /^ *media .*$/m.exec(server.output())?.[0] ?? "";
      return [...media.matchAll(/:(\d+)\/tcp/g)].map(([, port]) => Number(port));
    },
    /** The TCP port of TURN. */
    turnPort: () => Number(/^ *turn .*?:(\d+)\/tcp/m.exec(server.output())[1]),
    /** What `madang token` prints for this server. */
    async token(...args) {
      const env = { ...environment(), MADANG_DATA_DIR: dataDir, ...settings };
      const { stdout } = await promisify(execFile)(BINARY, ["token", ...args], { env });
      return stdout.trim();
    },
    /** Stops the server and starts it again at the same address, with the same data. */
    async restart() {
      await server.stop();
      server = await start();
    },
    async stop() {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Runs the binary until it prints the address of its page. */
async function run(command, settings) {
  const env = { ...environment(), ...settings };
  const { output, stop } = await startProgram(command, { ready: /^(https?:\/\/\S+)$/m, env });
  return {
    output,
    async stop() {
      assert.equal(await stop(), 0, `the server did not exit cleanly:\n${output()}`);
    },
  };
}

async function makeCertificate(folder, name) {
  const [cert, key] = ["cert.pem", "key.pem"].map((file) => join(folder, file));
  const request = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-noenc",
    "-days",
    "2",
  ];
  const subject = [
    "-subj",
    "/CN=localhost",
    "-addext",
    `subjectAltName=${isIP(name) ? "IP" : "DNS"}:${name}`,
  ];
  await promisify(execFile)("openssl", [...request, ...subject, "-out", cert, "-keyout", key]);
  return { MADANG_HTTP__TLS__CERT: cert, MADANG_HTTP__TLS__KEY: key };
}

/** The environment without the settings of whoever runs the tests. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MADANG_")));
}

/** A TCP port that nobody listened on a moment ago. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
