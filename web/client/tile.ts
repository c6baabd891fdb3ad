import { element, icon } from "./dom.ts";
import { initials } from "./initials.ts";
import { texts } from "./texts.ts";

export interface TileContent {
  name: string;
  /** The displayed name, when it differs from `name`. */
  label?: string;
  stream: MediaStream | undefined;
  muted: boolean;
  /** Whether initials replace the picture. */
  cameraOff: boolean;
  /** Whether this browser can't decode the picture. A text says so, below the initials. */
  undecodable?: boolean;
  speaking: boolean;
}

/** A participant in the grid: the picture, or the initials while there is none. */
export class Tile {
  readonly root: HTMLElement;
  readonly video: HTMLVideoElement;
  readonly #initials = element("span", { class: "initials", "aria-hidden": "true" });
  readonly #note = element("p", { class: "tile-note", hidden: true }, texts.undecodable);
  readonly #name = element("span", { class: "tile-name-text" });
  readonly #muted = element("span", { class: "tile-muted", role: "img", "aria-label": texts.muted });

  constructor(videoAttributes: Record<string, string>) {
    // Audio elements play the sound. An unmuted video would need permission to play.
    this.video = element("video", { playsinline: true, ...videoAttributes });
    this.video.muted = true;
    this.video.autoplay = true;
    this.#muted.append(icon("microphone", true));
    const name = element("figcaption", { class: "tile-name" }, this.#muted, this.#name);
    this.root = element("figure", { class: "tile" }, this.#initials, this.#note, this.video, name);
  }

  show(content: TileContent): void {
    const label = content.label ?? content.name;
    if (this.#name.textContent !== label) {
      this.#name.textContent = label;
      this.#initials.textContent = initials(content.name);
      this.#initials.style.setProperty("--hue", String(hue(content.name)));
      this.video.setAttribute("aria-label", label);
    }
    const stream = content.stream ?? null;
    if (this.video.srcObject !== stream) this.video.srcObject = stream;
    this.#muted.hidden = !content.muted;
    const isUndecodable = content.undecodable === true && !content.cameraOff;
    this.#note.hidden = !isUndecodable;
    this.root.classList.toggle("has-picture", stream !== null && !content.cameraOff && !isUndecodable);
    this.root.classList.toggle("speaking", content.speaking && !content.muted);
  }

  remove(): void {
    this.video.srcObject = null;
    this.root.remove();
  }
}

/** A hue in degrees that depends only on the name. */
function hue(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  return sum;
}
