/** 1–64 characters of `A-Z a-z 0-9 _ -` or Hangul syllables: the server's rule. */
const ROOM_NAME = /^[A-Za-z0-9_\-\uAC00-\uD7A3]{1,64}$/;

/**
 * Parses a room name that a person entered; undefined when it is not valid. Trims spaces, and composes Hangul that was
 * entered as single letters (jamo, as some systems deliver it) to syllables.
 */
export function parseRoomName(text: string): string | undefined {
  const name = text.trim().normalize("NFC");
  return ROOM_NAME.test(name) ? name : undefined;
}

/** The room in the path `/rooms/{room}`. */
export function roomInPath(path: string): string | undefined {
  const encoded = /^\/rooms\/([^/]+)\/?$/.exec(path)?.[1];
  if (encoded === undefined) return undefined;
  try {
    return parseRoomName(decodeURIComponent(encoded));
  } catch {
    return undefined; // malformed percent-encoding
  }
}

export function pathOfRoom(room: string): string {
  return `/rooms/${encodeURIComponent(room)}`;
}
