"""aiortc, a WebRTC stack in Python, as a client."""

import array
import asyncio
import math

import aiortc
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from program import serve

# 20 ms of a tone of 500 Hz, at 8 kHz like the frames of AudioStreamTrack.
TONE = array.array("h", (int(8000 * math.sin(2 * math.pi * n / 16)) for n in range(160))).tobytes()


class ToneTrack(AudioStreamTrack):
    async def recv(self):
        frame = await super().recv()
        frame.planes[0].update(TONE)
        return frame


class Client:
    def __init__(self):
        # With "balanced", the second m-line of a kind stays on a transport that the bundle gives up.
        self.connection = RTCPeerConnection(RTCConfiguration(bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.connection.on("track", self.count)
        self.sources = {}
        self.frames = {}
        self.tasks = set()

    def version(self):
        return aiortc.__version__

    def open(self, slots):
        self.publish("microphone", ToneTrack())
        self.publish("camera", VideoStreamTrack())
        for kind in ["audio"] * slots["audioSlots"] + ["video"] * slots["videoSlots"]:
            self.connection.addTransceiver(kind, direction="recvonly")

    def publish(self, source, track):
        self.sources[source] = self.connection.addTransceiver(track, direction="sendonly")

    async def offer(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        mids = {t.mid: source for source, t in self.sources.items() if t.direction == "sendonly"}
        return {"sdp": self.connection.localDescription.sdp, "mids": mids}

    async def answer(self, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    def state(self):
        return self.connection.connectionState

    def pause(self):
        for transceiver in self.sources.values():
            transceiver.direction = "inactive"

    def resume(self):
        for transceiver in self.sources.values():
            transceiver.direction = "sendonly"

    def addScreen(self):
        self.publish("screen", VideoStreamTrack())

    def removeScreen(self):
        # An offer of aiortc keeps each m-line; stop() ends its track alone.
        self.sources.pop("screen").direction = "inactive"

    def count(self, track):
        """Decodes a remote track and counts its frames."""
        self.frames[track] = 0

        async def decode():
            try:
                while True:
                    await track.recv()
                    self.frames[track] += 1
            except MediaStreamError:
                pass

        self.tasks.add(asyncio.ensure_future(decode()))

    def received(self):
        return [
            {"mid": t.mid, "kind": t.kind, "packets": self.frames[t.receiver.track], "frames": self.frames[t.receiver.track]}
            for t in self.connection.getTransceivers()
            if t.receiver.track in self.frames
        ]

    async def close(self):
        await self.connection.close()


async def main():
    await serve(Client())


asyncio.run(main())
