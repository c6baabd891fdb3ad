/** `npm run dev`: the page from Vite, everything else from the server behind it. */
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startProgram } from "./process.mjs";
import { freePort, startServer } from "./server.mjs";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const ROOM = "개발";

describe("the development server", () => {
  let server;
  let folder;
  let dev;
  let browser;
  let hana;
  let dul;

  before(async () => {
    server = await startServer();
    folder = await copyOfTheClient();
    const port = await freePort();
    const command = [
      "npm",
      "run",
      "dev",
      "--",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      "--strictPort",
    ];
    const env = { ...process.env, BACKEND_URL: server.url, NO_COLOR: "1" };
    const ready = /Local: +(http:\S+?)\/?\s/;
    dev = await startProgram(command, { ready, cwd: folder, env, detached: true });
    browser = await launchBrowser();
    [hana, dul] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
  });

  after(async () => {
    await browser?.close();
    await dev?.stop();
    await server?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  test("serves the page, a room's page too, and passes everything else on to the server", async () => {
    const get = (path) => fetch(dev.found + path);
    for (const path of ["/", `/rooms/${encodeURIComponent(ROOM)}`]) {
      const page = await get(path);
      assert.equal(page.status, 200, path);
      assert.match(await page.text(), /\/@vite\/client/, path);
    }
    for (const path of ["/healthz", "/readyz", "/metrics", "/api/openapi.json", "/ws", "/ws/info"]) {
      const [here, there] = [await get(path), await fetch(server.url + path)];
      assert.equal(here.status, 200, path);
      assert.equal(here.headers.get("content-type"), there.headers.get("content-type"), path);
      assert.doesNotMatch(await here.text(), /\/@vite\/client/, path);
    }
  });

  test("a call through it works, with somebody who comes by the server itself", async () => {
    await join(hana, { url: dev.found }, ROOM, "김하나");
    await connected(hana);
    await join(dul, server, ROOM, "이두리");
    await connected(dul);

    await Promise.all([hana, dul].map((page) => assertMediaFlows(page, { from: 1, seconds: 2 })));
    await say(hana, "개발 서버를 거쳐 왔어요");
    await hears(dul, "개발 서버를 거쳐 왔어요");
  });

  test("SockJS works through it", async () => {
    const session = `${dev.found}/ws/000/${Date.now()}/xhr`;
    // The origin that a browser sends for a page of the development server.
    const opened = await fetch(session, { method: "POST", headers: { origin: dev.found } });

    assert.equal(opened.status, 200);
    assert.equal(await opened.text(), "o\n");
  });

  test("an edit shows at once, in a room that was opened by its link", async () => {
    await hana.goto(`${dev.found}/rooms/${ROOM}?name=Hana&autojoin=1`);
    await connected(hana);
    await hana.getByRole("button", { name: "나가기", exact: true }).waitFor();

    const texts = joinPath(folder, "client/texts.ts");
    const source = await readFile(texts, "utf8");
    await writeFile(texts, source.replace('leave: "나가기"', 'leave: "안녕히 계세요"'));

    await hana.getByRole("button", { name: "안녕히 계세요", exact: true }).waitFor({ timeout: 30_000 });
    await connected(hana);
  });

  test("no page complained", () => {
    assert.deepEqual([hana, dul].map(({ errors }) => errors).flat(), []);
  });
});

/** A folder with what Vite reads, so that the test can edit it. */
async function copyOfTheClient() {
  const folder = await mkdtemp(joinPath(tmpdir(), "madang-dev-"));
  for (const name of ["client", "package.json", "tsconfig.json", "vite.config.ts"]) {
    await cp(joinPath(WEB, name), joinPath(folder, name), { recursive: true });
  }
  // Not one link for all of them: Vite keeps what it makes beside the packages.
  await mkdir(joinPath(folder, "node_modules"));
  for (const name of [".bin", "@stomp", "vite"]) {
    await symlink(joinPath(WEB, "node_modules", name), joinPath(folder, "node_modules", name));
  }
  return folder;
}
