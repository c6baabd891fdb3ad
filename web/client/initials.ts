/** "Kim Hana" → "KH"; "김하나" → "하나": Korean names are shortened to the given name. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = words[0] ?? "";
  if (/^[\uAC00-\uD7A3]{2,}$/.test(first)) return first.slice(-2);
  const letters = [first, words.length > 1 ? (words.at(-1) ?? "") : ""];
  return letters.map((word) => [...word][0]?.toUpperCase() ?? "").join("");
}
