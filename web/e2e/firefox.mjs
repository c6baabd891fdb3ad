/** Firefox with a fake camera and microphone, for the same test functions as Chromium. */
import puppeteer from "puppeteer-core";

const EXECUTABLE = process.env.FIREFOX_BIN ?? "/usr/bin/firefox-esr";
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  // Without a persistent permission, Firefox gathers candidates only on the default route; a fake camera does not count
  // as one in use. `ice.loopback` below has an effect only with this permission.
  "permissions.default.camera": 1,
  "permissions.default.microphone": 1,
  "media.peerconnection.ice.loopback": true,
  // Plain addresses in candidates instead of multicast DNS names.
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.autoplay.default": 0,
  "intl.accept_languages": "ko-KR",
};

export function launchFirefox(options = {}) {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: EXECUTABLE,
    protocol: "webDriverBiDi",
    extraPrefsFirefox: PREFERENCES,
    defaultViewport: { width: 1280, height: 760 },
    ...options,
  });
}

/** The equivalent in Firefox of `newVisitor` in browser.mjs. */
export async function newFirefoxVisitor(firefox) {
  const context = await firefox.createBrowserContext();
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return { ...inPlaywrightsWords(page), errors };
}

/** The part of Playwright's page interface that browser.mjs uses. */
function inPlaywrightsWords(page) {
  const locator = (selector) => ({
    fill: (text) => page.locator(selector).fill(text),
    click: () => page.locator(selector).click(),
    textContent: () => page.$eval(selector, (element) => element.textContent),
    filter: ({ hasText }) => locator(`${selector} ::-p-text(${JSON.stringify(hasText)})`),
    waitFor: ({ timeout = 30_000 } = {}) => page.waitForSelector(selector, { timeout }),
  });
  return {
    goto: (url) => page.goto(url),
    close: () => page.close(),
    evaluate: (run, argument) => page.evaluate(run, argument),
    addInitScript: (run, argument) => page.evaluateOnNewDocument(run, argument),
    waitForFunction: (test, argument, { timeout = 30_000 } = {}) =>
      page.waitForFunction(test, { timeout }, argument),
    waitForTimeout: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
    locator,
    getByTestId: (id) => locator(`[data-testid=${id}]`),
  };
}
