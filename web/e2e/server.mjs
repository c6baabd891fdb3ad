/** The real binary, started for a test and stopped after it. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const BINARY = process.env.MADANG_BIN ?? fileURLToPath(new URL("../../target/debug/madang", import.meta.url));
const START_MS = 20_000;

/**
 * Starts a server on free ports of a loopback address, with a data folder of its own and further settings; with `https`
 * also with a certificate for a `name`, which may be an address, and at which its page is. In a network `namespace` that
 * is the whole server's.
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
    /** Where datagrams are taken: media and TURN. */
    datagramPorts: () => [...server.output().matchAll(/:(\d+)\/udp/g)].map(([, port]) => Number(port)),
    /** Where TURN is spoken inside TLS, besides the port of the page. */
    secureTurnPort: () => Number(/:(\d+)\/tcp \(TLS\)/.exec(server.output())[1]),
    /** Where streams of media are taken. */
    streamPorts: () => {
      const media = /^ *media .*$/m.exec(server.output())?.[0] ?? "";
      return [...media.matchAll(/:(\d+)\/tcp/g)].map(([, port]) => Number(port));
    },
    /** Where streams of TURN are taken. */
    turnPort: () => Number(/^ *turn .*?:(\d+)\/tcp/m.exec(server.output())[1]),
    /** What `madang token` prints for this server. */
    async token(...args) {
      const env = { ...environment(), MADANG_DATA_DIR: dataDir, ...settings };
      const { stdout } = await promisify(execFile)(BINARY, ["token", ...args], { env });
      return stdout.trim();
    },
    /** Ends it and starts it again at the same address, with the same data. */
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

/** Runs the binary until it says where its page is. */
async function run([program, ...args], settings) {
  const child = spawn(program, args, {
    env: { ...environment(), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(child);
  // A test that fails must leave no server behind.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  await output.match(/^(https?:\/\/\S+)$/m, START_MS);
  return {
    output: output.text,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const code = await ended;
      process.off("exit", kill);
      assert.equal(code, 0, `the server did not end well:\n${output.text()}`);
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

/** Without the settings of whoever runs the tests. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MADANG_")));
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
