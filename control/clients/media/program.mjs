/**
 * Clients that are programs. A program reads requests and writes responses, one JSON object a line:
 * `{"id": 1, "method": "answer", "params": "v=0…"}` and `{"id": 1, "result": …}` or `{"id": 1, "error": "…"}`.
 * It ends when its standard input does.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** The clients that a command starts, one program each. */
export async function launchProgram(...command) {
  const first = startProgram(command);
  try {
    return { version: await first.version(), newEngine: () => startProgram(command), close: () => {} };
  } finally {
    await first.end();
  }
}

/** Starts a program. Any method of the result is a request to it, except `end`,
 * which ends it. */
export function startProgram([command, ...args]) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const waiting = new Map();
  let requests = 0;
  let errors = "";
  const failed = new Promise((_, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`${args.at(-1) ?? command} exited with ${code}:\n${errors}`)));
  });
  failed.catch(() => {});
  child.stderr.on("data", (data) => (errors = (errors + data).slice(-4_000)));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { id, result, error } = JSON.parse(line);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  const request = (method) => (params) => {
    const id = requests++;
    const response = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    return Promise.race([response, failed]);
  };
  const end = async () => {
    const ended = new Promise((resolve) => child.once("close", resolve));
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.stdin.end();
    const late = setTimeout(kill, 3_000);
    await ended;
    clearTimeout(late);
    process.off("exit", kill);
  };
  // A promise is resolved with it, so it must not look like one.
  const get = (_, method) => (method === "then" ? undefined : method === "end" ? end : request(method));
  return new Proxy({}, { get });
}

/** The version of a package in package.json, which names exact ones. */
export function installedVersion(name) {
  return JSON.parse(readFileSync(new URL("../package.json", import.meta.url))).devDependencies[name];
}

/** Serves the methods of `engine` in a program. */
export function serve(engine) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { id, method, params } = JSON.parse(line);
    let response;
    try {
      response = { id, result: (await engine[method](params)) ?? null };
    } catch (error) {
      response = { id, error: `${method}: ${error.stack}` };
    }
    process.stdout.write(`${JSON.stringify(response)}\n`);
  });
  lines.on("close", () => process.exit());
}
