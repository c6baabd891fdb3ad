/** Rooms with restricted entry: one with a password, one with a waiting room. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connected, join, launchBrowser, newVisitor } from "./browser.mjs";
import { startServer } from "./server.mjs";

const API_KEY = "a-key-of-this-test-and-of-nobody-else-0123456789";

describe("a room's door", () => {
  let server;
  let browser;
  let host;
  let guest;

  before(async () => {
    server = await startServer({ settings: { MADANG_AUTH__API_KEYS: API_KEY } });
    browser = await launchBrowser();
    [host, guest] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await create({ name: "비밀방", password: "열려라 참깨" });
    await create({ name: "대기실", settings: { waiting_room: true } });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("opens by its password", async () => {
    await join(guest, server, "비밀방", "이두리");
    await guest.getByText("비밀번호가 필요한 회의실이에요.").waitFor();

    await guest.getByTestId("password-input").fill("열려라 콩");
    await guest.getByTestId("join-button").click();
    await guest.getByText("회의실 비밀번호가 맞지 않아요.").waitFor();
    await guest.getByTestId("password-input").fill("열려라 참깨");
    await guest.getByTestId("join-button").click();

    await connected(guest);
    await guest.getByTestId("leave-button").click();
  });

  test("opens when the host lets somebody in", async () => {
    // No guest becomes the host of a room that keeps people out.
    const token = await server.token("--room", "대기실", "--name", "김하나", "--role", "host");
    await host.goto(`${server.url}/rooms/대기실#token=${token}`);
    await host.getByTestId("join-button").click();
    await connected(host);
    await host.getByTestId("people-button").click();
    await join(guest, server, "대기실", "이두리");
    await guest.getByText("진행자가 입장을 허용하기를 기다리고 있어요.").waitFor();
    assert.equal(await host.getByTestId("participant-count").textContent(), "1");

    const waiting = host.getByTestId("waiting-person");
    assert.match(await waiting.textContent(), /이두리/);
    await waiting.getByTestId("admit-button").click();

    await connected(guest);
    await host.waitForFunction(() => document.querySelectorAll("[data-testid=remote-video]").length === 1);
    assert.equal(await waiting.count(), 0);
  });

  test("stays shut for whom the host turns away, and for who gives up", async () => {
    const [denied, impatient] = await Promise.all([newVisitor(browser), newVisitor(browser)]);
    await join(denied, server, "대기실", "박세미");
    await host.getByTestId("waiting-person").filter({ hasText: "박세미" }).getByTestId("deny-button").click();
    await denied.getByTestId("join-button").waitFor();

    await join(impatient, server, "대기실", "최네모");
    const waiting = host.getByTestId("waiting-person").filter({ hasText: "최네모" });
    await waiting.waitFor();
    await impatient.getByTestId("leave-button").click();

    await waiting.waitFor({ state: "detached" });
    assert.equal(await host.getByTestId("participant-count").textContent(), "2");
    assert.deepEqual([denied, impatient].map(({ errors }) => errors).flat(), []);
  });

  test("no page complained", () => {
    assert.deepEqual([host, guest].map(({ errors }) => errors).flat(), []);
  });

  async function create(room) {
    const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
    const body = JSON.stringify(room);
    const response = await fetch(`${server.url}/api/v1/rooms`, { method: "POST", headers, body });
    assert.equal(response.status, 201, await response.text());
  }
});
