import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "주간회의";

describe("a server that requires a token", () => {
  let server;
  let browser;

  before(async () => {
    server = await startServer({ settings: { MADANG_AUTH__REQUIRED: "true" } });
    browser = await launchBrowser();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("says so to a page without one, and takes one that is pasted", async () => {
    const page = await newVisitor(browser);
    const token = await server.token("--room", ROOM, "--name", "하나");
    await page.goto(`${server.url}/rooms/${ROOM}`);
    assert.match(await problem(page), /초대 링크가 있어야 입장할 수 있어요/);

    await page.getByTestId("token-input").fill("열려라 참깨");
    await page.getByTestId("sign-in-button").click();
    assert.match(await problem(page), /초대 링크가 올바르지 않아요/);
    await page.getByTestId("token-input").fill(`${token.slice(0, -6)}AAAAAA`);
    await page.getByTestId("sign-in-button").click();
    await page.getByText("signature is wrong").waitFor();
    await page.getByTestId("token-input").fill(token);
    await page.getByTestId("sign-in-button").click();
    await page.getByTestId("join-button").click();

    await connected(page);
    assert.deepEqual(page.errors, []);
  });

  test("takes the token of a link, out of the address, and again after a reload", async () => {
    const page = await newVisitor(browser);
    const token = await server.token("--room", ROOM, "--name", "두리", "--role", "host");
    await page.goto(`${server.url}/rooms/${ROOM}#token=${token}`);
    assert.equal(await page.getByTestId("name-input").inputValue(), "두리");
    assert.equal(new URL(page.url()).hash, "");
    await page.getByTestId("join-button").click();
    await connected(page);

    await page.reload();
    await page.getByTestId("join-button").click();

    await connected(page);
    assert.deepEqual(page.errors, []);
  });

  test("ends a call with its token", async () => {
    const page = await newVisitor(browser);
    const token = await server.token("--room", ROOM, "--name", "세찌", "--ttl", "8s");
    await page.goto(`${server.url}/rooms/${ROOM}#token=${token}`);
    await page.getByTestId("join-button").click();
    await connected(page);

    await page.getByTestId("token-input").waitFor({ timeout: 20_000 });

    assert.match(await problem(page), /초대 링크가 만료되었어요/);
    assert.deepEqual(page.errors, []);
  });
});

async function problem(page) {
  const problem = page.getByTestId("sign-in-problem");
  await problem.waitFor();
  return problem.textContent();
}
