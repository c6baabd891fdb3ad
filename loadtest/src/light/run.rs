//! A run of light peers: they join, are measured, are overloaded on request, and leave.
#![expect(clippy::disallowed_methods, reason = "the run is timed here")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt};
use madang_wire::RoomName;
use tokio::time::sleep;

use super::dtls::Identity;
use super::joining::{Member, Plan, Visitor};
use super::process::{Machine, Process, busy_us, dropped_at};
use super::report::{
    Generator, Interval, Joining, LightReport, Overload, Scenario, ServerFigures, Versions,
};
use super::snapshot::Snapshot;
use super::thread::{MediaThread, Setup};
use crate::histogram::Histogram;
use crate::media::local_address_towards;
use crate::options::{Conditions, LightOptions, Options};
use crate::stamp::Kind;
use crate::stomp::Stomp;
use crate::times::Times;
use crate::world::World;

/// The number of peers that join concurrently, apart from a storm.
const JOINING_AT_ONCE: usize = 16;
/// How long it may take until all peers receive everything.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);
/// The interval between snapshots.
const LOOK: Duration = Duration::from_millis(100);
/// The time from the first packet of the last peer to the start of measuring.
const WARM_UP: Duration = Duration::from_millis(1500);
/// How long to wait for recovery after an overload, in microseconds.
const RECOVERY_PATIENCE_US: u64 = 15_000_000;
/// The maximum normal latency, in microseconds.
const NORMAL_LATENCY_US: u64 = 50_000;
/// A publisher's audio packets per second; for choosing the sample.
const AUDIO_PER_SECOND: u64 = 50;

/// Joins, measures and leaves. `progress` receives occasional lines of progress.
///
/// # Errors
/// When nothing could be measured.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<LightReport> {
    let stomp =
        Stomp::connect_as(&options.url, options.token.as_ref()).await.with_context(|| {
            format!(
                "can't connect to {}; start the server, or set another address with --url",
                options.url
            )
        })?;
    let server_version = stomp.server.clone().unwrap_or_else(|| "unknown".to_owned());
    drop(stomp);
    let mut run = Run::start(options)?;
    let mut joining = run.join_all(&progress).await?;
    let settled = run.settle(&progress).await?;
    run.judge(&settled);
    joining.add_first_media(&settled, run.storm_from);
    joining.server_cpu_ms_per_join = run.cpu_ms_per_join();
    sleep(WARM_UP).await;
    progress(&format!("measuring for {} s", options.seconds));
    let (steady, [generator_percent, others_percent]) =
        run.measure(Duration::from_secs(options.seconds.into())).await?;
    let server = run.server_figures(settled.peers.len());
    let overload = match options.light.overload {
        Some(factor) => Some(run.overload(factor, &progress).await?),
        None => None,
    };
    run.media.stop_publishing()?;
    let last = run.media.snapshot().await?;
    let generator = Generator {
        cpu_percent: generator_percent.unwrap_or(0.0),
        others_cpu_percent: others_percent.filter(|_| steady.server_cpu_percent.is_some()),
        dropped: dropped_at(&last.ports).unwrap_or(0),
        refused: last.refused,
        unreadable: last.unreadable,
        retransmissions: last.retransmissions,
        key_frame_requests: last.key_frame_requests,
    };
    if last.unreadable > 0 {
        run.problems.push(format!("{} packets could not be read", last.unreadable));
    }
    progress("leaving");
    run.leave().await;
    Ok(LightReport {
        scenario: scenario(options, run.one_in),
        machine: Machine::this(),
        versions: Versions {
            loadtest: env!("CARGO_PKG_VERSION").to_owned(),
            server: server_version,
        },
        joining,
        steady,
        overload,
        server,
        generator,
        problems: run.problems,
    })
}

fn scenario(options: &Options, one_in: u32) -> Scenario {
    let light = &options.light;
    Scenario {
        rooms: options.rooms,
        publishers: light.publishers,
        receivers: light.peers_per_room() - light.publishers,
        join_storm: light.join_storm.unwrap_or(0),
        seconds: options.seconds,
        video_kbps: options.video_kbps(),
        pacing: light.pacing,
        receiver_loss_percent: light.receiver_loss * 100.0,
        receiver_delay_ms: light.receiver_delay.as_millis() as u64,
        sample: one_in,
    }
}

/// The state of a run.
struct Run<'a> {
    options: &'a Options,
    world: Arc<World>,
    media: MediaThread,
    server: Option<Process>,
    /// The server's memory before the first peer joined.
    resident_before: Option<u64>,
    members: Vec<Member>,
    /// The number of the storm's first peer.
    storm_from: u32,
    storm_cpu_before: Option<u64>,
    one_in: u32,
    problems: Vec<String>,
}

impl<'a> Run<'a> {
    fn start(options: &'a Options) -> Result<Run<'a>> {
        let world = World::new();
        let host = options.url.host().context("the URL has no host")?;
        let light = &options.light;
        let frames = u64::from(options.video_kbps()) / 8; // packets of about 1000 bytes
        let streams = light.streams_per_room() * u64::from(options.rooms);
        let one_in = light.one_in(streams * (AUDIO_PER_SECOND + frames));
        let media = MediaThread::start(Setup {
            clock: world.clock,
            local: local_address_towards(host, options.url.port_u16().unwrap_or(80))?,
            identity: Identity::generate()?,
            one_in,
            pacing: light.pacing,
        })?;
        let server = light.server_pid.map(Process);
        Ok(Run {
            options,
            world,
            media,
            server,
            resident_before: server.and_then(Process::resident_bytes),
            members: Vec::new(),
            storm_from: 0,
            storm_cpu_before: None,
            one_in,
            problems: Vec::new(),
        })
    }

    /// Joins the publishers, then the receivers, then the storm.
    async fn join_all(&mut self, progress: &impl Fn(&str)) -> Result<Joining> {
        let LightOptions { publishers, receivers, .. } = self.options.light;
        let mut took = self.join(publishers, true, JOINING_AT_ONCE).await;
        took.extend(self.join(receivers, false, JOINING_AT_ONCE).await);
        progress(&format!("{} peers have joined", self.members.len()));
        if let Some(storm) = self.options.light.join_storm {
            self.settle(progress).await?;
            progress(&format!("{storm} peers join at once"));
            self.storm_from = self.members.len() as u32;
            took = self.join(storm, false, usize::MAX).await;
        }
        let reply_ms = Times::of(took);
        Ok(Joining { joined: self.members.len() as u64, reply_ms, ..Joining::default() })
    }

    /// Joins `count` peers per room, at most `at_once` concurrently; returns how long their joins took. All peers
    /// connect before the first of them joins.
    async fn join(&mut self, count: u32, publishes: bool, at_once: usize) -> Vec<u64> {
        let rooms = self.options.room_names();
        let plans = (0..count).flat_map(|_| rooms.iter()).map(|room| self.plan(room, publishes));
        let plans: Vec<Plan> = plans.collect();
        let (world, media) = (&self.world, &self.media);
        let connects = plans.into_iter().map(|plan| Visitor::connect(world, plan));
        let connects: Vec<_> =
            stream::iter(connects).buffer_unordered(JOINING_AT_ONCE).collect().await;
        if at_once > JOINING_AT_ONCE {
            self.storm_cpu_before = self.server.and_then(Process::threads_cpu_us);
        }
        let joins = connects.into_iter().map(|visitor| async move {
            match visitor {
                Ok(visitor) => visitor.join(world, media).await,
                Err(error) => Err(error.context("connecting")),
            }
        });
        let joined: Vec<_> = stream::iter(joins).buffer_unordered(at_once).collect().await;
        let mut took = Vec::new();
        for member in joined {
            match member {
                Ok(member) => {
                    took.push(member.join_took_us);
                    self.members.push(member);
                }
                Err(error) => self.problems.push(format!("a peer could not join: {error:#}")),
            }
        }
        took
    }

    fn plan(&self, room: &RoomName, publishes: bool) -> Plan {
        let light = &self.options.light;
        let others = light.publishers as usize - usize::from(publishes);
        Plan {
            url: self.options.url.clone(),
            token: self.options.token.clone(),
            room: room.clone(),
            publishes: publishes.then_some((light.pacing, self.options.video_kbps())),
            slots: others,
            conditions: if publishes { Conditions::default() } else { light.conditions() },
        }
    }

    /// Waits until all peers receive everything, or the time is over.
    async fn settle(&self, progress: &impl Fn(&str)) -> Result<Snapshot> {
        let looks = SETTLE_PATIENCE.as_millis() / LOOK.as_millis();
        let mut snapshot = self.media.snapshot().await?;
        for _ in 0..looks {
            if snapshot.is_settled(self.members.len()) {
                break;
            }
            sleep(LOOK).await;
            snapshot = self.media.snapshot().await?;
        }
        let receive = snapshot.peers.iter().filter(|peer| peer.receives_all).count();
        progress(&format!("{receive} of {} peers receive everything", self.members.len()));
        Ok(snapshot)
    }

    fn judge(&mut self, settled: &Snapshot) {
        for peer in &settled.peers {
            let number = peer.number;
            let problem = match (&peer.failed, peer.connected_us, peer.receives_all) {
                (Some(reason), ..) => format!("peer {number}: {reason}"),
                (None, None, _) => format!("peer {number} has no media connection"),
                (None, Some(_), false) => format!("peer {number} does not receive everything"),
                (None, Some(_), true) => continue,
            };
            self.problems.push(problem);
        }
    }

    /// Measures for a while. Also returns, in percent of one core, the CPU time of this process and that of all others
    /// apart from the server.
    async fn measure(&self, time: Duration) -> Result<(Interval, [Option<f64>; 2])> {
        let cpu = || [self.server_cpu(), Process::this().cpu_us(), busy_us()];
        let (from, cpu_before) = (self.media.snapshot().await?, cpu());
        sleep(time).await;
        let (to, cpu_after) = (self.media.snapshot().await?, cpu());
        let used = |at: usize| Some(cpu_after[at]?.saturating_sub(cpu_before[at]?));
        let (server, own, all) = (used(0), used(1), used(2));
        let ours = own.unwrap_or(0) + server.unwrap_or(0);
        let percent =
            |us: u64| us as f64 * 100.0 / to.at_us.saturating_sub(from.at_us).max(1) as f64;
        let others = all.map(|all| percent(all.saturating_sub(ours)));
        Ok((Interval::between(&from, &to, &to.latency, server), [own.map(percent), others]))
    }

    /// The server's CPU time per peer of the storm so far, in milliseconds.
    fn cpu_ms_per_join(&self) -> Option<f64> {
        let (before, storm) = (self.storm_cpu_before?, self.options.light.join_storm?);
        let used = self.server?.threads_cpu_us()?.saturating_sub(before);
        Some(used as f64 / 1000.0 / f64::from(storm * self.options.rooms))
    }

    fn server_cpu(&self) -> Option<u64> {
        self.server.and_then(Process::cpu_us)
    }

    fn server_figures(&self, peers: usize) -> Option<ServerFigures> {
        let (before, with) = self.resident_before.zip(self.server?.resident_bytes())?;
        Some(ServerFigures {
            resident_mb: with as f64 / 1e6,
            resident_kb_per_peer: with.saturating_sub(before) as f64 / 1e3 / peers.max(1) as f64,
        })
    }

    async fn overload(&self, factor: u32, progress: &impl Fn(&str)) -> Result<Overload> {
        let kbps = self.options.video_kbps();
        let time = Duration::from_secs(self.options.seconds.into());
        progress(&format!(
            "overload: sending {factor} times the video for {} s",
            self.options.seconds
        ));
        self.media.set_video_kbps(kbps * factor)?;
        let (during, _) = self.measure(time).await?;
        self.media.set_video_kbps(kbps)?;
        let ended = self.media.snapshot().await?;
        let normal_after_seconds = self.await_normality(&ended).await?;
        let (after, _) = self.measure(time / 2).await?;
        Ok(Overload { factor, during, normal_after_seconds, after })
    }

    /// The time from `ended` to the first of two normal snapshots in a row.
    async fn await_normality(&self, ended: &Snapshot) -> Result<Option<f64>> {
        let mut before = ended.clone();
        let mut normal_since = None;
        while before.at_us - ended.at_us < RECOVERY_PATIENCE_US {
            sleep(LOOK * 2).await;
            let look = self.media.snapshot().await?;
            match (is_normal(&before, &look), normal_since) {
                (true, Some(since)) => return Ok(Some((since - ended.at_us) as f64 / 1e6)),
                (true, None) => normal_since = Some(before.at_us),
                (false, _) => normal_since = None,
            }
            before = look;
        }
        Ok(None)
    }

    async fn leave(&mut self) {
        let members = std::mem::take(&mut self.members);
        let leaving = stream::iter(members).map(Member::leave).buffer_unordered(JOINING_AT_ONCE);
        let left: Vec<Result<()>> = leaving.collect().await;
        let failed = left.into_iter().filter_map(Result::err);
        self.problems.extend(failed.map(|error| format!("a peer could not leave: {error:#}")));
    }
}

fn is_normal(before: &Snapshot, look: &Snapshot) -> bool {
    let fast = |latency: &Histogram| latency.percentile_us(99.0) < NORMAL_LATENCY_US;
    let is_whole = |kind: Kind| look.of(kind).since(before.of(kind)).gaps.missed == 0;
    look.latency.iter().all(fast) && Kind::ALL.into_iter().all(is_whole)
}

impl Joining {
    /// Adds the times to first media of the peers from this number on.
    fn add_first_media(&mut self, settled: &Snapshot, from: u32) {
        let peers = settled.peers.iter().filter(|peer| peer.number >= from);
        let took = peers.filter_map(|peer| peer.first_us?.checked_sub(peer.asked_us));
        self.first_media_ms = Times::of(took);
    }
}
