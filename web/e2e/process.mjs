/** Programs that a test starts, waits for by what they print, and stops. */
import { spawn } from "node:child_process";

const START_MS = 20_000;

/**
 * Starts a program and waits until its output matches `ready`. `found` is what the first group of `ready` matched. The
 * program is killed when this process exits, so that a failed test leaves none behind. With `detached` it has a process
 * group of its own, and the children of a program such as npm get its signals.
 */
export async function startProgram([program, ...args], { ready, ...options }) {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const signal = options.detached ? (name) => signalGroup(child.pid, name) : (name) => child.kill(name);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const output = collect(child, program);
  const kill = () => signal("SIGKILL");
  process.once("exit", kill);
  return {
    found: await output.match(ready, START_MS),
    output: output.text,
    /** Waits until the output matches a pattern; resolves with its first group. */
    prints: (pattern) => output.match(pattern, START_MS),
    /** Resolves with the exit code of a program that ends by itself. */
    async exited() {
      const code = await ended;
      process.off("exit", kill);
      return code;
    },
    /** Sends a signal and resolves with the exit code, which is null when the signal ended the program. */
    async stop(name = "SIGTERM") {
      signal(name);
      const code = await ended;
      process.off("exit", kill);
      return code;
    },
  };
}

function signalGroup(leader, name) {
  try {
    process.kill(-leader, name);
  } catch {
    // The program has exited already.
  }
}

function collect(child, program) {
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
  child.on("error", (error) => {
    text += error.message;
  });
  child.on("close", () => {
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
          const found = pattern.exec(text);
          if (found !== null) settle(() => resolve(found[1]));
          else if (ended) settle(() => reject(new Error(`${program} exited:\n${text}`)));
        };
        const late = () => {
          settle(() => reject(new Error(`${program} printed nothing like ${pattern} in time:\n${text}`)));
        };
        const timer = setTimeout(late, timeout);
        waiting.add(look);
        look();
      }),
  };
}
