"""GStreamer's webrtcbin as a client. It runs with Debian's Python, which has GStreamer's bindings."""

import asyncio
import re

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402
from program import serve  # noqa: E402

Direction = GstWebRTC.WebRTCRTPTransceiverDirection

VIDEO = "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96"
AUDIO = "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=97"
SENDERS = {
    "microphone": f'audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=97 ! capsfilter caps="{AUDIO}"',
    "camera": "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=20/1 ! vp8enc deadline=1"
    f' keyframe-max-dist=60 ! rtpvp8pay pt=96 picture-id-mode=15-bit ! capsfilter caps="{VIDEO}"',
}
SENDERS["screen"] = SENDERS["camera"].replace("640,height=360", "320,height=180")


class Client:
    def __init__(self):
        self.pipeline = Gst.Pipeline.new()
        self.connection = Gst.ElementFactory.make("webrtcbin")
        self.connection.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.connection)
        self.connection.connect("pad-added", self.count)
        # A transceiver for each source; slots have numbers.
        self.transceivers = {}
        self.packets = {}

    def version(self):
        return ".".join(str(part) for part in Gst.version()[:3])

    async def open(self, slots):
        self.pipeline.set_state(Gst.State.PLAYING)
        await self.publish("microphone")
        await self.publish("camera")
        for slot, caps in enumerate([AUDIO] * slots["audioSlots"] + [VIDEO] * slots["videoSlots"]):
            transceiver = self.connection.emit("add-transceiver", Direction.RECVONLY, Gst.Caps.from_string(caps))
            self.transceivers[slot] = transceiver

    async def publish(self, source):
        sender = Gst.parse_bin_from_description(SENDERS[source], True)
        self.pipeline.add(sender)
        pad = self.connection.request_pad_simple("sink_%u")
        sender.get_static_pad("src").link(pad)
        sender.sync_state_with_parent()
        # An offer has the SSRC once the capabilities are known.
        while not pad.get_current_caps():
            await asyncio.sleep(0.01)
        transceiver = pad.get_property("transceiver")
        transceiver.set_property("direction", Direction.SENDONLY)
        self.transceivers[source] = transceiver

    def offer(self):
        text = self.promised("create-offer", None, lambda reply: reply.get_value("offer").sdp.as_text())
        self.promised("set-local-description", description(GstWebRTC.WebRTCSDPType.OFFER, text))
        # A transceiver knows its mid only after the answer. The m-lines are in the order of creation.
        mids = dict(zip(re.findall(r"^a=mid:(\S+)", text, re.MULTILINE), self.transceivers, strict=True))
        sending = {mid: source for mid, source in mids.items() if self.is_sending(source)}
        return {"sdp": text, "mids": sending}

    def answer(self, text):
        self.promised("set-remote-description", description(GstWebRTC.WebRTCSDPType.ANSWER, text))

    def promised(self, action, argument, read=lambda reply: None):
        """Emits an action, waits for its promise, and returns what `read` takes from the reply."""
        promise = Gst.Promise.new()
        self.connection.emit(action, argument, promise)
        promise.wait()
        # The reply lives as long as the promise.
        reply = promise.get_reply()
        if reply and reply.has_field("error"):
            raise RuntimeError(f"{action}: {reply.get_value('error')}")
        return read(reply)

    def state(self):
        return self.connection.get_property("connection-state").value_nick

    def pause(self):
        self.set_direction(["microphone", "camera"], Direction.INACTIVE)

    def resume(self):
        self.set_direction(["microphone", "camera"], Direction.SENDONLY)

    def set_direction(self, sources, direction):
        for source in sources:
            self.transceivers[source].set_property("direction", direction)

    def is_sending(self, source):
        return self.transceivers[source].get_property("direction") == Direction.SENDONLY

    async def addScreen(self):
        await self.publish("screen")

    def removeScreen(self):
        # It cannot stop a transceiver.
        self.set_direction(["screen"], Direction.INACTIVE)

    def count(self, _, pad):
        """Counts the packets of a remote stream."""
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        transceiver = pad.get_property("transceiver")
        mid = transceiver.get_property("mid")
        self.packets[mid] = 0

        def add(*_):
            self.packets[mid] += 1
            return Gst.PadProbeReturn.OK

        pad.add_probe(Gst.PadProbeType.BUFFER, add)
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def received(self):
        return [{"mid": mid, "packets": packets} for mid, packets in self.packets.items()]

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)


def description(type, text):
    _, sdp = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(type, sdp)


async def main():
    Gst.init(None)
    await serve(Client())


asyncio.run(main())
