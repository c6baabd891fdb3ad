//! Offers with something odd in them: each is an edit of [`BASE`], and either answered or refused with a reason.

use super::*;

/// A microphone, a camera and a video slot.
const BASE: &str = "\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=ice-ufrag:ABCD
a=ice-pwd:ABCDEFGHIJKLMNOPQRSTUVWX
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 1001 1002
a=ssrc:1001 cname:x
a=ssrc:1002 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:2
a=recvonly
a=rtpmap:96 VP8/90000
";

/// The expected outcome of an offer.
#[derive(Clone, Copy)]
enum Expected {
    /// As of [`BASE`].
    Answered,
    /// With these purposes of its m-lines.
    Lines(&'static [&'static str]),
    /// With these texts in the error.
    Refused(&'static [&'static str]),
}

use Expected::{Answered, Lines, Refused};

const ALL: &[&str] = &["publish", "publish", "receive"];
const AND_REFUSED: Expected = Lines(&["publish", "publish", "receive", "refuse"]);
const UFRAG: &str = "a=ice-ufrag:ABCD\na=ice-pwd:ABCDEFGHIJKLMNOPQRSTUVWX\n";
const FINGERPRINT: &str = "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n";
const END: &str = "a=recvonly\na=rtpmap:96 VP8/90000\n";

/// The oddity; the edits, each of which replaces a text wherever it stands; what is expected.
type Case = (&'static str, &'static [(&'static str, &'static str)], Expected);

const MEDIA: &[Case] = &[
    ("nothing", &[], Answered),
    (
        "an unknown medium",
        &[(END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=screen 9 UDP/TLS/RTP/SAVPF 96\na=mid:3\n")],
        AND_REFUSED,
    ),
    (
        "an unknown medium in the bundle",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 0 1 2 3"),
            (END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=screen 9 UDP/TLS/RTP/SAVPF 96\na=mid:3\n"),
        ],
        AND_REFUSED,
    ),
    (
        "real-time text",
        &[(
            END,
            "a=recvonly\na=rtpmap:96 VP8/90000\nm=text 9 RTP/SAVPF 98\na=rtpmap:98 t140/1000\na=mid:3\n",
        )],
        AND_REFUSED,
    ),
    (
        "MSRP",
        &[(
            END,
            "a=recvonly\na=rtpmap:96 VP8/90000\nm=message 7394 TCP/TLS/MSRP *\na=accept-types:text/plain\n",
        )],
        AND_REFUSED,
    ),
    (
        "fax",
        &[(END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=image 9 udptl t38\na=T38FaxVersion:0\n")],
        AND_REFUSED,
    ),
    (
        "floor control",
        &[(END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=application 9 UDP/BFCP *\n")],
        AND_REFUSED,
    ),
    (
        "a data channel behind the media",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 0 1 2 3"),
            (
                END,
                "a=recvonly\na=rtpmap:96 VP8/90000\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:3\na=sctp-port:5000\n",
            ),
        ],
        AND_REFUSED,
    ),
    (
        "a data channel in front of the media",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 3 0 1 2"),
            (
                "m=audio",
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:3\na=sctp-port:5000\nm=audio",
            ),
        ],
        Lines(&["carry", "publish", "publish", "receive"]),
    ),
    (
        "a data channel in the old syntax in front",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 3 0 1 2"),
            (
                "m=audio",
                "m=application 9 DTLS/SCTP 5000\na=mid:3\na=sctpmap:5000 webrtc-datachannel 1024\nm=audio",
            ),
        ],
        Lines(&["carry", "publish", "publish", "receive"]),
    ),
    (
        "an unknown medium in front",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 3 0 1 2"),
            ("m=audio", "m=screen 9 UDP/TLS/RTP/SAVPF 96\na=mid:3\nm=audio"),
        ],
        Lines(&["carry", "publish", "publish", "receive"]),
    ),
    (
        "floor control in front, which can't carry the transport",
        &[
            ("BUNDLE 0 1 2", "BUNDLE 3 0 1 2"),
            ("m=audio", "m=application 9 TCP/BFCP *\na=mid:3\nm=audio"),
        ],
        Lines(&["refuse", "publish", "publish", "receive"]),
    ),
    (
        "no codec in common in front",
        &[("opus/48000/2", "PCMU/8000")],
        Lines(&["carry", "publish", "receive"]),
    ),
    (
        "no codec in common behind",
        &[("VP8/90000", "H261/90000")],
        Lines(&["publish", "refuse", "refuse"]),
    ),
    (
        "no codec in common at all",
        &[("VP8/90000", "H261/90000"), ("opus/48000/2", "PCMU/8000")],
        Lines(&["refuse", "refuse", "refuse"]),
    ),
    (
        "a medium in capital letters",
        &[("m=audio", "m=AUDIO")],
        Lines(&["carry", "publish", "receive"]),
    ),
    ("a number of ports", &[("m=audio 9 ", "m=audio 9/2 ")], Answered),
    ("a port as wide as the grammar", &[("m=audio 9 ", "m=audio 98765432109876543210 ")], Answered),
    ("a port that is no number", &[("m=audio 9 ", "m=audio x ")], Answered),
    ("two spaces in an m-line", &[("m=audio 9 ", "m=audio  9  ")], Answered),
    ("a space behind an m-line", &[("SAVPF 111\n", "SAVPF 111 \n")], Answered),
    ("tabs in an m-line", &[("m=audio 9 ", "m=audio\t9\t")], Answered),
    ("RTP/SAVPF", &[("UDP/TLS/RTP/SAVPF", "RTP/SAVPF")], Answered),
    ("RTP/AVP", &[("UDP/TLS/RTP/SAVPF", "RTP/AVP")], Answered),
    ("UDP/TLS/RTP/SAVP", &[("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP")], Answered),
    ("TCP/DTLS/RTP/SAVPF", &[("UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF")], Answered),
    (
        "a protocol that isn't RTP",
        &[("video 9 UDP/TLS/RTP/SAVPF", "video 9 TCP/MRCPv2")],
        Lines(&["publish", "refuse", "refuse"]),
    ),
    ("no formats", &[("SAVPF 111\n", "SAVPF\n")], Lines(&["carry", "publish", "receive"])),
    (
        "no protocol",
        &[("m=audio 9 UDP/TLS/RTP/SAVPF 111\n", "m=audio 9\n")],
        Refused(&["line 6", "m=audio 9", "protocol"]),
    ),
    (
        "no port",
        &[("m=audio 9 UDP/TLS/RTP/SAVPF 111\n", "m=audio\n")],
        Refused(&["line 6", "m=audio"]),
    ),
    ("an empty m-line", &[("m=audio 9 UDP/TLS/RTP/SAVPF 111\n", "m=\n")], Refused(&["line 6"])),
    ("a format that is no number", &[("SAVPF 96", "SAVPF x 96")], Answered),
    ("formats out of range", &[("SAVPF 96", "SAVPF 128 255 256 99999 96")], Answered),
    ("formats twice", &[("SAVPF 96", "SAVPF 96 96 96")], Answered),
    ("a closed m-line", &[("m=video 9", "m=video 0")], Lines(&["publish", "refuse", "refuse"])),
    (
        "a closed m-line with more zeros",
        &[("m=video 9", "m=video 000")],
        Lines(&["publish", "refuse", "refuse"]),
    ),
    (
        "a closed m-line in front, with all that belongs to the transport",
        &[("m=audio 9", "m=audio 0")],
        Refused(&["line 17", "a=rtcp-mux"]),
    ),
    (
        "only closed m-lines",
        &[("m=audio 9", "m=audio 0"), ("m=video 9", "m=video 0")],
        Lines(&["refuse", "refuse", "refuse"]),
    ),
    (
        "bundle-only",
        &[
            ("m=video 9", "m=video 0"),
            ("a=mid:1\n", "a=mid:1\na=bundle-only\n"),
            ("a=mid:2\n", "a=mid:2\na=bundle-only\n"),
        ],
        Answered,
    ),
    ("bundle-only with a port", &[("a=mid:1\n", "a=mid:1\na=bundle-only\n")], Answered),
    (
        "a closed m-line without a mid",
        &[(END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=video 0 UDP/TLS/RTP/SAVPF 96\n")],
        AND_REFUSED,
    ),
    (
        "two closed m-lines without a mid",
        &[(
            END,
            "a=recvonly\na=rtpmap:96 VP8/90000\nm=video 0 UDP/TLS/RTP/SAVPF 96\nm=audio 0 UDP/TLS/RTP/SAVPF 0\n",
        )],
        Lines(&["publish", "publish", "receive", "refuse", "refuse"]),
    ),
    (
        "a closed m-line with a mid in use",
        &[(END, "a=recvonly\na=rtpmap:96 VP8/90000\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:0\n")],
        AND_REFUSED,
    ),
    (
        "two m-lines in use with one mid",
        &[("a=mid:1", "a=mid:0")],
        Refused(&["line 17", "m=video", "two m-lines"]),
    ),
];

const BUNDLE: &[Case] = &[
    (
        "mids as long as a UUID",
        &[
            ("a=mid:1", "a=mid:7f3c7d70-9f0a-4f2e-a3b4-0a1b2c3d4e5f"),
            ("0 1 2\n", "0 7f3c7d70-9f0a-4f2e-a3b4-0a1b2c3d4e5f 2\n"),
        ],
        Answered,
    ),
    (
        "mids of odd tokens",
        &[("a=mid:1", "a=mid:{v!#$%&'*+-.^_`|~}"), ("0 1 2\n", "0 {v!#$%&'*+-.^_`|~} 2\n")],
        Answered,
    ),
    ("spaces around a mid", &[("a=mid:1", "a=mid: 1 ")], Answered),
    ("an empty mid", &[("a=mid:1", "a=mid:")], Lines(&["publish", "refuse", "receive"])),
    ("a mid with a space", &[("a=mid:1", "a=mid:1 1")], Lines(&["publish", "refuse", "receive"])),
    ("a second mid", &[("a=mid:1\n", "a=mid:1\na=mid:8\n")], Answered),
    ("no mid", &[("a=mid:1\n", "")], Lines(&["publish", "refuse", "receive"])),
    ("no mids", &[("a=mid", "a=middle")], Refused(&["line 6", "m=audio", "a=mid"])),
    ("a mid outside the group", &[("0 1 2\n", "0 2\n")], Lines(&["publish", "refuse", "receive"])),
    ("an unknown mid in the group", &[("0 1 2\n", "9 0 1 2 x\n")], Answered),
    ("a mid in the group twice", &[("0 1 2\n", "0 1 1 0 2\n")], Answered),
    ("spaces in the group", &[("BUNDLE 0 1 2\n", "BUNDLE  0  1 2 \n")], Answered),
    ("another order of the group", &[("BUNDLE 0 1 2", "BUNDLE 2 1 0")], Answered),
    ("another group", &[("a=group:BUNDLE", "a=group:LS 0 1\na=group:BUNDLE")], Answered),
    (
        "two BUNDLE groups",
        &[("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0\na=group:BUNDLE 1 2")],
        Lines(&["publish", "refuse", "refuse"]),
    ),
    (
        "no BUNDLE group",
        &[("a=group:BUNDLE 0 1 2\n", "")],
        Refused(&["line 16", "m=video", "BUNDLE"]),
    ),
    ("an empty BUNDLE group", &[("BUNDLE 0 1 2", "BUNDLE")], Refused(&["BUNDLE"])),
    (
        "no BUNDLE group and one m-line in use",
        &[("a=group:BUNDLE 0 1 2\n", ""), ("m=video 9", "m=video 0")],
        Lines(&["publish", "refuse", "refuse"]),
    ),
];

const TRANSPORT: &[Case] = &[
    (
        "rtcp-mux at session level",
        &[("a=rtcp-mux\n", ""), ("t=0 0\n", "t=0 0\na=rtcp-mux\n")],
        Answered,
    ),
    (
        "rtcp-mux in the last m-line",
        &[("a=rtcp-mux\n", ""), ("a=mid:2\n", "a=mid:2\na=rtcp-mux\n")],
        Answered,
    ),
    ("rtcp-mux-only", &[("a=rtcp-mux\n", "a=rtcp-mux-only\n")], Answered),
    ("no rtcp-mux", &[("a=rtcp-mux\n", "")], Refused(&["line 6", "m=audio", "a=rtcp-mux"])),
    (
        "credentials at session level",
        &[
            (UFRAG, ""),
            ("t=0 0\n", "t=0 0\na=ice-ufrag:ABCD\na=ice-pwd:ABCDEFGHIJKLMNOPQRSTUVWX\n"),
        ],
        Answered,
    ),
    (
        "credentials in the last m-line",
        &[
            (UFRAG, ""),
            ("a=mid:2\n", "a=mid:2\na=ice-ufrag:ABCD\na=ice-pwd:ABCDEFGHIJKLMNOPQRSTUVWX\n"),
        ],
        Answered,
    ),
    (
        "credentials in a closed m-line",
        &[
            (UFRAG, ""),
            (
                END,
                "a=recvonly\na=rtpmap:96 VP8/90000\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=ice-ufrag:ABCD\n",
            ),
        ],
        Refused(&["a=ice-ufrag"]),
    ),
    ("no credentials", &[(UFRAG, "")], Refused(&["no a=ice-ufrag"])),
    ("no password", &[("a=ice-pwd:ABCDEFGHIJKLMNOPQRSTUVWX\n", "")], Answered),
    (
        "a short ufrag",
        &[("a=ice-ufrag:ABCD", "a=ice-ufrag:ABC")],
        Refused(&["line 10", "a=ice-ufrag:ABC", "4 to 256"]),
    ),
    (
        "a short ufrag and a valid one",
        &[("a=ice-ufrag:ABCD", "a=ice-ufrag:ABC"), ("a=mid:2\n", "a=mid:2\na=ice-ufrag:ABCD\n")],
        Answered,
    ),
    (
        "fingerprint at session level",
        &[
            (FINGERPRINT, ""),
            (
                "t=0 0\n",
                "t=0 0\na=fingerprint:SHA-256 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\n",
            ),
        ],
        Answered,
    ),
    (
        "fingerprint in the last m-line",
        &[
            ("a=fingerprint:sha-256", "a=x:"),
            (
                "a=mid:2\n",
                "a=mid:2\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n",
            ),
        ],
        Answered,
    ),
    (
        "another hash beside",
        &[(
            "a=setup",
            "a=fingerprint:sha-1 00:11\na=fingerprint:md5\na=fingerprint:sha-256\na=setup",
        )],
        Answered,
    ),
    (
        "an unreadable fingerprint beside",
        &[("a=setup", "a=fingerprint:sha-256 zz:11\na=setup")],
        Answered,
    ),
    (
        "no readable fingerprint",
        &[("sha-256 00:", "sha-256 0:zz:")],
        Refused(&["line 12", "hexadecimal"]),
    ),
    ("another hash alone", &[("sha-256", "sha-384")], Refused(&["a=fingerprint", "sha-256"])),
    ("setup:active", &[("actpass", "active")], Answered),
    ("setup:holdconn", &[("actpass", "holdconn")], Answered),
    ("no setup", &[("a=setup:actpass\n", "")], Answered),
    (
        "setup:passive",
        &[("actpass", "passive")],
        Refused(&["line 13", "a=setup:passive", "actpass or active"]),
    ),
    (
        "setup:passive in a rejected m-line",
        &[(
            END,
            "a=recvonly\na=rtpmap:96 VP8/90000\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=setup:passive\n",
        )],
        AND_REFUSED,
    ),
    ("ice-lite", &[("t=0 0\n", "t=0 0\na=ice-lite\n")], Answered),
    (
        "ice-options and tls-id",
        &[(
            "a=setup",
            "a=ice-options:ice2 trickle renomination\na=tls-id:91bbf309c0990a6bec11e38ba2933cee\na=setup",
        )],
        Answered,
    ),
    (
        "a crypto line",
        &[(
            "a=setup",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\na=setup",
        )],
        Answered,
    ),
    (
        "malformed candidates",
        &[(
            "a=setup",
            "a=candidate:\na=candidate:x y z\na=candidate:1 1 UDP 99999999999 300.1.1.1 99999 typ host\na=remote-candidates:\na=setup",
        )],
        Answered,
    ),
];

const DIRECTIONS: &[Case] = &[
    (
        "recvonly at session level",
        &[("a=sendonly\n", ""), ("t=0 0\n", "t=0 0\na=recvonly\n")],
        Lines(&["receive", "receive", "receive"]),
    ),
    (
        "inactive at session level",
        &[("a=sendonly\n", ""), ("t=0 0\n", "t=0 0\na=inactive\n")],
        Lines(&["inactive", "inactive", "receive"]),
    ),
    ("another direction at session level", &[("t=0 0\n", "t=0 0\na=inactive\n")], Answered),
    ("no direction", &[("a=sendonly\n", "")], Answered),
    ("sendrecv", &[("a=sendonly\n", "a=sendrecv\n")], Answered),
    ("two directions", &[("a=sendonly\n", "a=sendonly\na=recvonly\n")], Answered),
    ("a direction with a space", &[("a=sendonly\n", "a=sendonly \n")], Answered),
];

const LINES: &[Case] = &[
    (
        "a bandwidth without a number",
        &[("c=IN IP4 0.0.0.0\n", "c=IN IP4 0.0.0.0\nb=AS:\n")],
        Answered,
    ),
    (
        "a bandwidth with a fraction",
        &[("c=IN IP4 0.0.0.0\n", "c=IN IP4 0.0.0.0\nb=AS:512.5\n")],
        Answered,
    ),
    (
        "a bandwidth with a space",
        &[("c=IN IP4 0.0.0.0\n", "c=IN IP4 0.0.0.0\nb=AS: 512\n")],
        Answered,
    ),
    (
        "an unknown bandwidth",
        &[("c=IN IP4 0.0.0.0\n", "c=IN IP4 0.0.0.0\nb=X-YZ:99999999999999999999\nb=\n")],
        Answered,
    ),
    (
        "a bandwidth and a connection behind attributes of the session",
        &[("m=audio", "b=AS:64\nc=IN IP4 0.0.0.0\nm=audio")],
        Answered,
    ),
    ("a bandwidth behind the time", &[("t=0 0\n", "t=0 0\nb=CT:1000\nc=IN IP6 ::\n")], Answered),
    (
        "lines of the session in another order",
        &[(
            "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\n",
            "t=0 0\ns=-\nv=0\no=- 1 1 IN IP4 127.0.0.1\n",
        )],
        Answered,
    ),
    ("a connection that can't be read", &[("IN IP4 0.0.0.0", "IN IP5 nowhere/x/y")], Answered),
    ("no connections", &[("c=IN IP4 0.0.0.0\n", "")], Answered),
    ("no origin, name and time", &[("o=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\n", "")], Answered),
    ("no version", &[("v=0\n", "")], Answered),
    ("another version", &[("v=0\n", "v=1\n")], Answered),
    (
        "an origin with wide numbers",
        &[("o=- 1 1 ", "o=- 99999999999999999999999 99999999999999999999999 ")],
        Answered,
    ),
    ("an origin that can't be read", &[("o=- 1 1 IN IP4 127.0.0.1", "o=")], Answered),
    ("times that can't be read", &[("t=0 0", "t=now then\nr=7d 1h\nz=0 0")], Answered),
    (
        "a key, a title, a phone number and so on",
        &[
            (
                "m=audio",
                "k=prompt\ni=a title\nu=http://example.com\ne=x@example.com\np=+1 617\nm=audio",
            ),
            ("a=mid:1", "i=camera\nk=clear:x\na=mid:1"),
        ],
        Answered,
    ),
    ("an unknown kind of line", &[("a=mid:1", "x=1\nmm=audio\n=\nA=mid:8\na=mid:1")], Answered),
    ("a line without an equals sign", &[("a=mid:1", "nonsense\na\na=mid:1")], Answered),
    ("blank lines", &[("m=video", "\n\nm=video")], Answered),
    ("a byte order mark", &[("v=0", "\u{feff}v=0")], Answered),
    (
        "a control character in an attribute",
        &[("a=mid:1", "a=x:\u{0}\na=rid:\u{7} send\na=mid:1")],
        Answered,
    ),
    ("a control character in an m-line", &[("m=audio 9", "m=audio\u{0} 9")], Refused(&["line 6"])),
    (
        "letters of other scripts",
        &[("s=-", "s=회의"), ("a=mid:1", "a=label:영상\na=mid:1")],
        Answered,
    ),
    ("attributes without a key", &[("a=mid:1", "a=\na=:\na=: x\na=mid:1")], Answered),
];

const ATTRIBUTES: &[Case] = &[
    (
        "an SSRC that is no number",
        &[("a=ssrc:1001", "a=ssrc:x cname:x\na=ssrc:\na=ssrc\na=ssrc:1001")],
        Answered,
    ),
    (
        "an SSRC of more than 32 bits",
        &[("a=ssrc:1001", "a=ssrc:4294967296 cname:x\na=ssrc:1001")],
        Answered,
    ),
    ("an SSRC without an attribute", &[("a=ssrc:1001 cname:x", "a=ssrc:1001")], Answered),
    (
        "groups of SSRCs that can't be read",
        &[(
            "a=ssrc-group:FID",
            "a=ssrc-group:FID\na=ssrc-group:FID 1\na=ssrc-group:FID x y\na=ssrc-group:FEC-FR 1 2\na=ssrc-group:SIM 1 2 3\na=ssrc-group:FID",
        )],
        Answered,
    ),
    (
        "header extensions that can't be read",
        &[(
            "a=extmap:4",
            "a=extmap:0 x\na=extmap:\na=extmap:x y\na=extmap:9\na=extmap:256 urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:4096 urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:4",
        )],
        Answered,
    ),
    (
        "header extensions with directions and attributes",
        &[("a=extmap:4 urn", "a=extmap:4/sendonly urn"), (":mid\n", ":mid vad=on x\n")],
        Answered,
    ),
    (
        "mixed header extensions in an m-line",
        &[("a=mid:0", "a=extmap-allow-mixed\na=mid:0")],
        Answered,
    ),
    (
        "codecs that can't be read",
        &[(
            "a=rtpmap:96",
            "a=rtpmap:\na=rtpmap:96\na=rtpmap:x VP8/90000\na=rtpmap:97 rtx\na=rtpmap:200 VP8/90000\na=rtpmap:96",
        )],
        Answered,
    ),
    (
        "codecs in other letters",
        &[("VP8/90000", "vp8/90000"), ("opus/48000/2", "OPUS/48000/2"), ("rtx/", "RTX/")],
        Answered,
    ),
    ("Opus without its channels", &[("opus/48000/2", "opus/48000")], Answered),
    ("Opus with one channel", &[("opus/48000/2", "opus/48000/1")], Answered),
    (
        "another clock rate",
        &[("opus/48000/2", "opus/16000/2")],
        Lines(&["carry", "publish", "receive"]),
    ),
    ("a space behind a codec", &[("VP8/90000\n", "VP8/90000 \n")], Answered),
    ("a payload type without a codec", &[("SAVPF 96", "SAVPF 98 96")], Answered),
    (
        "parameters that can't be read",
        &[("a=fmtp:97", "a=fmtp:\na=fmtp:96\na=fmtp:96 x;;=;y=\na=fmtp:97")],
        Answered,
    ),
    (
        "H264 with a profile that can't be read",
        &[
            ("SAVPF 96", "SAVPF 98 96"),
            ("a=rtpmap:96", "a=rtpmap:98 H264/90000\na=fmtp:98 profile-level-id=high\na=rtpmap:96"),
        ],
        Answered,
    ),
    (
        "feedback that can't be read",
        &[(
            "a=rtcp-fb:96",
            "a=rtcp-fb:\na=rtcp-fb:* \na=rtcp-fb:x nack\na=rtcp-fb:96 trr-int 9999999999\na=rtcp-fb:96",
        )],
        Answered,
    ),
    (
        "RIDs that can't be used",
        &[(
            "a=mid:1",
            "a=rid:\na=rid:a b c\na=rid:a;b send\na=rid:xxxxxxxxxxxxxxxxx send\na=simulcast:\na=mid:1",
        )],
        Answered,
    ),
    (
        "simulcast of an earlier draft",
        &[("a=mid:1", "a=rid:1 send\na=rid:2 send\na=simulcast: send rid=1;2\na=mid:1")],
        Answered,
    ),
    (
        "simulcast that is received",
        &[("a=mid:2", "a=rid:1 recv\na=rid:2 recv\na=simulcast:recv 1;2\na=mid:2")],
        Answered,
    ),
    (
        "streams of odd names",
        &[("a=mid:1", "a=msid:\na=msid:- -\na=msid:a b c\na=msid-semantic:X\na=mid:1")],
        Answered,
    ),
    (
        "attributes about pictures and packets",
        &[(
            "a=mid:1",
            "a=imageattr:* send [x=[1:2]] recv *\na=framerate:29.97\na=ptime:x\na=maxptime:-1\na=content:slides\na=mid:1",
        )],
        Answered,
    ),
    (
        "unknown attributes",
        &[(
            "a=mid:1",
            "a=x-google-flag:conference\na=rtcp:9 IN IP4 0.0.0.0\na=rtcp-xr:rcvr-rtt=all\na=mid:1",
        )],
        Answered,
    ),
];

#[test]
fn an_odd_line_refuses_nothing_that_can_work() {
    let cases = [MEDIA, BUNDLE, TRANSPORT, DIRECTIONS, LINES, ATTRIBUTES].concat();
    assert!(cases.len() >= 120, "{} cases", cases.len());
    for (name, edits, expected) in &cases {
        let mut sdp = BASE.to_owned();
        for (from, to) in *edits {
            assert!(sdp.contains(from), "{name}: {from:?} is not in the offer");
            sdp = sdp.replace(from, to);
        }
        check(name, &sdp.replace('\n', "\r\n"), expected);
        check(name, &sdp, expected);
    }
}

fn check(name: &str, sdp: &str, expected: &Expected) {
    let offer = match (Offer::parse(sdp), expected) {
        (Ok(offer), Answered | Lines(_)) => offer,
        (Err(OfferError::BadSdp(text)), Refused(reasons)) => {
            assert!(reasons.iter().all(|reason| text.contains(reason)), "{name}: {text}");
            return;
        }
        (Ok(_), Refused(_)) => panic!("{name} is answered"),
        (Err(error), _) => panic!("{name}: {error}"),
    };
    invariants::check(sdp, &answer(&offer));
    let lines = if let Lines(lines) = expected { lines } else { ALL };
    let found: Vec<&str> = purposes(&offer).into_iter().map(|(_, purpose, _)| purpose).collect();
    assert_eq!(found, *lines, "{name}");
    if lines.iter().any(|purpose| *purpose != "refuse") {
        assert_eq!(offer.ufrag.as_deref(), Some("ABCD"), "{name}");
        assert_eq!(offer.fingerprints.len(), 1, "{name}");
    }
}

#[test]
fn what_belongs_to_the_tagged_m_line_wins() {
    let tagged = BASE.replace("BUNDLE 0 1 2", "BUNDLE 2 0 1");
    let sdp = tagged.replace("a=mid:2\n", "a=mid:2\na=ice-ufrag:TAGGED\n");
    assert_eq!(Offer::parse(&sdp).unwrap().ufrag.as_deref(), Some("TAGGED"));
    let session = BASE.replace("t=0 0\n", "t=0 0\na=ice-ufrag:SESSION\n");
    assert_eq!(Offer::parse(&session).unwrap().ufrag.as_deref(), Some("ABCD"));
    let untagged = session.replace("BUNDLE 0 1 2", "BUNDLE 1 0 2");
    assert_eq!(Offer::parse(&untagged).unwrap().ufrag.as_deref(), Some("SESSION"));

    let answer = answer(&Offer::parse(&sdp).unwrap());
    assert!(answer.contains("a=group:BUNDLE 2 0 1\r\n"), "{answer}");
    let tagged = answer.split("\r\nm=").nth(3);
    assert!(tagged.is_some_and(|part| part.contains("a=candidate")), "{answer}");
}

#[test]
fn reduced_size_and_mixed_extensions_hold_for_the_bundle() {
    let offer = |sdp: &str| Offer::parse(sdp).unwrap();
    assert!(offer(BASE).has_reduced_size, "the first m-line says so");
    assert!(!offer(&BASE.replace("a=rtcp-rsize\n", "")).has_reduced_size);
    let mixed = BASE.replace("t=0 0\n", "t=0 0\na=extmap-allow-mixed\n");
    assert!(answer(&offer(&mixed)).contains("a=extmap-allow-mixed"));
    assert!(!answer(&offer(BASE)).contains("a=extmap-allow-mixed"));
}

#[test]
fn header_extensions_at_session_level_hold_for_all_m_lines() {
    let level = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    let sdp = BASE.replace("t=0 0\n", &format!("t=0 0\na=extmap:9 {level}\n"));
    let offer = Offer::parse(&sdp).unwrap();
    let Use::Publish(audio) = &offer.media[0].purpose else { panic!("mid 0 publishes") };
    assert_eq!(audio.extensions.id_of(Extension::AudioLevel), Some(9));
}

#[test]
fn a_rejected_m_line_without_a_mid_has_none_in_the_answer() {
    let closed = "m=video 0 UDP/TLS/RTP/SAVPF 96 97\n".repeat(2);
    let answer = answer(&Offer::parse(&format!("{BASE}{closed}")).unwrap());
    let rejected = "m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n";
    assert_eq!(answer.matches(rejected).count(), 2, "{answer}");
}

#[test]
fn a_carrying_m_line_says_what_it_is() {
    let in_front = |line: &str| {
        let sdp = BASE.replace("BUNDLE 0", "BUNDLE d 0").replacen("m=audio", line, 1);
        answer(&Offer::parse(&sdp).unwrap())
    };
    let data = in_front("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:d\nm=audio");
    assert!(data.contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"), "{data}");
    assert!(data.contains("a=sctp-port:5000\r\n") && !data.contains("a=inactive"), "{data}");
    assert!(data.contains("a=group:BUNDLE d 0 1 2\r\n"), "{data}");
    let old = in_front("m=application 9 DTLS/SCTP 4999\na=mid:d\nm=audio");
    assert!(old.contains("a=sctpmap:4999 webrtc-datachannel 1024\r\n"), "{old}");
    let stream = in_front("m=audio 9 UDP/TLS/RTP/SAVPF 0 8\na=mid:d\nm=audio");
    assert!(stream.contains("m=audio 9 UDP/TLS/RTP/SAVPF 0 8\r\n"), "{stream}");
    assert_eq!(stream.matches("a=inactive\r\n").count(), 1, "{stream}");
}

#[test]
fn only_the_first_ssrcs_of_very_many_count() {
    let many: String = (0..1000).map(|ssrc| format!("a=ssrc:{ssrc} cname:x\n")).collect();
    let sdp = BASE.replace("a=ssrc:1001", &format!("{many}a=ssrc:1001"));
    let offer = Offer::parse(&sdp).unwrap();
    let Use::Publish(camera) = &offer.media[1].purpose else { panic!("mid 1 publishes") };
    assert_eq!(camera.ssrcs, Vec::from_iter(0..64));
}

#[test]
fn a_mid_may_have_255_bytes() {
    let with = |length: usize| {
        let mid = "m".repeat(length);
        let sdp = BASE.replace("a=mid:2", &format!("a=mid:{mid}"));
        Offer::parse(&sdp.replace("0 1 2", &format!("0 1 {mid}"))).unwrap()
    };
    assert_eq!(purposes(&with(255))[2].1, "receive");
    assert_eq!(purposes(&with(256))[2].1, "refuse");
    let answer = answer(&with(255));
    assert!(answer.contains("a=msid:slot-at-2 slot-at-2\r\n"), "RFC 8830: at most 64 characters");
}

#[test]
fn lines_and_m_lines_are_bounded() {
    let lines = format!("{BASE}{}", "a=x\n".repeat(40_000));
    let media = format!("{BASE}{}", "m=video 0 UDP/TLS/RTP/SAVPF 96\n".repeat(254));
    let in_use = |count: usize| {
        let mids: Vec<String> = (3..count).map(|mid| mid.to_string()).collect();
        let slots =
            mids.iter().map(|mid| format!("m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:{mid}\n{END}"));
        let group = format!("BUNDLE 0 1 2 {}", mids.join(" "));
        format!("{}{}", BASE.replace("BUNDLE 0 1 2", &group), slots.collect::<String>())
    };
    for (sdp, reason) in [
        (lines, "40000 lines"),
        (media, "256 m-lines"),
        (in_use(81), "81 m-lines in use; at most 80"),
    ] {
        let Err(OfferError::BadSdp(text)) = Offer::parse(&sdp) else { panic!("{reason}") };
        assert!(text.contains(reason), "{text}");
    }
    let closed = "m=video 0 UDP/TLS/RTP/SAVPF 96\n".repeat(100);
    assert!(checked(&format!("{}{closed}", in_use(80))).is_some(), "closed ones don't count");
}

/// Many m-lines with all payload types take no longer per byte than others.
#[test]
fn an_offer_as_long_as_allowed_is_read() {
    let types: Vec<String> = (0..64).chain(96..128).map(|at: u8| at.to_string()).collect();
    let lines: String =
        types.iter().map(|at| format!("a=rtpmap:{at} rtx/90000\na=fmtp:{at} apt={at}\n")).collect();
    let media = format!("m=video 9 UDP/TLS/RTP/SAVPF {}\n{lines}", types.join(" "));
    let sdp =
        format!("{BASE}{}", media.repeat((OfferError::MAX_SDP_BYTES - BASE.len()) / media.len()));
    assert!(sdp.len() > 700_000);
    assert!(checked(&sdp).is_some());
}
