//! Three participants, and a fourth that joins later, in a room of a real server.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::sync::Arc;
use std::time::Duration;

use loadtest::observed::Observed;
use loadtest::options::Ice;
use loadtest::peer::{Peer, PeerOptions};
use loadtest::stamp::{Kind, SenderId};
use loadtest::world::World;
use madang::{Server, Settings};
use madang_wire::{Event, LeaveReason, RoomName, SourceKind};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_and_hears_everyone() {
    let room = Room::open("회의실").await;
    let peers = room.three_peers().await;

    room.all_receive_all(&peers).await;

    for peer in &peers {
        assert_eq!(room.lies_to(peer), Vec::<String>::new(), "{}", peer.name);
        assert!(!peer.observed().borrow().media.contains(&(peer.sender, Kind::Audio)));
    }
    room.close(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_reaches_everyone_and_waits_for_those_who_come_later() {
    let room = Room::open("chat").await;
    let peers = room.three_peers().await;

    for peer in &peers {
        peer.say(&format!("안녕하세요, {}", peer.name)).await.unwrap();
    }

    let texts: Vec<String> = peers.iter().map(|p| format!("안녕하세요, {}", p.name)).collect();
    for peer in &peers {
        peer.wait("the chat of all", LIMIT, |seen| seen.chat.len() == 3).await.unwrap();
        assert_eq!(texts_of(peer), texts);
    }
    let late = room.join("late").await;
    late.wait("the history", LIMIT, |seen| seen.chat.len() == 3).await.unwrap();
    assert_eq!(texts_of(&late), texts);
    assert_eq!(late.joined.chat_seq, 3);
    let seqs: Vec<u64> = late.observed().borrow().chat.iter().map(|m| m.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    room.close(peers.into_iter().chain([late]).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_comes_later_gets_and_gives_media() {
    let room = Room::open("later").await;
    let mut peers = room.three_peers().await;
    room.all_receive_all(&peers).await;

    peers.push(room.join("late").await);

    room.all_receive_all(&peers).await;
    for peer in &peers {
        assert_eq!(room.lies_to(peer), Vec::<String>::new(), "{}", peer.name);
    }
    room.close(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_alone_is_enough() {
    let room = Room::open("relay").await;
    let peers = vec![
        room.join_by(Ice::Relay, "relayed").await,
        room.join_by(Ice::Relay, "relayed too").await,
        room.join("direct").await,
    ];

    room.all_receive_all(&peers).await;

    room.close(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_publishing_and_leaving_are_events() {
    let room = Room::open("events").await;
    let stays = room.join("stays").await;
    let leaves = room.join("leaves").await;
    let id = leaves.joined.participant.id.clone();
    let streams = [leaves.sender];
    stays.wait("media", LIMIT, |seen| seen.receives(&streams)).await.unwrap();
    stays
        .wait("both sources", LIMIT, |seen| {
            seen.participants.get(&id).is_some_and(|leaves| leaves.sources.len() == 2)
        })
        .await
        .unwrap();
    leaves.leave().await.unwrap();

    let is_goodbye = |event: &Event| matches!(event, Event::ParticipantLeft { participant, reason: LeaveReason::Left } if participant.id == id);
    let has_left = |events: &[Event]| events.iter().any(is_goodbye);
    stays.wait("the goodbye", LIMIT, |seen| has_left(&seen.events)).await.unwrap();
    let has_empty_slots =
        |seen: &Observed| seen.slots.values().all(|slot| slot.participant.is_none());
    stays.wait("empty slots", LIMIT, has_empty_slots).await.unwrap();
    let seen = stays.observed().borrow().clone();
    let came = |event: &Event| matches!(event, Event::ParticipantJoined { participant } if participant.id == id);
    assert_eq!(seen.events.iter().filter(|event| came(event)).count(), 1);
    assert!(!seen.participants.contains_key(&id));
    room.close(vec![stays]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_name_whom_they_carry() {
    let room = Room::open("slots").await;
    let peers = room.three_peers().await;
    room.all_receive_all(&peers).await;

    for peer in &peers {
        let mut shown: Vec<String> = Vec::new();
        let slots = peer.observed().borrow().slots.clone();
        for slot in slots.values().filter(|slot| slot.source == Some(SourceKind::Camera)) {
            shown.extend(slot.participant.clone());
        }
        let mut others: Vec<String> =
            peers.iter().map(|p| p.joined.participant.id.clone()).collect();
        others.retain(|id| *id != peer.joined.participant.id);
        shown.sort();
        others.sort();
        assert_eq!(shown, others, "{}", peer.name);
    }
    room.close(peers).await;
}

/// A server with one room.
struct Room {
    server: Server,
    world: Arc<World>,
    name: RoomName,
    _data: TempDir,
}

impl Room {
    async fn open(name: &str) -> Room {
        let data = TempDir::new().unwrap();
        let mut settings = Settings::default();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.data_dir = data.path().to_owned();
        settings.media.udp_port = 0;
        settings.media.workers = 1;
        settings.turn.listen = Some("127.0.0.1:0".parse().unwrap());
        let server = Server::start(settings).await.unwrap();
        Room { server, world: World::new(), name: RoomName::parse(name).unwrap(), _data: data }
    }

    async fn join(&self, name: &str) -> Peer {
        self.join_by(Ice::All, name).await
    }

    async fn join_by(&self, ice: Ice, name: &str) -> Peer {
        let options = PeerOptions {
            url: self.server.url().parse().unwrap(),
            token: None,
            room: self.name.clone(),
            name: name.to_owned(),
            audio_slots: 3,
            video_slots: 3,
            ice,
            level: 30,
            video_kbps: 200,
            history: 50,
        };
        Peer::join(&self.world, &options).await.unwrap()
    }

    async fn three_peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for name in ["하나", "두리", "세나"] {
            peers.push(self.join(name).await);
        }
        peers
    }

    async fn all_receive_all(&self, peers: &[Peer]) {
        for peer in peers {
            let others: Vec<SenderId> =
                peers.iter().map(|p| p.sender).filter(|sender| *sender != peer.sender).collect();
            let what = "everyone's audio and video";
            peer.wait(what, LIMIT, |seen| seen.receives(&others)).await.unwrap();
        }
    }

    fn lies_to(&self, peer: &Peer) -> Vec<String> {
        peer.reception().lies(|participant| self.world.sender_of(participant))
    }

    async fn close(self, peers: Vec<Peer>) {
        for peer in peers {
            peer.leave().await.unwrap();
        }
        self.server.shutdown().await;
    }
}

fn texts_of(peer: &Peer) -> Vec<String> {
    peer.observed().borrow().chat.iter().map(|message| message.text.clone()).collect()
}
