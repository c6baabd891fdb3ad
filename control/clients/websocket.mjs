/** Adds the global WebSocket that Node.js 20 lacks. */
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;
