/** The token that lets one in (protocol §8), kept for this tab alone, so that a reload need not ask again. */

const KEY = "madang.token";
/** A JWT by itself, or behind `token=` in a link. */
const TOKEN = /(?:^|[#&?]token=)([\w-]+\.[\w-]+\.[\w-]+)$/;

/** The token in what somebody pasted: itself, or a link with it. */
export function tokenIn(text: string): string | undefined {
  return TOKEN.exec(text.trim())?.[1];
}

/**
 * The token in the address, which loses it so that nobody copies it with the link. It stands behind the `#`, which
 * browsers send to no server.
 */
export function takeToken(page: Pick<Location, "hash" | "pathname" | "search">): string | undefined {
  const token = tokenIn(page.hash);
  if (token === undefined) return undefined;
  keepToken(token);
  history.replaceState(null, "", page.pathname + page.search);
  return token;
}

export function keptToken(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
}

/** What the token calls its user. Nobody checks it here; the server does. */
export function nameIn(token: string | undefined): string | undefined {
  try {
    const payload = (token?.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    const { name } = JSON.parse(new TextDecoder().decode(bytes)) as { name?: unknown };
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}
