/** Chromium for tests of clients; CHROMIUM_BIN names one elsewhere. */
import { chromium } from "playwright-core";

export function launchBrowser() {
  const executablePath = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
}
