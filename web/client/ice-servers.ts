import type { Signalling } from "./signalling.ts";

/**
 * The ICE servers for the first offer (protocol §4). They are fetched before it, so that the browser gathers relayed
 * candidates at once: where only TURN works, media would otherwise wait for a failed attempt without it.
 */
export class IceServers {
  readonly #signalling: Signalling;
  #fetched: { servers: RTCIceServer[]; until: number } | undefined;
  #request: Promise<RTCIceServer[]> | undefined;

  constructor(signalling: Signalling) {
    this.#signalling = signalling;
  }

  /** Resolves with ICE servers whose credentials are valid; with none if the server cannot be asked. */
  get(): Promise<RTCIceServer[]> {
    if (this.#fetched !== undefined && performance.now() < this.#fetched.until) {
      return Promise.resolve(this.#fetched.servers);
    }
    this.#request ??= this.#fetch().finally(() => (this.#request = undefined));
    return this.#request;
  }

  async #fetch(): Promise<RTCIceServer[]> {
    try {
      const { ice_servers: servers, ttl } = await this.#signalling.requestIceServers();
      // Half of the time is left for the checks of a connection that begins with them.
      this.#fetched = { servers, until: performance.now() + ttl * 500 };
      return servers;
    } catch (error) {
      console.warn("There are no ICE servers yet:", error);
      return [];
    }
  }
}
