/** sockjs-client and @stomp/stompjs against the real server, with each transport in turn. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { Client } from "@stomp/stompjs";
import SockJS from "sockjs-client";
import { startServer } from "../../web/e2e/server.mjs";
import { launchBrowser } from "./browser.mjs";

const MESSAGES = 200;

let elsewhere;
let server;

before(async () => {
  elsewhere = await startPages();
  const settings = { MADANG_HTTP__ALLOWED_ORIGINS: elsewhere.url, MADANG_LIMITS__MESSAGES_PER_SECOND: "0" };
  server = await startServer({ settings });
});

after(async () => {
  await server?.stop();
  await elsewhere?.stop();
});

describe("in Node.js", () => {
  for (const transport of ["websocket", "xhr-streaming", "xhr-polling"]) {
    test(transport, async () => {
      check(await story({ Client, SockJS }, `${server.url}/ws`, transport, MESSAGES), transport);
    });
  }
});

describe("in Chromium", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser?.close());

  // No websocket here: Playwright fulfils the page, and Chromium lets a page without an address open none to loopback.
  for (const transport of ["xhr-streaming", "eventsource", "htmlfile", "xhr-polling"]) {
    test(`${transport}, on a page of the server's origin`, async () => {
      await inPage(browser, `${server.url}/sockjs-test.html`, transport);
    });
  }
  for (const transport of ["websocket", "xhr-streaming", "xhr-polling"]) {
    test(`${transport}, on a page from elsewhere`, async () => {
      await inPage(browser, `${elsewhere.url}/sockjs-test.html`, transport);
    });
  }
  for (const transport of ["iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling"]) {
    test(`${transport}, on a page from elsewhere`, async () => {
      await inPage(browser, `${elsewhere.url}/sockjs-test.html`, transport);
    });
  }
});

async function inPage(browser, address, transport) {
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  try {
    if (address.startsWith(server.url)) await page.route(address, pageOnTheServersOrigin);
    await page.goto(address);
    const run = `(${story})({ Client: StompJs.Client, SockJS }, "${server.url}/ws", "${transport}", ${MESSAGES})`;
    check(await page.evaluate(run), transport);
  } catch (error) {
    throw new Error(`${error.message}\nthe page said:\n${said.join("\n")}`, { cause: error });
  } finally {
    await page.close();
  }
}

/** Runs here and in pages: connects, subscribes, sends, waits for the receipts, disconnects. */
async function story({ Client, SockJS }, url, transport, count) {
  const used = [];
  const bodies = [];
  const receipts = [];
  const topic = `/topic/소식/${transport}-${Math.random().toString(36).slice(2)}`;
  // Longer than the limit of a response or of a WebSocket frame.
  const large = "한글 ".repeat(150_000);
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${bodies.length} messages came over ${used}`)), 60_000);
    const client = new Client({
      webSocketFactory: () => {
        const socket = new SockJS(url, null, { transports: [transport] });
        socket.addEventListener("open", () => used.push(socket.transport));
        return socket;
      },
      reconnectDelay: 0,
      heartbeatIncoming: 10_000,
      heartbeatOutgoing: 10_000,
      onStompError: (frame) => reject(new Error(frame.body)),
      onWebSocketClose: ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`)),
      onConnect: () => {
        client.watchForReceipt("subscribed", () => {
          for (let index = 0; index < count; index++) {
            const headers = index === count - 1 ? { receipt: "sent" } : {};
            client.publish({ destination: topic, headers, body: `${index} 안녕 😀 </script>` });
          }
          client.publish({ destination: topic, body: large });
        });
        client.watchForReceipt("sent", () => receipts.push("sent"));
        client.subscribe(
          topic,
          ({ body }) => {
            if (bodies.length < count) return bodies.push(body);
            if (body !== large) reject(new Error(`${body.length} letters instead of ${large.length}`));
            client.deactivate();
          },
          { receipt: "subscribed" },
        );
      },
      onDisconnect: () => {
        receipts.push("disconnected");
        clearTimeout(late);
        resolve();
      },
    });
    client.activate();
  });
  return { used, bodies, receipts };
}

function check({ used, bodies, receipts }, transport) {
  assert.deepEqual(used, [transport]);
  const expected = Array.from({ length: MESSAGES }, (_, index) => `${index} 안녕 😀 </script>`);
  assert.deepEqual(bodies, expected);
  assert.deepEqual(receipts, ["sent", "disconnected"]);
}

async function pageOnTheServersOrigin(route) {
  await route.fulfill({ contentType: "text/html; charset=utf-8", body: await pageWithClients() });
}

/** A page with the published builds of both clients. */
async function pageWithClients() {
  const published = ["sockjs-client/dist/sockjs.min.js", "@stomp/stompjs/bundles/stomp.umd.min.js"];
  const address = (name) => new URL(`node_modules/${name}`, import.meta.url);
  const scripts = await Promise.all(published.map((name) => readFile(address(name), "utf8")));
  const tags = scripts.map((script) => `<script>${script.replaceAll("</script", "<\\/script")}</script>`);
  return `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>SockJS</title>${tags.join("")}`;
}

/** Serves the page from another origin. */
async function startPages() {
  const pages = createServer(async (_, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(await pageWithClients());
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${pages.address().port}`,
    stop: () => new Promise((resolve) => pages.close(resolve).closeAllConnections()),
  };
}
