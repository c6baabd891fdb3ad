//! The signaling of light peers: STOMP, the offer and the answer.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use madang_wire::request::{Join, Leave};
use madang_wire::{Request, RoomName, Secret, Signal};
use tokio_tungstenite::tungstenite::http::Uri;

use super::answer::Answer;
use super::network::Network;
use super::offer::{Offer, Ssrcs};
use super::peer::{NewPeer, Publishes};
use super::thread::MediaThread;
use crate::options::{Conditions, Pacing};
use crate::reception::Reception;
use crate::session::Session;
use crate::stomp::Stomp;
use crate::world::{Sent, World};

/// The parameters of a light peer.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub url: Uri,
    /// The token to connect with; `None` for a guest.
    pub token: Option<Secret>,
    /// The room.
    pub room: RoomName,
    /// The pacing and the video bit rate in kbit/s, if it publishes.
    pub publishes: Option<(Pacing, u32)>,
    /// The number of receiving slots of each kind.
    pub slots: usize,
    /// The network conditions in front of it.
    pub conditions: Conditions,
}

/// A peer with a STOMP session that has not joined its room yet.
pub struct Visitor {
    plan: Plan,
    sent: Arc<Sent>,
    session: Session,
}

/// A peer that has joined its room.
pub struct Member {
    session: Session,
    /// The time from the join request to its reply, in microseconds.
    pub join_took_us: u64,
}

impl Visitor {
    /// Connects and subscribes to replies.
    ///
    /// # Errors
    /// When the server refuses the connection or is not reachable.
    pub async fn connect(world: &Arc<World>, plan: Plan) -> Result<Visitor> {
        let sent = world.add_peer();
        let reception = Arc::new(Mutex::new(Reception::new(sent.sender)));
        let stomp = Stomp::connect_as(&plan.url, plan.token.as_ref()).await?;
        let session = Session::start(stomp, &plan.room, reception, Arc::clone(world));
        session.subscribe_to_signals().await?;
        Ok(Visitor { plan, sent, session })
    }

    /// Joins the room and hands the peer's media to the media thread.
    ///
    /// # Errors
    /// When the server refuses the join or is not reachable.
    pub async fn join(self, world: &World, media: &MediaThread) -> Result<Member> {
        let Visitor { plan, sent, session } = self;
        let number = sent.sender.0;
        let base = 0x2000_0000 + number * 4;
        let ssrcs = Ssrcs { audio: base, video: base + 1, video_rtx: base + 2 };
        let offer = Offer {
            publishes: plan.publishes.map(|_| ssrcs),
            audio_slots: plan.slots,
            video_slots: plan.slots,
            ufrag: format!("light{number}"),
            // Only full ICE agents check the passwords of their peers; an ICE-lite server never uses it.
            password: format!("{number:024}"),
            fingerprint: media.identity.fingerprint(),
        };
        let join = Join {
            name: format!("light {number}"),
            sdp: Some(offer.sdp()),
            mids: offer.mids(),
            ..Join::default()
        };
        let asked_us = world.clock.now_us();
        let joined = match session.ask(&Request::Join(join)).await? {
            Signal::Joined(joined) => *joined,
            _ => bail!("join was answered with neither `joined` nor an error"),
        };
        let join_took_us = world.clock.now_us() - asked_us;
        let answer = joined.answer.context("`joined` has no answer to the offer")?;
        let publishes = plan.publishes.map(|(pacing, video_kbps)| {
            // All levels differ, so that the order of the active speakers is certain.
            let level = 20 + (number % 100) as u8;
            Publishes { ssrcs, sent, pacing, video_kbps, level }
        });
        let new = NewPeer {
            ufrag: offer.ufrag,
            answer: Answer::parse(&answer)?,
            publishes,
            network: Network::new(plan.conditions, u64::from(number)),
            number,
            asked_us,
        };
        media.add(new)?;
        Ok(Member { session, join_took_us })
    }
}

impl Member {
    /// Leaves the room and ends the session.
    ///
    /// # Errors
    /// When the server does not acknowledge.
    pub async fn leave(self) -> Result<()> {
        self.session.ask(&Request::Leave(Leave {})).await?;
        self.session.disconnect().await
    }
}
