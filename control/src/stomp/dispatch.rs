//! Dispatches the SEND frames of clients.
//!
//! Requests to `/app/**` become letters to rooms; messages to `/topic/**` and `/queue/**` go to the broker. A refused
//! SEND is answered with an `error` message on `/user/queue/signal`, and the connection continues.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use madang_wire::{
    Destination, DestinationError, ErrorCode, Headers, Pattern, Prefixes, Request, RoomName,
    Signal, header,
};
use serde_json::Value;

use crate::auth::Grant;
use crate::broker::{Broker, Kind, Message, Receipt, Requester, SessionId, Signals};
use crate::refusal::Refusal;
use crate::relay::Relay;
use crate::rooms::room::{Asked, IceServers, rights};
use crate::rooms::{Letter, Rooms};
use crate::stomp::Sent;
use crate::token_bucket::TokenBucket;

/// The maximum number of rooms that a session has asked to join and not left.
const MAX_ROOMS: usize = 256;

/// The burst of offers that a session may make, in seconds of their rate: at the start, a client may negotiate again for
/// each source that its user switches on.
const OFFER_BURST_SECONDS: u32 = 3;

/// Headers of a SEND that are not copied to its MESSAGEs, because they are between the sender and the server.
const PRIVATE_HEADERS: &[&str] = &[
    header::ACK,
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::DESTINATION,
    header::LOGIN,
    header::MESSAGE_ID,
    header::PASSCODE,
    header::RECEIPT,
    header::SEQ,
    header::SUBSCRIPTION,
    header::TRANSACTION,
];

/// Whether a header is private; the case of `Authorization` does not matter.
fn is_private(name: &str) -> bool {
    PRIVATE_HEADERS.contains(&name) || name.eq_ignore_ascii_case(header::AUTHORIZATION)
}

/// Carries out the SENDs of sessions.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) broker: Broker,
    pub(crate) rooms: Rooms,
    pub(crate) signals: Signals,
    pub(crate) ice_servers: IceServers,
    pub(crate) prefixes: Arc<Prefixes>,
    /// The external broker, if topics and queues live there.
    pub(crate) relay: Option<Relay>,
}

/// The sender of a SEND, and the rooms that know the session.
pub(crate) struct Sender {
    pub(crate) session: SessionId,
    /// The header `session` of CONNECTED.
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// The rights of the sender.
    pub(crate) grant: Arc<Grant>,
    /// The rooms to notify when the session ends; at most [`MAX_ROOMS`].
    pub(crate) rooms: HashSet<RoomName>,
    pub(crate) offers: OfferRate,
}

/// The rate limit of offers, which cost the server far more than other requests.
pub(crate) struct OfferRate {
    per_second: u32,
    allowance: TokenBucket,
}

impl OfferRate {
    pub(crate) fn new(per_second: u32, now: Instant) -> OfferRate {
        let allowance = TokenBucket::of_seconds(OFFER_BURST_SECONDS, per_second, now);
        OfferRate { per_second, allowance }
    }

    fn check(&mut self, now: Instant, request: &Request) -> Result<(), Refusal> {
        let has_offer = match request {
            Request::Join(join) => join.sdp.is_some(),
            Request::Offer(_) => true,
            Request::Candidate(_)
            | Request::Sources(_)
            | Request::View(_)
            | Request::State(_)
            | Request::Chat(_)
            | Request::React(_)
            | Request::Moderate(_)
            | Request::Leave(_) => false,
        };
        if has_offer && !self.allowance.take(now) {
            return Err(Refusal::too_many_offers(self.per_second));
        }
        Ok(())
    }
}

impl Sender {
    /// Checks that the sender's grant opens a room.
    pub(crate) fn opens(&self, room: &RoomName) -> Result<(), Refusal> {
        rights::check_opens(&self.grant, room)
    }

    /// Checks that the sender's grant opens a destination outside rooms.
    fn may_send(&self, to: &str) -> Result<(), Refusal> {
        match self.grant.destinations.let_send(to) {
            true => Ok(()),
            false => Err(Refusal::destination_not_granted(to)),
        }
    }
}

impl Dispatch {
    /// Carries out one SEND. The receipt is sent when all its holders are done, and for a chat message only once the
    /// message is stored.
    pub(crate) fn handle_send(&self, sender: &mut Sender, sent: Sent, receipt: Option<&Receipt>) {
        let correlation_id = sent.headers.get(header::CORRELATION_ID).map(str::to_owned);
        let from = Requester { session: sender.session, correlation_id };
        if let Err(Refusal { code, message }) = self.route(sender, &from, sent, receipt) {
            self.signals.send(&from, &Signal::Error { code, message });
        }
    }

    fn route(
        &self,
        sender: &mut Sender,
        from: &Requester,
        sent: Sent,
        receipt: Option<&Receipt>,
    ) -> Result<(), Refusal> {
        let to = sent.to.clone().map_err(|error| {
            let code = match error {
                DestinationError::BadRoom(_) => ErrorCode::NoSuchRoom,
                _ => ErrorCode::BadRequest,
            };
            Refusal::new(code, error.to_string())
        })?;
        match to {
            Destination::Request { room, action } => {
                self.request(sender, from, &room, &action, sent, receipt)
            }
            Destination::App(name) if name == "/chat" => self.tutorial_chat(sender, sent),
            Destination::App(name) if name == "/ice_servers" => {
                self.signals.send(from, &self.ice_servers.of_session(&sender.name));
                Ok(())
            }
            Destination::App(name) => {
                let message = format!(
                    "there is no request {name:?}; use /rooms/{{room}}/…, /ice_servers or /chat"
                );
                Err(Refusal::bad_request(message))
            }
            Destination::Topic(to) => {
                sender.may_send(&to)?;
                self.forward(&to, sent, Kind::Topic, |message| self.broker.publish(&message))
            }
            Destination::Queue(to) => {
                sender.may_send(&to)?;
                self.forward(&to, sent, Kind::Needed, |message| self.broker.enqueue(&message))
            }
            Destination::OtherUserQueue { user, queue } => {
                let to = format!("/user{queue}");
                if to == Destination::SIGNAL {
                    return Err(Refusal::signals_are_servers());
                }
                sender.may_send(&format!("/user/{user}{queue}"))?;
                // As in Spring, `%2F` stands for a slash in the name.
                let user = user.replace("%2F", "/");
                self.forward(&to, sent, Kind::Needed, |message| {
                    self.broker.tell_user(&user, &message);
                })
            }
            Destination::UserQueue(queue) => {
                let message =
                    format!("this destination needs the name of a user: /user/{{name}}{queue}");
                Err(Refusal::bad_request(message))
            }
            Destination::Rooms
            | Destination::Chat(_)
            | Destination::Events(_)
            | Destination::ServerTopic(_) => Err(Refusal::servers_alone()),
        }
    }

    fn request(
        &self,
        sender: &mut Sender,
        from: &Requester,
        room: &RoomName,
        action: &str,
        sent: Sent,
        receipt: Option<&Receipt>,
    ) -> Result<(), Refusal> {
        // The receipt of a chat message means that it is stored; the room's task reports that.
        if let Some(receipt) = receipt.filter(|_| action == "chat") {
            receipt.require_success();
        }
        sender.opens(room)?;
        let request = Request::parse(action, &sent.body)
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        sender.offers.check(sent.at, &request)?;
        let (is_join, is_leave) =
            (matches!(request, Request::Join(_)), matches!(request, Request::Leave(_)));
        let header = |name| sent.headers.get(name).map(str::to_owned);
        let asked = Asked {
            from: from.clone(),
            address: sender.address,
            grant: Arc::clone(&sender.grant),
            resume: header(header::RESUME),
            message_id: header(header::MESSAGE_ID),
            request,
        };
        let letter = Letter::Request { asked, receipt: receipt.cloned() };
        if !is_join {
            self.rooms.post(room, letter)?;
            if is_leave {
                sender.rooms.remove(room);
            }
            return Ok(());
        }
        if sender.rooms.len() >= MAX_ROOMS && !sender.rooms.contains(room) {
            return Err(Refusal::in_too_many_rooms(MAX_ROOMS));
        }
        self.rooms.post_opening(room, letter)?;
        sender.rooms.insert(room.clone());
        Ok(())
    }

    /// Passes a client's message to the broker.
    fn forward(
        &self,
        destination: &str,
        sent: Sent,
        kind: Kind,
        pass_on: impl FnOnce(Arc<Message>),
    ) -> Result<(), Refusal> {
        if !Pattern::parse(destination).is_ok_and(|pattern| pattern.is_literal()) {
            let message = "a SEND must name one destination; `*` and `**` are for SUBSCRIBE";
            return Err(Refusal::bad_request(message));
        }
        let headers: Headers = sent.headers.iter().filter(|(name, _)| !is_private(name)).collect();
        let message = Message::new(destination, headers, sent.body).of_kind(kind);
        pass_on(Arc::new(message.accepted(sent.at)));
        Ok(())
    }

    /// The chat of the common Spring tutorials: a message sent to `/pub/chat` is published to `/topic/chat/room/{id}`,
    /// and below every other publish/subscribe prefix, with its body unchanged.
    fn tutorial_chat(&self, sender: &Sender, sent: Sent) -> Result<(), Refusal> {
        let room = chat_room_id(&sent.body)?;
        sender.may_send(&format!("/topic/chat/room/{room}"))?;
        let headers: Headers = [(header::CONTENT_TYPE, "application/json")].into_iter().collect();
        for prefix in self.prefixes.broker.iter().filter(|prefix| *prefix != "/queue") {
            let destination = format!("{prefix}/chat/room/{room}");
            match &self.relay {
                Some(relay) => relay.publish(&destination, headers.clone(), sent.body.clone())?,
                None => {
                    let message = Message::new(&destination, headers.clone(), sent.body.clone())
                        .of_kind(Kind::Topic);
                    self.broker.publish(&Arc::new(message.accepted(sent.at)));
                }
            }
        }
        Ok(())
    }
}

/// The `chatRoomId` of a tutorial's message: a number, or a text that is a valid room name.
fn chat_room_id(body: &[u8]) -> Result<String, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))?;
    match body.get("chatRoomId") {
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::String(text)) => match RoomName::parse(text) {
            Ok(name) => Ok(name.to_string()),
            Err(error) => Err(Refusal::bad_request(format!("chatRoomId: {error}"))),
        },
        Some(_) => Err(Refusal::bad_request("chatRoomId must be a number or a string")),
        None => Err(Refusal::bad_request("the body must have a chatRoomId")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tutorials_room_is_a_number_or_a_name() {
        assert_eq!(chat_room_id(br#"{"chatRoomId":5}"#).unwrap(), "5");
        assert_eq!(chat_room_id(r#"{"chatRoomId":"회의"}"#.as_bytes()).unwrap(), "회의");
        for bad in ["", "[]", "{}", r#"{"chatRoomId":"a/b"}"#, r#"{"chatRoomId":null}"#, "\u{0}"] {
            assert_eq!(
                chat_room_id(bad.as_bytes()).unwrap_err().code,
                ErrorCode::BadRequest,
                "{bad}"
            );
        }
    }
}
