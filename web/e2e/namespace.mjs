/** Two networks on this machine, and a firewall between them that allows only TCP 443. Needs root. */
import { execFile, execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Why this machine cannot create them; undefined when it can. */
export async function whyNot() {
  if (process.getuid() !== 0) return "network namespaces need root";
  const name = `madang-try-${process.pid}`;
  try {
    await run("ip", ["netns", "add", name]);
    await run("ip", ["netns", "exec", name, "nft", "add table inet door"]);
  } catch (error) {
    return `this machine makes no network namespaces with nftables: ${error.message.trim()}`;
  } finally {
    await run("ip", ["netns", "delete", name]).catch(() => {});
  }
}

/** Creates the two networks, named after this process, with a virtual cable and an address at each end. */
export async function openNamespaces(atInside, atOutside) {
  const [inside, outside] = ["in", "out"].map((side) => `madang-${side}-${process.pid}`);
  const [plugInside, plugOutside] = ["in", "out"].map((side) => `md${side}${process.pid}`);
  // Deleting a namespace deletes its end of the cable, and the other end with it.
  const close = () => {
    process.off("exit", close);
    for (const name of [inside, outside]) {
      try {
        execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
      } catch {
        // It was not created.
      }
    }
  };
  // A failed test must not leave them behind.
  process.once("exit", close);
  try {
    for (const name of [inside, outside]) await run("ip", ["netns", "add", name]);
    const cable = ["type", "veth", "peer", "name", plugOutside, "netns", outside];
    await run("ip", ["link", "add", plugInside, "netns", inside, ...cable]);
    for (const [name, device, address] of [
      [inside, plugInside, atInside],
      [outside, plugOutside, atOutside],
    ]) {
      // Without an IPv6 address of its own: it is confirmed seconds after the link is up, and a browser that is loading a
      // page at that moment fails with ERR_NETWORK_CHANGED.
      await run("ip", ["-n", name, "link", "set", device, "addrgenmode", "none"]);
      await run("ip", ["-n", name, "address", "add", `${address}/24`, "dev", device]);
      for (const one of ["lo", device]) await run("ip", ["-n", name, "link", "set", one, "up"]);
    }
    await run("ip", ["-n", outside, "route", "add", "default", "via", atInside]);
    await run("ip", ["netns", "exec", inside, "nft", door(plugInside)]);
  } catch (error) {
    close();
    throw error;
  }
  return { inside, outside, close };
}

/** The firewall's rules. It drops packets without an answer. */
function door(device) {
  return `
    table inet door {
      chain from_outside {
        type filter hook input priority 0; policy accept;
        iifname "${device}" tcp dport != 443 drop
        iifname "${device}" meta l4proto != tcp drop
      }
      chain to_outside {
        type filter hook output priority 0; policy accept;
        oifname "${device}" tcp sport != 443 drop
        oifname "${device}" meta l4proto != tcp drop
      }
    }`;
}

/** Writes a script that runs a program inside a namespace. `remove` deletes the script. */
export async function within(namespace, program) {
  const folder = await mkdtemp(join(tmpdir(), "madang-within-"));
  const path = join(folder, "run");
  await writeFile(path, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`);
  await chmod(path, 0o755);
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Whether TURN answers a Binding request (RFC 8489) from a namespace. */
export async function answers(namespace, protocol, host, port) {
  const script = `(${knock})(...process.argv.slice(1))`;
  const node = [process.execPath, "-e", script, protocol, host, String(port)];
  const { stdout } = await run("ip", ["netns", "exec", namespace, ...node]);
  return stdout === "answered";
}

/** Runs in a process of its own. */
function knock(protocol, host, port) {
  const request = Buffer.from(`000100002112a442${"07".repeat(12)}`, "hex");
  const end = (word) => process.stdout.write(word, () => process.exit());
  setTimeout(end, 2_000, "silent");
  if (protocol === "udp") {
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", () => end("answered"));
    socket.send(request, port, host);
  } else {
    const socket = require("node:net").connect(port, host, () => socket.write(request));
    socket.on("data", () => end("answered"));
    socket.on("error", () => {});
  }
}
