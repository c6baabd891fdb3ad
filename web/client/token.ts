/** The access token (protocol §8). It is kept for this tab only, so that a reload does not ask for it again. */

const KEY = "madang.token";
/** A JWT by itself, or after `token=` in a link. */
const TOKEN = /(?:^|[#&?]token=)([\w-]+\.[\w-]+\.[\w-]+)$/;

/** The token in a pasted text: the token itself or a link with it. */
export function tokenIn(text: string): string | undefined {
  return TOKEN.exec(text.trim())?.[1];
}

/**
 * Takes the token out of the page's address, so that it is not copied with the link. It is in the fragment, which
 * browsers do not send to servers.
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

/** The user's name in the token. Only the server checks the signature. */
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
