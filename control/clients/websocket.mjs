/** Gives Node.js 20 the WebSocket that browsers and later versions have. */
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;
