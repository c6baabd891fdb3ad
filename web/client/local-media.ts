/** Why a microphone or camera is not available. */
export type MediaProblem = "denied" | "missing" | "busy" | "insecure";

export interface LocalMediaState {
  microphone: MediaStreamTrack | undefined;
  camera: MediaStreamTrack | undefined;
  /** Set when at least one of the two is missing. */
  problem: MediaProblem | undefined;
}

/**
 * A receiver with enough bandwidth decodes the full size, nine times in a grid of nine. This size is sharp in such a
 * grid and cheap enough for a phone. Chromium does not send smaller pictures in three layers.
 */
const CAMERA: MediaTrackConstraints = {
  width: { ideal: 960 },
  height: { ideal: 540 },
  frameRate: { ideal: 30 },
};

/** The user's own microphone and camera, as far as they are available. */
export class LocalMedia {
  readonly #stream = new MediaStream();
  #problem: MediaProblem | undefined;
  #muted = false;
  #cameraOff = false;
  readonly #lossListeners = new Set<() => void>();

  get state(): LocalMediaState {
    return {
      microphone: this.#stream.getAudioTracks()[0],
      camera: this.#stream.getVideoTracks()[0],
      problem: this.#problem,
    };
  }

  /** For the user's own tile. Undefined without a camera: a stream without video would delay the page's load event. */
  get preview(): MediaStream | undefined {
    return this.state.camera && this.#stream;
  }

  get muted(): boolean {
    return this.#muted || this.state.microphone === undefined;
  }

  set muted(muted: boolean) {
    this.#muted = muted;
    for (const track of this.#stream.getAudioTracks()) track.enabled = !muted;
  }

  get cameraOff(): boolean {
    return this.#cameraOff || this.state.camera === undefined;
  }

  set cameraOff(off: boolean) {
    this.#cameraOff = off;
    for (const track of this.#stream.getVideoTracks()) track.enabled = !off;
  }

  /** Requests the devices that are missing. Never fails: `state.problem` says why a device is not available. */
  async open(): Promise<LocalMediaState> {
    const { microphone, camera } = this.state;
    const wanted: MediaStreamConstraints[] = [];
    if (microphone === undefined && camera === undefined) {
      // Both together first, so that the browser asks only once.
      wanted.push({ audio: true, video: CAMERA }, { audio: true }, { video: CAMERA });
    } else if (microphone === undefined) {
      wanted.push({ audio: true });
    } else if (camera === undefined) {
      wanted.push({ video: CAMERA });
    }
    this.#problem = undefined;
    for (const constraints of wanted) {
      if (this.#has(constraints)) continue;
      await this.#take(constraints);
    }
    if (this.state.microphone && this.state.camera) this.#problem = undefined;
    return this.state;
  }

  /** Calls `listener` when a device is lost, for example unplugged. Returns a function that removes the listener. */
  whenLost(listener: () => void): () => void {
    this.#lossListeners.add(listener);
    return () => this.#lossListeners.delete(listener);
  }

  #has(constraints: MediaStreamConstraints): boolean {
    const { microphone, camera } = this.state;
    return !((constraints.audio && !microphone) || (constraints.video && !camera));
  }

  async #take(constraints: MediaStreamConstraints): Promise<void> {
    // Browsers hide the devices from pages that were loaded over plain HTTP from another machine.
    if (navigator.mediaDevices === undefined) {
      this.#problem = "insecure";
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      for (const track of stream.getTracks()) this.#add(track);
    } catch (error) {
      this.#problem = problemOf(error);
    }
  }

  #add(track: MediaStreamTrack): void {
    track.enabled = track.kind === "audio" ? !this.#muted : !this.#cameraOff;
    track.contentHint = track.kind === "audio" ? "speech" : "motion";
    track.addEventListener("ended", () => {
      this.#stream.removeTrack(track);
      for (const listener of [...this.#lossListeners]) listener();
    });
    this.#stream.addTrack(track);
  }
}

function problemOf(error: unknown): MediaProblem {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "missing";
  }
}
