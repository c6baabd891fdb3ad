/** Virtual environments for clients in Python. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Installs packages into an environment of this name, unless they are there. Returns the folder of its programs. */
export function pythonEnvironment(name, packages) {
  const folder = fileURLToPath(new URL(`node_modules/.${name}`, import.meta.url));
  const ready = `${folder}/lib-is-installed`;
  if (!existsSync(ready)) {
    console.log(`This installs the Python packages ${packages.join(" and ")} into ${folder}.`);
    execFileSync("python3", ["-m", "venv", folder]);
    execFileSync(`${folder}/bin/pip`, ["install", "--quiet", ...packages], { stdio: "inherit" });
    execFileSync("touch", [ready]);
  }
  return `${folder}/bin`;
}

/** The Python that has aiortc, and with it OpenSSL, libsrtp and ICE. */
export function python() {
  return `${pythonEnvironment("aiortc", ["aiortc==1.16.0"])}/python`;
}
