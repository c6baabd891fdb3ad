//! Sources that a moderator stops are not forwarded: tests with full peers and real media.
#![expect(clippy::disallowed_methods, reason = "this test uses real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadtest::options::Ice;
use loadtest::peer::{Peer, PeerOptions};
use loadtest::stamp::{Kind, SenderId};
use loadtest::world::World;
use madang::{Server, Settings};
use madang_wire::request::{Moderate, ModerateAction, Sources, State};
use madang_wire::{Request, Role, RoomName, Signal, SourceKind};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// The interval between checks of the peers.
const LOOK: Duration = Duration::from_millis(20);
/// Packets in flight when the moderator received `done` have arrived once this many packets of another sender have.
const SETTLED: u64 = 25;
/// This many packets of another sender, a second of audio, prove that nothing arrives any more.
const LONG: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_microphone_is_not_heard_whatever_its_client_does() {
    let room = Room::open().await;
    let (host, b, listener) = (room.join("host").await, room.join("b").await, room.join("c").await);
    room.hears(&listener, &[host.sender, b.sender]).await;

    assert_eq!(moderate(&host, ModerateAction::Mute, Some(&b), Value::Null).await, Signal::Done {});

    let silence = room.quiet(&listener, b.sender, host.sender).await;
    // The client keeps sending, claims that it is not muted, and gives its microphone another source name.
    let unmute = State { muted: Some(false), ..State::default() };
    assert!(b.ask(&Request::State(unmute.clone())).await.is_err());
    let mids: BTreeMap<String, SourceKind> =
        b.mids().keys().map(|mid| (mid.clone(), SourceKind::ScreenAudio)).take(1).collect();
    b.tell(&Request::Sources(Sources { mids })).await.unwrap();
    b.tell(&Request::Sources(Sources { mids: BTreeMap::new() })).await.unwrap();
    b.tell(&Request::Sources(Sources { mids: b.mids().clone() })).await.unwrap();
    room.wait_for(&listener, host.sender, Kind::Audio, LONG).await;
    assert_eq!(count(&listener, b.sender, Kind::Audio), silence, "nothing must be forwarded");

    let lifted = moderate(&host, ModerateAction::Mute, Some(&b), json!(false)).await;
    assert_eq!(lifted, Signal::Done {});
    b.tell(&Request::State(unmute)).await.unwrap();
    room.wait_for(&listener, b.sender, Kind::Audio, LONG).await;
    room.close(vec![host, b, listener]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_camera_is_not_seen() {
    let room = Room::open().await;
    let (host, b, viewer) = (room.join("host").await, room.join("b").await, room.join("c").await);
    room.wait_for(&viewer, b.sender, Kind::Video, SETTLED).await;

    let done = moderate(&host, ModerateAction::StopCamera, Some(&b), Value::Null).await;

    assert_eq!(done, Signal::Done {});
    room.wait_for(&viewer, host.sender, Kind::Audio, SETTLED).await;
    let before = count(&viewer, b.sender, Kind::Video);
    // The host stops the screen as well, because the client may rename its camera to a screen.
    let done = moderate(&host, ModerateAction::StopScreen, Some(&b), Value::Null).await;
    assert_eq!(done, Signal::Done {});
    b.tell(&Request::Sources(Sources { mids: BTreeMap::new() })).await.unwrap();
    b.tell(&Request::Sources(Sources { mids: b.mids().clone() })).await.unwrap();
    room.wait_for(&viewer, host.sender, Kind::Audio, LONG).await;
    assert_eq!(count(&viewer, b.sender, Kind::Video), before, "nothing must be forwarded");
    room.close(vec![host, b, viewer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_ends_media_in_both_directions() {
    let room = Room::open().await;
    let (host, b, viewer) = (room.join("host").await, room.join("b").await, room.join("c").await);
    room.hears(&viewer, &[host.sender, b.sender]).await;
    room.hears(&b, &[host.sender]).await;

    assert_eq!(moderate(&host, ModerateAction::Kick, Some(&b), Value::Null).await, Signal::Done {});

    b.wait("the farewell", LIMIT, |seen| seen.ended.is_some()).await.unwrap();
    let silence = room.quiet(&viewer, b.sender, host.sender).await;
    let heard = count(&b, host.sender, Kind::Audio);
    room.wait_for(&viewer, host.sender, Kind::Audio, LONG).await;
    assert_eq!(
        count(&viewer, b.sender, Kind::Audio),
        silence,
        "nothing from the kicked peer must be forwarded"
    );
    assert_eq!(
        count(&b, host.sender, Kind::Audio),
        heard,
        "nothing must be forwarded to the kicked peer"
    );
    drop(b);
    room.close(vec![host, viewer]).await;
}

/// A server with one room.
struct Room {
    server: Server,
    world: Arc<World>,
    _data: TempDir,
}

impl Room {
    async fn open() -> Room {
        let data = TempDir::new().unwrap();
        let mut settings = Settings::default();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.data_dir = data.path().to_owned();
        settings.media.udp_port = 0;
        settings.media.workers = 1;
        settings.turn.enabled = false;
        let server = Server::start(settings).await.unwrap();
        Room { server, world: World::new(), _data: data }
    }

    /// Joins a peer; the first one is the room's host.
    async fn join(&self, name: &str) -> Peer {
        let options = PeerOptions {
            url: self.server.url().parse().unwrap(),
            token: None,
            room: RoomName::parse("회의실").unwrap(),
            name: name.to_owned(),
            audio_slots: 3,
            video_slots: 3,
            ice: Ice::All,
            level: 30,
            video_kbps: 200,
            history: 0,
        };
        let peer = Peer::join(&self.world, &options).await.unwrap();
        let role = if name == "host" { Role::Host } else { Role::Speaker };
        assert_eq!(peer.joined.participant.role, role);
        peer
    }

    async fn hears(&self, peer: &Peer, senders: &[SenderId]) {
        for sender in senders {
            self.wait_for(peer, *sender, Kind::Audio, SETTLED).await;
        }
    }

    /// Waits for this many more packets.
    async fn wait_for(&self, peer: &Peer, sender: SenderId, kind: Kind, more: u64) {
        let before = count(peer, sender, kind);
        let came = async {
            while count(peer, sender, kind) < before + more {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(LIMIT, came).await.expect("media flows");
    }

    /// The number of a sender's audio packets after those in flight have arrived, which another sender's packets show.
    async fn quiet(&self, peer: &Peer, sender: SenderId, other: SenderId) -> u64 {
        self.wait_for(peer, other, Kind::Audio, SETTLED).await;
        count(peer, sender, Kind::Audio)
    }

    async fn close(self, peers: Vec<Peer>) {
        for peer in peers {
            peer.leave().await.unwrap();
        }
        self.server.shutdown().await;
    }
}

fn count(peer: &Peer, sender: SenderId, kind: Kind) -> u64 {
    peer.reception().stream(sender, kind).map_or(0, |stream| stream.arrivals.received())
}

async fn moderate(by: &Peer, action: ModerateAction, whom: Option<&Peer>, value: Value) -> Signal {
    let participant = whom.map(|peer| peer.joined.participant.id.clone());
    let value = (!value.is_null()).then_some(value);
    by.ask(&Request::Moderate(Moderate { action, participant, value })).await.unwrap()
}
