//! One participant, with a full WebRTC stack.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use madang_wire::request::{Chat, Join, Leave, Mids, Offer, Sources};
use madang_wire::{IceServer, Joined, Request, RoomName, Secret, Signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::media::{Media, Wanted, local_address_towards};
use crate::observed::Observed;
use crate::options::Ice;
use crate::receiving::{self, Receiver};
use crate::reception::{Reception, lock};
use crate::sending;
pub use crate::sending::SILENCE;
use crate::session::Session;
use crate::stamp::SenderId;
use crate::stomp::Stomp;
use crate::world::World;

/// The parameters of a peer.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The server, `http://host:port`.
    pub url: Uri,
    /// The token to connect with; `None` for a guest.
    pub token: Option<Secret>,
    /// The room.
    pub room: RoomName,
    /// The name to join with.
    pub name: String,
    /// The number of receiving slots for audio.
    pub audio_slots: usize,
    /// The number of receiving slots for video.
    pub video_slots: usize,
    /// The paths that media may take.
    pub ice: Ice,
    /// The audio level in −dBov: 0 is loudest (RFC 6464).
    pub level: u8,
    /// The bit rate of its video in kbit/s.
    pub video_kbps: u32,
    /// The number of stored chat messages to request.
    pub history: u32,
}

/// A participant that has joined its room. Dropping it closes its connections without leaving.
pub struct Peer {
    /// Its number in this run.
    pub sender: SenderId,
    /// Its name in the room.
    pub name: String,
    /// The server's reply to the join.
    pub joined: Joined,
    /// The time of the join request, in microseconds of the run's clock.
    pub asked_us: u64,
    /// The duration of joining, in microseconds.
    pub join_took_us: u64,
    session: Session,
    media: Media,
    reception: Arc<Mutex<Reception>>,
    sending: JoinSet<()>,
    receiving: JoinSet<()>,
}

impl Peer {
    /// Joins the room, publishes, and starts receiving.
    ///
    /// # Errors
    /// When the server can't be reached, refuses the join, or violates the protocol.
    pub async fn join(world: &Arc<World>, options: &PeerOptions) -> Result<Peer> {
        let sent = world.add_peer();
        let sender = sent.sender;
        let reception = Arc::new(Mutex::new(Reception::new(sender)));
        let stomp = Stomp::connect_as(&options.url, options.token.as_ref()).await?;
        let session =
            Session::start(stomp, &options.room, Arc::clone(&reception), Arc::clone(world));
        session.subscribe_all(options.history).await?;
        let asked_us = world.clock.now_us();
        let entry = match options.ice {
            Ice::All => enter_with_media(&session, options, sender).await?,
            Ice::Relay => enter_through_relay(&session, options, sender).await?,
        };
        let Entry { joined, mut media, answer } = entry;
        let join_took_us = world.clock.now_us().saturating_sub(asked_us);
        world.name(&joined.participant.id, sender);
        let receiver = Receiver {
            reception: Arc::clone(&reception),
            observed: session.notebook(),
            world: Arc::clone(world),
        };
        let receiving = receiving::start(&mut media, &answer, &receiver);
        let sending = sending::start(&media, options.level, options.video_kbps, &sent, world);
        media.accept(&answer).await.context("applying the server's SDP answer")?;
        let name = options.name.clone();
        Ok(Peer {
            sender,
            name,
            joined,
            asked_us,
            join_took_us,
            session,
            media,
            reception,
            sending,
            receiving,
        })
    }

    /// Sends a chat message to the room and waits for the RECEIPT.
    ///
    /// # Errors
    /// When the server refuses the message or does not acknowledge it.
    pub async fn say(&self, text: &str) -> Result<()> {
        let chat = Chat { text: text.to_owned(), ..Chat::default() };
        self.session.tell(&Request::Chat(chat)).await
    }

    /// Sends a request and returns its reply.
    ///
    /// # Errors
    /// When the server refuses the request or does not answer.
    pub async fn ask(&self, request: &Request) -> Result<Signal> {
        self.session.ask(request).await
    }

    /// Sends a request without a reply, and waits for its RECEIPT.
    ///
    /// # Errors
    /// When the server refuses the request or does not acknowledge it.
    pub async fn tell(&self, request: &Request) -> Result<()> {
        self.session.tell(request).await
    }

    /// The published m-lines as declared in the join.
    pub fn mids(&self) -> &Mids {
        &self.media.mids
    }

    /// Waits until the peer's picture of the room satisfies a condition; `what` describes the condition in error texts.
    ///
    /// # Errors
    /// When the condition is not met within `limit`, or the session ends first.
    pub async fn wait(
        &self,
        what: &str,
        limit: Duration,
        is_wanted: impl FnMut(&Observed) -> bool,
    ) -> Result<()> {
        let waited = self.session.wait(what, limit, is_wanted).await;
        waited.with_context(|| self.name.clone())
    }

    /// The peer's picture of the room.
    pub fn observed(&self) -> watch::Receiver<Observed> {
        self.session.observed()
    }

    /// A copy of what it has received so far.
    pub fn reception(&self) -> Reception {
        lock(&self.reception).clone()
    }

    /// Stops sending media; keeps receiving.
    pub async fn stop_sending(&mut self) {
        self.sending.shutdown().await;
    }

    /// Leaves the room and closes its connections.
    ///
    /// # Errors
    /// When the server violates the protocol.
    pub async fn leave(mut self) -> Result<()> {
        self.stop_sending().await;
        let reply = self.session.ask(&Request::Leave(Leave {})).await;
        self.media.close().await;
        self.receiving.shutdown().await;
        let goodbye = self.session.disconnect().await;
        match reply? {
            Signal::Left {} => goodbye,
            other => bail!("leave was answered with {}", text_of(&other)),
        }
    }
}

/// The result of joining.
struct Entry {
    joined: Joined,
    media: Media,
    answer: String,
}

/// Joins with an offer, in one round trip.
async fn enter_with_media(
    session: &Session,
    options: &PeerOptions,
    sender: SenderId,
) -> Result<Entry> {
    let media = Media::offer(&wanted(options, sender, None)?).await?;
    let (sdp, mids) = (Some(media.offer.clone()), Some(media.mids.clone()));
    let mut joined = join(session, Join { sdp, mids, ..named(options) }).await?;
    let answer = joined.answer.take().context("`joined` has no answer to the offer")?;
    Ok(Entry { joined, media, answer })
}

/// Joins without media to learn the TURN servers, then sends an offer.
async fn enter_through_relay(
    session: &Session,
    options: &PeerOptions,
    sender: SenderId,
) -> Result<Entry> {
    let joined = join(session, named(options)).await?;
    let relays = joined.ice_servers.clone();
    if !relays.iter().flat_map(|server| &server.urls).any(|url| url.starts_with("turn")) {
        bail!("`ice_servers` in `joined` has no TURN server");
    }
    let media = Media::offer(&wanted(options, sender, Some(relays))?).await?;
    let sources = Sources { mids: media.mids.clone() };
    let offer = Offer { sdp: media.offer.clone() };
    let answer = match session.ask(&Request::Offer(offer)).await? {
        Signal::Answer { sdp } => sdp,
        other => bail!("offer was answered with {}", text_of(&other)),
    };
    session.tell(&Request::Sources(sources)).await?;
    Ok(Entry { joined, media, answer })
}

async fn join(session: &Session, join: Join) -> Result<Joined> {
    match session.ask(&Request::Join(join)).await? {
        Signal::Joined(joined) => Ok(*joined),
        other => bail!("join was answered with {}", text_of(&other)),
    }
}

fn named(options: &PeerOptions) -> Join {
    Join { name: options.name.clone(), ..Join::default() }
}

fn wanted(
    options: &PeerOptions,
    sender: SenderId,
    relays: Option<Vec<IceServer>>,
) -> Result<Wanted> {
    let host = options.url.host().context("the URL has no host")?;
    let local = local_address_towards(host, options.url.port_u16().unwrap_or(80))?;
    let (audio_slots, video_slots) = (options.audio_slots, options.video_slots);
    Ok(Wanted { sender, audio_slots, video_slots, local, relays })
}

fn text_of(signal: &Signal) -> String {
    String::from_utf8_lossy(&signal.to_json()).into_owned()
}
