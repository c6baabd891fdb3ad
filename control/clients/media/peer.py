"""A peer of parts: SDP by hand, ICE by aioice, DTLS by OpenSSL, SRTP by libsrtp. Tests tell it what no whole client does.

A client of program.mjs. It has one UDP socket, and checks the server's first UDP candidate. A publishing m-line sends
VP8, one packet a frame.
"""

import asyncio
import json
import os
import pathlib
import random
import re
import struct
import time

from aioice import stun
from aiortc.rtcdtlstransport import SRTP_PROFILES, certificate_digest, generate_certificate
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import RTCP_PSFB_PLI, HeaderExtensionsMap, RtcpPacket, RtcpPsfbPacket, RtpPacket, is_rtcp
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from program import serve
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
KEY_FRAME = bytes.fromhex(json.loads((pathlib.Path(__file__).parent / "frames.json").read_text())["vp8"]["320"])
# Without the inverse key frame flag (RFC 6386 §9.1) it is taken for a key frame. Nobody decodes what the peer sends.
OTHER_FRAME = bytes([KEY_FRAME[0] | 1]) + KEY_FRAME[1:100]
FRAMES_PER_SECOND = 30
# The time between two checks for consent, in seconds (RFC 7675 §5.1 has 5 on average).
CHECK_PERIOD = 2.5
# The longest DTLS datagram, and the length of a record's header (RFC 6347 section 4.1), in bytes.
MTU = 1200
RECORD_HEADER = 13


class Peer(asyncio.DatagramProtocol):
    def __init__(self):
        self.lines = []
        self.streams = {}
        self.received_packets = {}
        self.key_frame_requests = []
        self.stun_answers = {}
        self.tasks = set()
        self.dtls = self.outgoing = self.incoming = None
        self.is_closed_by_server = False
        self.is_checking = True

    async def open(self, options):
        """Options: `certificate` ("ec", "rsa"), `ciphers`, `srtp` (a profile by OpenSSL's name), `origin` (the value of
        o=), `stray` (what to send beside the handshake: see `disturb`), `lose` (numbers of DTLS datagrams: see `passes`),
        `dtlsFirst` (to begin DTLS before the first check)."""
        self.options = options
        if options.get("certificate") == "rsa":
            self.key = rsa.generate_private_key(65537, 2048)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = generate_certificate(self.key)
        self.origin = options.get("origin", f"- {random.getrandbits(62)} 1 IN IP4 127.0.0.1")
        self.datagrams = {"in": 0, "out": 0}
        self.restartIce()
        self.socket, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))

    def restartIce(self):
        """The next offer has new credentials. They are used once its answer comes."""
        self.offered = os.urandom(6).hex(), os.urandom(12).hex()

    def setOrigin(self, origin):
        self.origin = origin

    # -- SDP --

    def setLines(self, lines):
        """The m-lines of the next offer: `direction`, and for those that send `ssrc`; `port` is 9 by default."""
        self.lines = lines

    def offer(self):
        """Offers video m-lines; those that send are the camera and the screen."""
        mids = [str(number) for number in range(len(self.lines))]
        sections = [self.section(mid, line) for mid, line in zip(mids, self.lines, strict=True)]
        bundled = " ".join(mid for mid, line in zip(mids, self.lines, strict=True) if line.get("port") != 0)
        head = ["v=0", f"o={self.origin}", "s=-", "t=0 0", f"a=group:BUNDLE {bundled}"]
        sending = [mid for mid, line in zip(mids, self.lines, strict=True) if line["direction"] == "sendonly"]
        return {"sdp": "\r\n".join([*head, *sections, ""]), "mids": dict(zip(sending, ["camera", "screen"]))}

    def section(self, mid, line):
        ufrag, password = self.offered
        rows = [
            f"m=video {line.get('port', 9)} UDP/TLS/RTP/SAVPF 96",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{mid}",
            f"a={line['direction']}",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{password}",
            f"a=fingerprint:sha-256 {certificate_digest(self.certificate, 'sha-256')}",
            "a=setup:actpass",
            "a=rtcp-mux",
            f"a=extmap:1 {MID}",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack pli",
        ]
        if "ssrc" in line:
            rows.append(f"a=ssrc:{line['ssrc']} cname:peer")
        return "\r\n".join(rows)

    async def answer(self, sdp):
        """Applies an answer. The first one starts the connection, which `state` reports."""
        value = lambda name: re.search(rf"^a={name}:(\S+)", sdp, re.MULTILINE)[1]
        self.local, self.remote = self.offered, (value("ice-ufrag"), value("ice-pwd"))
        self.mids = {}
        for section in sdp.split("\nm=")[1:]:
            if ssrc := re.search(r"^a=ssrc:(\d+)", section, re.MULTILINE):
                self.mids[int(ssrc[1])] = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)[1]
        if self.dtls is None:
            candidate = re.search(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+)", sdp, re.MULTILINE)
            self.server = candidate[1], int(candidate[2])
            self.spawn(self.connect())

    # -- connecting --

    async def connect(self):
        if not self.options.get("dtlsFirst"):
            await self.check()
        await self.disturb("before")
        self.start_dtls()
        self.shake_hands()
        await self.disturb("during")
        if self.options.get("dtlsFirst"):
            await asyncio.sleep(0.3)
            await self.check()
        while not self.outgoing:
            await asyncio.sleep(0.05)
            if self.dtls.DTLSv1_get_timeout() == 0:
                self.dtls.DTLSv1_handle_timeout()
                self.flush()
        await self.disturb("after")
        self.spawn(self.keep_checking())

    async def disturb(self, when):
        """Sends the records of the option `stray` at the moment that its `when` names."""
        stray = self.options.get("stray")
        if stray and stray["when"] == when:
            for record in stray["records"]:
                self.socket.sendto(bytes.fromhex(record), self.server)
            await asyncio.sleep(0.1)

    def passes(self, direction):
        """Whether the next DTLS datagram in this direction is not one of those to lose."""
        self.datagrams[direction] += 1
        return self.datagrams[direction] not in self.options.get("lose", {}).get(direction, [])

    def send_check(self, socket, nominate):
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote[0]}:{self.local[0]}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLING"] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.remote[1].encode())
        socket.sendto(bytes(request), self.server)
        return request.transaction_id

    async def check(self, nominate=True):
        """Sends a connectivity check until it is answered."""
        for _ in range(20):
            transaction = self.send_check(self.socket, nominate)
            for _ in range(10):
                if transaction in self.stun_answers:
                    return True
                await asyncio.sleep(0.02)
        return False

    async def keep_checking(self):
        while True:
            await asyncio.sleep(CHECK_PERIOD)
            if self.is_checking:
                self.send_check(self.socket, nominate=self.nominates)

    nominates = True

    def stopChecks(self):
        self.is_checking = False

    async def nominateElsewhere(self):
        """Nominates a path from another socket, on which nothing is received, and never nominates again."""
        elsewhere, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", 0)
        )
        self.nominates = False
        self.send_check(elsewhere, nominate=True)

    def start_dtls(self):
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        context.set_cipher_list(self.options.get("ciphers", "ECDHE+AESGCM").encode())
        offered = self.options.get("srtp")
        self.profiles = [p for p in SRTP_PROFILES if offered in (None, p.openssl_profile.decode())]
        context.set_tlsext_use_srtp(b":".join(p.openssl_profile for p in self.profiles))
        self.dtls = SSL.Connection(context)
        self.dtls.set_connect_state()
        self.dtls.set_ciphertext_mtu(MTU)

    def shake_hands(self):
        try:
            self.dtls.do_handshake()
        except SSL.WantReadError:
            self.flush()
            return
        except SSL.Error as error:
            self.failure = str(error)
            return
        self.flush()
        name = self.dtls.get_selected_srtp_profile()
        profile = next(p for p in self.profiles if p.openssl_profile == name)
        material = self.dtls.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        self.outgoing, self.incoming = [
            Session(
                Policy(
                    key=profile.get_key_and_salt(material, side),
                    ssrc_type=direction,
                    srtp_profile=profile.libsrtp_profile,
                )
            )
            for side, direction in [(0, Policy.SSRC_ANY_OUTBOUND), (1, Policy.SSRC_ANY_INBOUND)]
        ]

    failure = None

    def flush(self):
        """Sends what OpenSSL has written. It writes records one after the other, and a datagram has whole ones."""
        written, datagram = b"", b""
        try:
            while True:
                written += self.dtls.bio_read(65536)
        except SSL.WantReadError:
            pass
        while written:
            length = RECORD_HEADER + int.from_bytes(written[RECORD_HEADER - 2 : RECORD_HEADER], "big")
            record, written = written[:length], written[length:]
            if len(datagram + record) > MTU:
                self.send_dtls(datagram)
                datagram = b""
            datagram += record
        if datagram:
            self.send_dtls(datagram)

    def send_dtls(self, datagram):
        if self.passes("out"):
            self.socket.sendto(datagram, self.server)

    def state(self):
        if self.failure:
            raise RuntimeError(self.failure)
        if self.is_closed_by_server:
            return "closed"
        return "connected" if self.outgoing else "connecting"

    async def isAnswered(self):
        """Whether the server answers a check."""
        return await self.check()

    # -- receiving --

    def datagram_received(self, data, _):
        if data[0] < 4:
            self.stun_answers[stun.parse_message(data).transaction_id] = data
        elif 20 <= data[0] < 64:
            if self.dtls and self.passes("in"):
                self.receive_dtls(data)
        elif self.incoming and not is_rtcp(data):
            ssrc = RtpPacket.parse(self.incoming.unprotect(data)).ssrc
            self.received_packets[ssrc] = self.received_packets.get(ssrc, 0) + 1
        elif self.incoming:
            for packet in RtcpPacket.parse(self.incoming.unprotect_rtcp(data)):
                if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI:
                    self.key_frame_requests.append(time.monotonic())
                    if packet.media_ssrc in self.streams:
                        self.streams[packet.media_ssrc].needs_key_frame = True

    def receive_dtls(self, data):
        self.dtls.bio_write(data)
        if not self.outgoing:
            self.shake_hands()
            return
        try:
            self.dtls.recv(2048)
        except SSL.ZeroReturnError:
            self.is_closed_by_server = True
        except SSL.Error:
            self.flush()

    def received(self):
        return [{"mid": self.mids.get(ssrc), "packets": n} for ssrc, n in self.received_packets.items()]

    def keyFrameRequests(self):
        """The seconds since each key frame request."""
        now = time.monotonic()
        return [now - at for at in self.key_frame_requests]

    def requestKeyFrame(self):
        for ssrc in self.mids:
            self.outgoing and self.socket.sendto(
                self.outgoing.protect_rtcp(bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, ssrc))), self.server
            )

    # -- sending --

    def play(self, options):
        """Sends a stream, which goes on where one of the same `ssrc` stopped: with its `mid`, from the sequence number
        `first`; with `isDeaf` it answers no key frame request."""
        stream = self.streams.setdefault(options["ssrc"], Stream(options))
        stream.is_playing = True
        self.spawn(self.send(stream))

    def stop(self, ssrc):
        self.streams[ssrc].is_playing = False

    async def send(self, stream):
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while stream.is_playing:
            packet = stream.next_packet().serialize(EXTENSIONS)
            self.socket.sendto(self.outgoing.protect(packet), self.server)
            next_at += 1 / FRAMES_PER_SECOND
            await asyncio.sleep(next_at - loop.time())

    def spawn(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self):
        self.socket.close()


class Stream:
    def __init__(self, options):
        self.ssrc, self.mid = options["ssrc"], options["mid"]
        self.number = options.get("first", random.randrange(20_000))
        self.timestamp = random.getrandbits(31)
        self.is_deaf = options.get("isDeaf", False)
        self.needs_key_frame = not self.is_deaf

    def next_packet(self):
        is_key = self.needs_key_frame and not self.is_deaf
        self.needs_key_frame = False
        # X, S; I; a picture id of 15 bits (RFC 7741 §4.2).
        descriptor = b"\x90\x80" + struct.pack("!H", 0x8000 | self.number & 0x7FFF)
        packet = RtpPacket(96, 1, self.number & 0xFFFF, self.timestamp, self.ssrc)
        packet.payload = descriptor + (KEY_FRAME if is_key else OTHER_FRAME)
        packet.extensions.mid = self.mid
        self.number += 1
        self.timestamp = self.timestamp + 90_000 // FRAMES_PER_SECOND & 0xFFFFFFFF
        return packet


EXTENSIONS = HeaderExtensionsMap()
EXTENSIONS.configure(RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(id=1, uri=MID)]))


async def main():
    await serve(Peer())


asyncio.run(main())
