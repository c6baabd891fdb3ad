/**
 * Whether a key sends the message: Enter does, Shift+Enter is a new line. While an input method composes a syllable,
 * Enter only ends the composition. `isComposing` tells, or key code 229 in a browser that ends the composition first
 * (Safari).
 */
export function isSendKey(
  event: Pick<KeyboardEvent, "key" | "shiftKey" | "isComposing" | "keyCode">,
): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}
