//! The counters of all parts as a page in the Prometheus text format.
//!
//! Parts own plain counters and do not depend on a metrics library. Each page is rendered from snapshots through a
//! registry of its own, so there is nothing to keep in sync and no global state.
//!
//! Names start with `madang_` and the part (`sfu`, `turn`, `control`), end with their unit, and with `_total` if they
//! only rise until a restart. Those of the process have the names that all Prometheus clients use: `process_…`.

mod families;

use madang_sfu::Stats as SfuStats;
use madang_turn::Stats as TurnStats;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use self::families::{
    CONTROL, CONTROL_LABELLED, FAN_OUT, Family, Kind, REFUSED, SFU, TURN, TURN_ALLOCATIONS,
    TURN_REFUSED, gauge,
};
use crate::counters::Delays;
use crate::hub::ControlStats;

/// The `Content-Type` of the page.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The counters of all parts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// One per media worker, in the order of workers.
    pub sfu: Vec<SfuStats>,
    /// `None` if the TURN server is off.
    pub turn: Option<TurnStats>,
    /// The counters of the control plane.
    pub control: ControlStats,
}

/// Renders the page.
///
/// # Errors
/// If two families have the same name, or a name is not valid. The tests render every family.
pub fn render(snapshot: &Snapshot) -> prometheus::Result<String> {
    let registry = Registry::new();
    build_info(&registry)?;
    // Memory, CPU time, threads, file descriptors and their limit, under the names that Prometheus gives them.
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let workers: Vec<(String, SfuStats)> =
        snapshot.sfu.iter().enumerate().map(|(n, stats)| (n.to_string(), *stats)).collect();
    for family in SFU {
        let samples =
            workers.iter().map(|(worker, stats)| (worker.as_str(), (family.value)(stats)));
        register(&registry, family, "worker", samples)?;
    }
    if let Some(turn) = &snapshot.turn {
        for family in TURN {
            register_one(&registry, family, (family.value)(turn))?;
        }
        let allocations = [
            ("udp", turn.allocations_udp),
            ("tcp", turn.allocations_tcp),
            ("tls", turn.allocations_tls),
            ("dtls", turn.allocations_dtls),
        ];
        register(&registry, &TURN_ALLOCATIONS, "transport", allocations.into_iter())?;
        let refused = REFUSED.iter().map(|(code, value)| (*code, value(&turn.refused)));
        register(&registry, &TURN_REFUSED, "code", refused)?;
    }
    for family in CONTROL {
        register_one(&registry, family, (family.value)(&snapshot.control))?;
    }
    for labelled in CONTROL_LABELLED {
        let samples = (labelled.samples)(&snapshot.control);
        register(&registry, &labelled.family, labelled.label, samples.iter().copied())?;
    }
    let mut families = registry.gather();
    families.push(histogram(FAN_OUT, &snapshot.control.fan_out));
    TextEncoder::new().encode_to_string(&families)
}

/// Builds a histogram from existing counts. That of the library can only observe single values.
fn histogram((name, help): (&str, &str), delays: &Delays) -> MetricFamily {
    let seconds = |us: u64| us as f64 / 1e6;
    let mut below = 0;
    let buckets = Delays::BOUNDS_US.iter().zip(delays.counts).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(*bound));
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut counted = Histogram::default();
    counted.set_bucket(buckets.collect());
    counted.set_sample_count(delays.total);
    counted.set_sample_sum(seconds(delays.sum_us));
    let mut metric = Metric::default();
    metric.set_histogram(counted);
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let family = gauge::<()>(
        "madang_build_info",
        "Always 1; the label is the version of the server.",
        |()| 1,
    );
    register(registry, &family, "version", [(env!("CARGO_PKG_VERSION"), 1)].into_iter())
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
                counters.get_metric_with_label_values(&labels)?.inc_by(value);
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
    use madang_turn::Refused;

    use super::*;

    #[test]
    fn every_family_is_on_the_page_with_help_and_type() {
        let page = render(&snapshot()).unwrap();

        let names = SFU.iter().map(|f| f.name).chain(TURN.iter().map(|f| f.name));
        let names = names.chain(CONTROL.iter().map(|f| f.name));
        let names = names.chain(CONTROL_LABELLED.iter().map(|labelled| labelled.family.name));
        for name in
            names.chain([TURN_ALLOCATIONS.name, TURN_REFUSED.name, FAN_OUT.0, "madang_build_info"])
        {
            assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help");
            assert!(page.contains(&format!("# TYPE {name} ")), "{name} has no type");
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let page = render(&snapshot()).unwrap();

        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with("madang_") || name.starts_with("process_"), "{line}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
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
            "madang_control_subscriptions{at=\"relay\"} 1",
            "madang_control_sent_frames_total{command=\"MESSAGE\"} 8",
            "madang_control_protocol_errors_total{kind=\"slow consumer\"} 1",
            "madang_control_slow_consumers_total{policy=\"disconnect\"} 1",
            "madang_control_discarded_messages_total{policy=\"coalesce\"} 40",
            "madang_control_fan_out_seconds_bucket{le=\"0.00025\"} 3",
            "madang_control_fan_out_seconds_bucket{le=\"+Inf\"} 4",
            "madang_control_fan_out_seconds_sum 3",
        ] {
            assert!(page.lines().any(|line| line == sample), "{sample} is missing in\n{page}");
        }
    }

    #[test]
    fn counters_are_called_total_and_gauges_are_not() {
        fn check<S>(families: &[Family<S>]) {
            for family in families {
                let is_counter = matches!(family.kind, Kind::Counter);
                assert_eq!(family.name.ends_with("_total"), is_counter, "{}", family.name);
            }
        }

        check(SFU);
        check(TURN);
        check(CONTROL);
    }

    #[test]
    fn a_turn_server_that_is_off_has_no_families() {
        let page = render(&Snapshot { turn: None, ..snapshot() }).unwrap();

        assert!(!page.contains("madang_turn_"), "{page}");
    }

    fn snapshot() -> Snapshot {
        let refused = Refused { unauthorized: 7, ..Refused::default() };
        Snapshot {
            sfu: vec![SfuStats { peers: 3, ..SfuStats::default() }, SfuStats::default()],
            turn: Some(TurnStats { refused, ..TurnStats::default() }),
            control: ControlStats {
                chat_stored: 9,
                errors: vec![("room_full", 2)],
                subscriptions: [("broker", 5), ("user", 2), ("relay", 1)],
                frames_received: vec![("SEND", 3)],
                frames_sent: vec![("MESSAGE", 8)],
                protocol_errors: vec![("slow consumer", 1)],
                slow_consumers: [("coalesce", 1), ("drop_oldest", 0), ("disconnect", 1)],
                discarded: [("coalesce", 40), ("drop_oldest", 0), ("disconnect", 0)],
                fan_out: Delays {
                    counts: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
                    total: 4,
                    sum_us: 3_000_000,
                },
                ..ControlStats::default()
            },
        }
    }
}
