/**
 * Enter sends, Shift+Enter is a new line. While an input method composes a syllable, Enter only ends the composition:
 * `isComposing` says so, or key code 229 where a browser ends the composition first (Safari).
 */
export function isSendKey(
  event: Pick<KeyboardEvent, "key" | "shiftKey" | "isComposing" | "keyCode">,
): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}
