/** Chromium for the tests of clients. CHROMIUM_BIN names another executable. */
import { chromium } from "playwright-core";

export function launchBrowser() {
  const executablePath = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
}
