//! The counters of all parts as a page for Prometheus.
//!
//! Parts own plain counters and know no metrics library. Each page is rendered from snapshots, through a registry that
//! lives as long as the page: there is nothing to keep in step, and no global state.
//!
//! Names start with `madang_` and the part (`sfu`, `turn`, `control`), end with their unit, and with `_total` when they
//! only rise (until a restart).

use madang_sfu::Stats as SfuStats;
use madang_turn::{Refused, Stats as TurnStats};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::hub::ControlStats;

/// The `Content-Type` of the page.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What all parts counted, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// One per media worker, in their order.
    pub sfu: Vec<SfuStats>,
    /// None when the TURN server is off.
    pub turn: Option<TurnStats>,
    /// Of the control plane.
    pub control: ControlStats,
}

/// Renders the page.
///
/// # Errors
/// When two families have one name, or a name is not one; the tests render every family.
pub fn render(snapshot: &Snapshot) -> prometheus::Result<String> {
    let registry = Registry::new();
    build_info(&registry)?;
    let workers: Vec<(String, SfuStats)> = snapshot
        .sfu
        .iter()
        .enumerate()
        .map(|(n, stats)| (n.to_string(), *stats))
        .collect();
    for family in SFU {
        let samples = workers
            .iter()
            .map(|(worker, stats)| (worker.as_str(), (family.value)(stats)));
        register(&registry, family, "worker", samples)?;
    }
    if let Some(turn) = &snapshot.turn {
        for family in TURN {
            register_one(&registry, family, (family.value)(turn))?;
        }
        let refused = REFUSED
            .iter()
            .map(|(code, value)| (*code, value(&turn.refused)));
        register(&registry, &TURN_REFUSED, "code", refused)?;
    }
    for family in CONTROL {
        register_one(&registry, family, (family.value)(&snapshot.control))?;
    }
    register(
        &registry,
        &CONTROL_ERRORS,
        "code",
        snapshot.control.errors.iter().copied(),
    )?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

/// A metric family over the counters `S`.
struct Family<S> {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    value: fn(&S) -> u64,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Only rises.
    Counter,
    /// What is at the moment.
    Gauge,
}

const fn counter<S>(name: &'static str, help: &'static str, value: fn(&S) -> u64) -> Family<S> {
    Family {
        name,
        help,
        kind: Kind::Counter,
        value,
    }
}

const fn gauge<S>(name: &'static str, help: &'static str, value: fn(&S) -> u64) -> Family<S> {
    Family {
        name,
        help,
        kind: Kind::Gauge,
        value,
    }
}

const SFU: &[Family<SfuStats>] = &[
    gauge("madang_sfu_rooms", "Rooms with at least one peer.", |s| {
        s.rooms
    }),
    gauge("madang_sfu_peers", "Peers.", |s| s.peers),
    gauge(
        "madang_sfu_connected_peers",
        "Peers whose ICE and DTLS are up.",
        |s| s.connected_peers,
    ),
    counter(
        "madang_sfu_rtp_received_packets_total",
        "RTP packets received and authenticated.",
        |s| s.rtp_received,
    ),
    counter(
        "madang_sfu_rtp_received_bytes_total",
        "Bytes of received RTP packets, with headers, before decryption.",
        |s| s.rtp_received_bytes,
    ),
    counter(
        "madang_sfu_rtp_sent_packets_total",
        "RTP packets sent.",
        |s| s.rtp_sent,
    ),
    counter(
        "madang_sfu_rtp_sent_bytes_total",
        "Bytes of sent RTP packets, with headers, after encryption.",
        |s| s.rtp_sent_bytes,
    ),
    counter(
        "madang_sfu_rtcp_received_packets_total",
        "RTCP packets received and authenticated.",
        |s| s.rtcp_received,
    ),
    counter(
        "madang_sfu_rtcp_sent_packets_total",
        "RTCP packets sent.",
        |s| s.rtcp_sent,
    ),
    counter(
        "madang_sfu_pli_sent_total",
        "Picture Loss Indications sent to publishers.",
        |s| s.pli_sent,
    ),
    counter(
        "madang_sfu_pli_received_total",
        "Picture Loss Indications and Full Intra Requests received from subscribers.",
        |s| s.pli_received,
    ),
    counter(
        "madang_sfu_dropped_unknown_datagrams_total",
        "Datagrams dropped because no protocol of RFC 7983 starts with their first byte.",
        |s| s.dropped_unknown,
    ),
    counter(
        "madang_sfu_dropped_unvalidated_datagrams_total",
        "Datagrams dropped because they came from an address that no ICE check validated.",
        |s| s.dropped_unvalidated,
    ),
    counter(
        "madang_sfu_dropped_stun_messages_total",
        "STUN messages dropped: malformed, for no known peer, or with a wrong MESSAGE-INTEGRITY.",
        |s| s.dropped_stun,
    ),
    counter(
        "madang_sfu_dropped_srtp_packets_total",
        "SRTP and SRTCP packets dropped: malformed, replayed, or with a wrong authentication tag.",
        |s| s.dropped_srtp,
    ),
    counter(
        "madang_sfu_dropped_unnegotiated_packets_total",
        "RTP packets dropped because their SSRC or payload type was not negotiated.",
        |s| s.dropped_unnegotiated,
    ),
    counter(
        "madang_sfu_send_refused_datagrams_total",
        "Datagrams that the socket refused to send: full buffer, unreachable network.",
        |s| s.send_refused,
    ),
];

const TURN: &[Family<TurnStats>] = &[
    gauge("madang_turn_allocations", "Allocations.", |s| s.allocations),
    counter(
        "madang_turn_allocations_created_total",
        "Allocations made.",
        |s| s.allocations_created,
    ),
    counter(
        "madang_turn_allocations_expired_total",
        "Allocations that ended because nobody refreshed them.",
        |s| s.allocations_expired,
    ),
    counter(
        "madang_turn_allocations_deleted_total",
        "Allocations that their client ended.",
        |s| s.allocations_deleted,
    ),
    counter(
        "madang_turn_bindings_total",
        "Binding requests answered with success.",
        |s| s.bindings,
    ),
    counter(
        "madang_turn_to_media_packets_total",
        "Datagrams handed to the media engine.",
        |s| s.to_media_packets,
    ),
    counter(
        "madang_turn_to_media_bytes_total",
        "Bytes of datagrams handed to the media engine, without TURN framing.",
        |s| s.to_media_bytes,
    ),
    counter(
        "madang_turn_to_client_packets_total",
        "Datagrams of the media engine framed for a client.",
        |s| s.to_client_packets,
    ),
    counter(
        "madang_turn_to_client_bytes_total",
        "Bytes of datagrams of the media engine framed for a client, without TURN framing.",
        |s| s.to_client_bytes,
    ),
    counter(
        "madang_turn_dropped_malformed_datagrams_total",
        "Datagrams dropped because they are neither well-formed STUN nor well-formed ChannelData.",
        |s| s.dropped_malformed,
    ),
    counter(
        "madang_turn_dropped_unexpected_messages_total",
        "STUN messages dropped because a server has no use for them.",
        |s| s.dropped_unexpected,
    ),
    counter(
        "madang_turn_dropped_no_allocation_datagrams_total",
        "Datagrams dropped because there is no allocation for them.",
        |s| s.dropped_no_allocation,
    ),
    counter(
        "madang_turn_dropped_no_permission_datagrams_total",
        "Datagrams dropped because no permission for the peer is in force (RFC 8656 section 9).",
        |s| s.dropped_no_permission,
    ),
    counter(
        "madang_turn_dropped_no_channel_datagrams_total",
        "ChannelData dropped because the channel is not bound.",
        |s| s.dropped_no_channel,
    ),
    counter(
        "madang_turn_dropped_not_media_datagrams_total",
        "Datagrams dropped because their peer is not a media address of this server.",
        |s| s.dropped_not_media,
    ),
    counter(
        "madang_turn_dropped_too_large_datagrams_total",
        "Datagrams of the media engine dropped because they are too long to be framed.",
        |s| s.dropped_too_large,
    ),
    counter(
        "madang_turn_dropped_answers_total",
        "Answers dropped because earlier ones still waited to be sent.",
        |s| s.dropped_answers,
    ),
    counter(
        "madang_turn_dropped_mailbox_full_datagrams_total",
        "Datagrams of the media engine dropped because the mailbox was full.",
        |s| s.dropped_mailbox_full,
    ),
    counter(
        "madang_turn_send_refused_datagrams_total",
        "Datagrams that the socket didn't take: full buffer, unreachable network.",
        |s| s.send_refused,
    ),
];

const TURN_REFUSED: Family<Refused> = counter(
    "madang_turn_refused_requests_total",
    "Error responses sent, by STUN error code.",
    |_| 0,
);

type RefusedCode = (&'static str, fn(&Refused) -> u64);

const REFUSED: &[RefusedCode] = &[
    ("400", |r| r.bad_request),
    ("401", |r| r.unauthorized),
    ("403", |r| r.forbidden),
    ("420", |r| r.unknown_attributes),
    ("437", |r| r.allocation_mismatch),
    ("438", |r| r.stale_nonce),
    ("440", |r| r.address_family),
    ("441", |r| r.wrong_credentials),
    ("442", |r| r.transport),
    ("443", |r| r.peer_family),
    ("486", |r| r.quota),
    ("508", |r| r.capacity),
];

const CONTROL: &[Family<ControlStats>] = &[
    gauge("madang_control_sessions", "WebSocket connections.", |s| {
        s.sessions
    }),
    gauge("madang_control_subscriptions", "Subscriptions.", |s| {
        s.subscriptions
    }),
    gauge("madang_control_rooms", "Open rooms.", |s| s.rooms),
    gauge(
        "madang_control_participants",
        "Participants in all rooms.",
        |s| s.participants,
    ),
    counter(
        "madang_control_received_frames_total",
        "STOMP frames received, without heart-beats.",
        |s| s.frames_received,
    ),
    counter(
        "madang_control_received_bytes_total",
        "Bytes received in WebSocket messages.",
        |s| s.bytes_received,
    ),
    counter(
        "madang_control_sent_frames_total",
        "STOMP frames sent, without heart-beats.",
        |s| s.frames_sent,
    ),
    counter(
        "madang_control_sent_bytes_total",
        "Bytes sent in WebSocket messages.",
        |s| s.bytes_sent,
    ),
    counter(
        "madang_control_refused_connections_total",
        "Connections refused because a limit was reached.",
        |s| s.connections_refused,
    ),
    counter(
        "madang_control_protocol_errors_total",
        "STOMP ERROR frames sent, each of which ended its connection.",
        |s| s.protocol_errors,
    ),
    counter(
        "madang_control_slow_consumers_total",
        "Connections ended because their client did not read fast enough.",
        |s| s.slow_consumers,
    ),
    counter(
        "madang_control_chat_messages_total",
        "Chat lines stored.",
        |s| s.chat_stored,
    ),
];

const CONTROL_ERRORS: Family<ControlStats> = counter(
    "madang_control_errors_total",
    "Error messages sent, by code.",
    |_| 0,
);

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let family = gauge::<()>(
        "madang_build_info",
        "Always 1; says which version runs.",
        |()| 1,
    );
    register(
        registry,
        &family,
        "version",
        [(env!("CARGO_PKG_VERSION"), 1)].into_iter(),
    )
}

/// A family without labels.
fn register_one<S>(registry: &Registry, family: &Family<S>, value: u64) -> prometheus::Result<()> {
    register_all(registry, family, &[], std::iter::once((vec![], value)))
}

/// A family with one label, and a sample for each of its values.
fn register<'a, S>(
    registry: &Registry,
    family: &Family<S>,
    label: &str,
    samples: impl Iterator<Item = (&'a str, u64)>,
) -> prometheus::Result<()> {
    let samples = samples.map(|(label, value)| (vec![label], value));
    register_all(registry, family, &[label], samples)
}

fn register_all<'a, S>(
    registry: &Registry,
    family: &Family<S>,
    labels: &[&str],
    samples: impl Iterator<Item = (Vec<&'a str>, u64)>,
) -> prometheus::Result<()> {
    let opts = Opts::new(family.name, family.help);
    match family.kind {
        Kind::Counter => {
            let counters = IntCounterVec::new(opts, labels)?;
            for (labels, value) in samples {
                counters
                    .get_metric_with_label_values(&labels)?
                    .inc_by(value);
            }
            registry.register(Box::new(counters))
        }
        Kind::Gauge => {
            let gauges = IntGaugeVec::new(opts, labels)?;
            for (labels, value) in samples {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                gauges.get_metric_with_label_values(&labels)?.set(value);
            }
            registry.register(Box::new(gauges))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_on_the_page_with_help_and_type() {
        let page = render(&snapshot()).unwrap();

        let names = SFU
            .iter()
            .map(|f| f.name)
            .chain(TURN.iter().map(|f| f.name));
        let names = names.chain(CONTROL.iter().map(|f| f.name));
        for name in names.chain([TURN_REFUSED.name, CONTROL_ERRORS.name, "madang_build_info"]) {
            assert!(
                page.contains(&format!("# HELP {name} ")),
                "{name} has no help"
            );
            assert!(
                page.contains(&format!("# TYPE {name} ")),
                "{name} has no type"
            );
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let page = render(&snapshot()).unwrap();

        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with("madang_"), "{line}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{line}"
            );
        }
    }

    #[test]
    fn samples_carry_their_worker_and_their_code() {
        let page = render(&snapshot()).unwrap();

        for sample in [
            "madang_sfu_peers{worker=\"0\"} 3",
            "madang_sfu_peers{worker=\"1\"} 0",
            "madang_turn_refused_requests_total{code=\"401\"} 7",
            "madang_control_errors_total{code=\"room_full\"} 2",
            "madang_control_chat_messages_total 9",
        ] {
            assert!(
                page.lines().any(|line| line == sample),
                "{sample} is missing in\n{page}"
            );
        }
    }

    #[test]
    fn counters_are_called_total_and_gauges_are_not() {
        fn check<S>(families: &[Family<S>]) {
            for family in families {
                let is_counter = matches!(family.kind, Kind::Counter);
                assert_eq!(
                    family.name.ends_with("_total"),
                    is_counter,
                    "{}",
                    family.name
                );
            }
        }

        check(SFU);
        check(TURN);
        check(CONTROL);
    }

    #[test]
    fn a_turn_server_that_is_off_has_no_families() {
        let page = render(&Snapshot {
            turn: None,
            ..snapshot()
        })
        .unwrap();

        assert!(!page.contains("madang_turn_"), "{page}");
    }

    fn snapshot() -> Snapshot {
        let refused = Refused {
            unauthorized: 7,
            ..Refused::default()
        };
        Snapshot {
            sfu: vec![
                SfuStats {
                    peers: 3,
                    ..SfuStats::default()
                },
                SfuStats::default(),
            ],
            turn: Some(TurnStats {
                refused,
                ..TurnStats::default()
            }),
            control: ControlStats {
                chat_stored: 9,
                errors: vec![("room_full", 2)],
                ..ControlStats::default()
            },
        }
    }
}
