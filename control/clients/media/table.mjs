/** The table of docs/clients.md: what the test run found, and what the document says. */
import { readFileSync, writeFileSync } from "node:fs";

const DOCUMENT = new URL("../../../docs/clients.md", import.meta.url);
const BEGIN = "<!-- Written by `npm --prefix control/clients run table`. -->\n\n";
const END = "\n<!-- The end of what is written. -->";

/**
 * Formats the table. `rows` has for each client its `name`, `version`, and for each ability `true`, `false` when its test
 * failed, or the reason why the client lacks it.
 */
export function format(abilities, rows) {
  const reasons = [];
  const note = (reason) => {
    if (!reasons.includes(reason)) reasons.push(reason);
    return `no (${reasons.indexOf(reason) + 1})`;
  };
  const cell = (found) => (found === true ? "yes" : typeof found === "string" ? note(found) : "fails");
  const line = (cells) => `| ${cells.join(" | ")} |\n`;
  const head = line(["client", "version", ...abilities]) + line(["---", "---", ...abilities.map(() => "---")]);
  const body = rows.map(({ name, version, found }) =>
    line([name, version, ...abilities.map((what) => cell(found[what]))]),
  );
  const notes = reasons.map((reason, index) => `${index + 1}. ${reason}.\n`);
  return `${head}${body.join("")}\n${notes.join("")}`;
}

/** The table in the document. */
export function written() {
  return split()[1];
}

/** The version of a client in the document. */
export function writtenVersion(name) {
  const row = written()
    .split("\n")
    .find((row) => row.startsWith(`| ${name} |`));
  return row?.split(" | ")[1];
}

export function write(table) {
  const [before, , after] = split();
  writeFileSync(DOCUMENT, before + table + after);
}

function split() {
  const text = readFileSync(DOCUMENT, "utf8");
  const begin = text.indexOf(BEGIN) + BEGIN.length;
  const end = text.indexOf(END);
  return [text.slice(0, begin), text.slice(begin, end), text.slice(end)];
}
