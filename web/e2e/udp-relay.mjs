/** A bad network between pages and the server: datagrams come late, and some of them never. */
import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What more than so many milliseconds of datagrams wait for is lost. */
const MOST_WAITING_MS = 300;

/**
 * Stands before `ports` of the loopback interface. `loss` is the share of datagrams that is lost, `delay` the
 * milliseconds that the others take, both in either direction; `seed` says which ones are lost. `rate` is how many bits
 * a second come through towards the pages; what can't wait for them is lost.
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
    /** The port to send to instead, by the real one. For `throughBadNetwork`. */
    ports: Object.fromEntries(relays.map(({ port, instead }) => [port, instead])),
    /** Lets so many bits a second through from now on. */
    limit(bitsPerSecond) {
      rate = bitsPerSecond;
    },
    close: () => relays.forEach((relay) => relay.close()),
  };
}

/** Has a socket of its own for each client, so that the server can tell them apart by their addresses. */
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
    // A datagram may still be on its way when the test ends.
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

/** Numbers from 0 to 1, the same ones for the same seed: xorshift32. */
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
 * Runs in a page before its own scripts: has it reach the media ports through the bad network and by no other way, TCP
 * say. Chromium and Firefox take the server's address from the answer alone.
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
