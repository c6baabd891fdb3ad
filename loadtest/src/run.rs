//! A run: fills rooms with peers for a while.
#![expect(clippy::disallowed_methods, reason = "the run is timed here")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt};
use madang_wire::RoomName;
use tokio::time::sleep;

use crate::observed::Observed;
use crate::options::Options;
use crate::peer::{Peer, PeerOptions, SILENCE};
use crate::report::{Measured, Report};
use crate::stomp::Stomp;
use crate::world::World;

/// The number of peers that join concurrently.
const JOINING_AT_ONCE: usize = 8;
/// How long a chat message may take to reach everyone.
const CHAT_PATIENCE: Duration = Duration::from_secs(10);
/// How long the last packets may take to arrive.
const DRAIN: Duration = Duration::from_millis(700);

/// Joins, measures and leaves. `progress` receives occasional lines of progress.
///
/// # Errors
/// When nothing could be measured because no server answers at the address.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report> {
    Stomp::connect_as(&options.url, options.token.as_ref()).await.with_context(|| {
        format!(
            "can't connect to {}. Start the server with `cargo run --release`, \
             or name another one with --url",
            options.url.authority().map_or("", |authority| authority.as_str())
        )
    })?;
    let world = World::new();
    let mut report = Report::new(options);
    let mut members = join_all(options, &world, &mut report, &progress).await;
    progress("every participant sends a chat message");
    chat(&members, &mut report).await;
    measure(options, &members, &progress).await;
    let stopped_us = world.clock.now_us();
    for member in &mut members {
        member.peer.stop_sending().await;
    }
    sleep(DRAIN).await;
    report.add_media(&world, stopped_us, members.iter().map(Member::measured).collect());
    progress("leaving");
    let leaving = stream::iter(members).map(Member::leave).buffer_unordered(JOINING_AT_ONCE);
    let left: Vec<Result<(), String>> = leaving.collect().await;
    report.problems.extend(left.into_iter().filter_map(Result::err));
    Ok(report)
}

/// A peer and its room.
struct Member {
    room: RoomName,
    peer: Peer,
}

impl Member {
    fn measured(&self) -> Measured {
        Measured {
            room: self.room.clone(),
            name: self.peer.name.clone(),
            sender: self.peer.sender,
            asked_us: self.peer.asked_us,
            join_took_us: self.peer.join_took_us,
            is_connected: self.peer.observed().borrow().is_media_connected,
            reception: self.peer.reception(),
        }
    }

    fn full_name(&self) -> String {
        format!("{} in {}", self.peer.name, self.room)
    }

    /// Its chat message, different from everyone else's.
    fn hello(&self) -> String {
        format!("안녕하세요, {} ({}) here", self.peer.name, self.peer.joined.participant.id)
    }

    async fn say_hello(&self) -> Result<(), String> {
        let said = self.peer.say(&self.hello()).await;
        said.map_err(|error| format!("{}: {error:#}", self.full_name()))
    }

    async fn leave(self) -> Result<(), String> {
        let who = self.full_name();
        self.peer.leave().await.map_err(|error| format!("{who} could not leave: {error:#}"))
    }
}

async fn join_all(
    options: &Options,
    world: &Arc<World>,
    report: &mut Report,
    progress: &impl Fn(&str),
) -> Vec<Member> {
    let rooms = options.room_names();
    let wanted = (0..options.participants)
        .flat_map(|number| rooms.iter().map(move |room| (number, room.clone())));
    let joins = wanted.map(|(number, room)| {
        let peer_options = peer_options(options, number, &room);
        async move {
            let joined = Peer::join(world, &peer_options).await;
            (room, peer_options.name, joined)
        }
    });
    let mut joins = stream::iter(joins).buffer_unordered(JOINING_AT_ONCE);
    let mut members = Vec::new();
    while let Some((room, name, joined)) = joins.next().await {
        match joined {
            Ok(peer) => members.push(Member { room, peer }),
            Err(error) => report.problems.push(format!("{name} could not join {room}: {error:#}")),
        }
        let all = options.participants * options.rooms;
        if members.len() as u32 == all || members.len() % 20 == 0 {
            progress(&format!("{} of {all} participants have joined", members.len()));
        }
    }
    members
}

fn peer_options(options: &Options, number: u32, room: &RoomName) -> PeerOptions {
    // One more peer speaks than can be heard at once, so that every slot of everyone is used. All levels differ, so
    // that the order of the active speakers is certain.
    let level = match u8::try_from(number) {
        Ok(number) if usize::from(number) <= Options::AUDIO_SLOTS => 20 + 10 * number,
        _ => SILENCE,
    };
    PeerOptions {
        url: options.url.clone(),
        token: options.token.clone(),
        room: room.clone(),
        name: format!("peer {}", number + 1),
        audio_slots: Options::AUDIO_SLOTS,
        video_slots: options.video_slots(),
        ice: options.ice,
        level,
        video_kbps: options.video_kbps(),
        history: 0,
    }
}

async fn chat(members: &[Member], report: &mut Report) {
    let said: Vec<Result<(), String>> =
        stream::iter(members).map(Member::say_hello).buffered(JOINING_AT_ONCE).collect().await;
    report.chat.sent = members.len() as u64;
    report.chat.acknowledged = said.iter().filter(|result| result.is_ok()).count() as u64;
    report.problems.extend(said.into_iter().filter_map(Result::err));
    for reader in members {
        let hellos: Vec<String> =
            members.iter().filter(|writer| writer.room == reader.room).map(Member::hello).collect();
        let count = |seen: &Observed| hellos.iter().filter(|text| seen.has_read(text)).count();
        // A timeout shows in the count below.
        let _ = reader.peer.wait("chat", CHAT_PATIENCE, |seen| count(seen) == hellos.len()).await;
        let read = count(&reader.peer.observed().borrow());
        report.chat.expected += hellos.len() as u64;
        report.chat.received += read as u64;
        if read < hellos.len() {
            let (who, all) = (reader.full_name(), hellos.len());
            report.problems.push(format!("{who} saw {read} of {all} chat messages"));
        }
    }
}

async fn measure(options: &Options, members: &[Member], progress: &impl Fn(&str)) {
    for second in 0..options.seconds {
        sleep(Duration::from_secs(1)).await;
        if (second + 1) % 5 == 0 || second + 1 == options.seconds {
            let streams: usize =
                members.iter().map(|m| m.peer.observed().borrow().media.len()).sum();
            progress(&format!("{} of {} s, {streams} streams arrive", second + 1, options.seconds));
        }
    }
}
