/** DTLS with the certificates, cipher suites and SRTP profiles of clients, on bad paths, and beside forged records. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { startServer } from "../../../web/e2e/server.mjs";
import { publish } from "./peers.mjs";

const PROFILES = ["SRTP_AEAD_AES_256_GCM", "SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80"];
const CIPHERS = ["AES128-GCM-SHA256", "AES256-GCM-SHA384"];

/** Datagrams of the handshake, counted from 1, that do not arrive. */
const LOST = {
  "the first flight of the client": { out: [1] },
  "the first flight of the server": { in: [1] },
  "the second flight of the client": { out: [2, 3] },
  "the last flight of the server": { in: [2] },
};

/** Records that nobody authenticated. They are discarded (RFC 6347 §4.1.2.7). */
const STRAY = {
  "handshake records of random bytes": [`16fefd${"5a".repeat(90)}`, "16fefd00000000000000030000"],
  "records with a wrong length": [`16fefd0000000000000009ffff${"78".repeat(20)}`, "16"],
  "a record of an unknown type": ["3ffefd000000000000000900" + "0461626364"],
  "a fatal alert": ["15fefd00000000000000010002022a"],
  "close_notify": ["15fefd000000000000000200020100"],
  "application data": [`17fefd00010000000000630028${"a5".repeat(40)}`],
  "a handshake message of 16 MB": ["16fefd000000000000000400100bffffff000500000000000400000000"],
  "a ClientHello cut short": ["16fefd0000000000000005001c010000f00000000000000010fefd" + "00".repeat(14)],
};

let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

describe("connects", { concurrency: 4 }, () => {
  for (const certificate of ["ec", "rsa"]) {
    for (const cipher of CIPHERS) {
      const ciphers = `ECDHE-${certificate === "ec" ? "ECDSA" : "RSA"}-${cipher}:ECDHE-ECDSA-${cipher}`;
      connects(`with ${certificate.toUpperCase()} and ${cipher}`, { certificate, ciphers });
    }
  }
  for (const srtp of PROFILES) connects(`with ${srtp}`, { srtp });
  for (const [name, lose] of Object.entries(LOST)) connects(`without ${name}`, { lose });
  connects("with a ClientHello before the first check", { dtlsFirst: true });
});

describe("no stray record ends a connection:", { concurrency: 4 }, () => {
  for (const [name, records] of Object.entries(STRAY)) {
    for (const when of ["before", "during", "after"]) {
      connects(`${name} ${when} the handshake`, { stray: { records, when } });
    }
  }
});

function connects(name, options) {
  test(name, { timeout: 60_000 }, async (t) => {
    const publisher = await publish(t, server, name.replace(/\W+/g, "-"), options);
    assert.ok(await publisher.engine.isAnswered(), "the peer is gone");
    assert.equal(await publisher.engine.state(), "connected");
  });
}
