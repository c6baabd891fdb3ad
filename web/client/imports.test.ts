import { expect, test } from "vitest";

const sources = import.meta.glob<string>(["./*.ts", "!./*.test.ts"], {
  query: "?raw",
  import: "default",
  eager: true,
});

test("no two modules import each other, directly or through others", () => {
  const imports = new Map(Object.entries(sources).map(([file, source]) => [file, importsOf(source)]));
  // An empty graph would have no cycle either.
  expect(imports.get("./main.ts")).toContain("./room-session.ts");

  expect(findCycle(imports)).toBeUndefined();
});

test.each([
  ["none", { a: ["b", "c"], b: ["c"], c: [] }, undefined],
  ["a module that imports itself", { a: ["a"] }, ["a", "a"]],
  ["two modules", { a: ["b"], b: ["c"], c: ["b"] }, ["b", "c", "b"]],
])("finds a cycle: %s", (_, imports, cycle) => {
  expect(findCycle(new Map<string, string[]>(Object.entries(imports)))).toEqual(cycle);
});

/** The client's modules that a source imports. Types count: they tie modules together for the reader, too. */
function importsOf(source: string): string[] {
  return [...source.matchAll(/^(?:import|export|\})[^;"]*"(\.\/[^"]+\.ts)";/gm)].map(([, file]) => file!);
}

/** The modules of the first cycle found, its first one again at the end. */
function findCycle(imports: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    done.add(file);
    for (const next of imports.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle !== undefined) return cycle;
    }
    return undefined;
  };
  for (const file of imports.keys()) {
    const cycle = visit(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
