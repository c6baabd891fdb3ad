/** The REST API against its OpenAPI document: Schemathesis generates requests from it and checks the responses. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { pythonEnvironment } from "./python.mjs";
import { startServer } from "../../web/e2e/server.mjs";

const PACKAGES = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
const API_KEY = "an-api-key-for-this-test-alone-5f3a9c";

/**
 * The checks that do not apply: a schema cannot express rules between two fields; a room exists without the participant
 * that a request names; and so many requests without a credential are rate limited before they are rejected for it.
 */
const LEFT_OUT = ["positive_data_acceptance", "ensure_resource_availability", "ignored_auth", "missing_required_header"];

let server;
let programs;
let folder;

before(async () => {
  programs = pythonEnvironment("schemathesis", PACKAGES);
  folder = mkdtempSync(join(tmpdir(), "madang-rest-"));
  server = await startServer({ settings: { MADANG_AUTH__REQUIRED: "true", MADANG_AUTH__API_KEYS: API_KEY } });
});

after(async () => {
  await server?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

test("the document is valid OpenAPI 3.1", async () => {
  const file = join(folder, "openapi.json");
  const document = await (await fetch(`${server.url}/api/openapi.json`)).text();
  await writeFile(file, document);
  assert.match(document, /^{"openapi":"3\.1\./);
  assert.equal(await run("openapi-spec-validator", [file]), 0);
});

test("every answer is one that the document describes", async () => {
  const options = ["--header", `Authorization: Bearer ${API_KEY}`, "--exclude-checks", LEFT_OUT.join(",")];
  const effort = ["--max-examples", "20", "--seed", "1", "--no-color"];
  assert.equal(await run("st", ["run", `${server.url}/api/openapi.json`, ...options, ...effort]), 0);
});

async function run(program, args) {
  const child = spawn(`${programs}/${program}`, args, { cwd: folder, stdio: "inherit" });
  return new Promise((resolve) => child.once("exit", resolve));
}
