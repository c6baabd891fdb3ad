/** A bad network between pages and the server, which delays and loses datagrams. */
import { createSocket } from "node:dgram";
import { once } from "node:events";

/** The longest queue in milliseconds. Datagrams beyond it are lost. */
const MOST_WAITING_MS = 300;

/**
 * Relays datagrams to and from `ports` of the loopback interface. In each direction it loses the share `loss`, chosen
 * by `seed`, and delays the rest by `delay` milliseconds. Towards the pages it passes `rate` bits a second.
 */
export async function badNetwork(ports, { loss = 0, delay = 0, rate = Infinity, seed = 1 }) {
  const random = generator(seed);
  const counts = { up: { passed: 0, lost: 0 }, down: { passed: 0, lost: 0 } };
  let freeAt = 0;
  const queue = (bytes) => {
    const now = performance.now();
    freeAt = Math.max(freeAt, now) + (8_000 * bytes) / rate;
    return freeAt - now;
  };
  const pass = (count, bytes, send) => {
    if (random() < loss || (count === counts.down && freeAt > performance.now() + MOST_WAITING_MS)) {
      return void count.lost++;
    }
    count.passed++;
    setTimeout(send, delay + (count === counts.down ? queue(bytes) : 0));
  };
  const relays = await Promise.all(ports.map((port) => relay(port, counts, pass)));
  return {
    counts,
    /** For `throughBadNetwork`: the relay's port for each real port. */
    ports: Object.fromEntries(relays.map(({ port, instead }) => [port, instead])),
    /** Changes the rate towards the pages. */
    limit(bitsPerSecond) {
      rate = bitsPerSecond;
    },
    close: () => relays.forEach((relay) => relay.close()),
  };
}

/** Uses a socket for each client, so that the server sees different addresses. */
async function relay(port, { up, down }, pass) {
  const front = await bound();
  const backs = new Map();
  const open = [front];
  front.on("message", async (datagram, client) => {
    const key = `${client.address}:${client.port}`;
    if (!backs.has(key)) {
      const opening = bound();
      backs.set(key, opening);
      opening.then((back) => {
        open.push(back);
        back.on("message", (datagram) => {
          pass(down, datagram.length, () => send(front, datagram, client.port, client.address));
        });
      });
    }
    const back = await backs.get(key);
    pass(up, datagram.length, () => send(back, datagram, port, "127.0.0.1"));
  });
  return { port, instead: front.address().port, close: () => open.splice(0).forEach(close) };

  function send(socket, datagram, port, address) {
    // A delayed datagram may be due after the end of the test.
    if (open.includes(socket)) socket.send(datagram, port, address);
  }
}

async function bound() {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

function close(socket) {
  socket.close();
}

/** A seeded generator of numbers from 0 to 1: xorshift32. */
function generator(seed) {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * Runs in a page before its own scripts: makes it reach the media ports only through the bad network, and not by TCP,
 * for example. Chromium and Firefox know the server's address only from the answer.
 */
export function throughBadNetwork(ports) {
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  const detour = (line) => {
    if (!line.startsWith("a=candidate:")) return [line];
    const [, before, port, after] = /^(\S+ \d+ udp \d+ \S+ )(\d+)( .*)$/i.exec(line) ?? [];
    return port in ports ? [`${before}${ports[port]}${after}`] : [];
  };
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split("\r\n").flatMap(detour);
    return setRemoteDescription.call(this, { type, sdp: lines.join("\r\n") });
  };
}
