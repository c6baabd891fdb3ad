//! The control plane, which all connections share: the broker, the rooms, and the limits on connections.
#![expect(
    clippy::disallowed_methods,
    reason = "shutting down has deadlines, and quotas begin at the start"
)]

mod admission;
mod stats;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use madang_sfu::Event as EngineEvent;
use madang_sfu::io::Handle;
use madang_wire::{Prefixes, RoomName, RoomSummary, Secret};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span};

pub use stats::ControlStats;

use self::admission::{Admission, Admitted};
use crate::auth::{Auth, Grant};
use crate::broker::{Broker, SessionId, Signals};
use crate::counters::Counters;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::relay::{Relay, RelayUrl};
use crate::rooms::room::{Admin, AdminReply, IceServers};
use crate::rooms::{ChatQuota, Passwords, RoomCreation, Rooms, RoomsConfig, Tools};
use crate::stomp::SessionConfig;
use crate::stomp::connection::{self, Connection};
use crate::stomp::dispatch::Dispatch;
use crate::stomp::socket::Socket;
use crate::store::{Store, StoreError, retention};
use crate::webhooks::Webhooks;

/// How long each step of [`Hub::drain`] waits: for sessions, for the external broker, and for rooms.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of the control plane.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Limits per client, per room and for the server.
    pub limits: Limits,
    /// How long a participant whose connection dropped stays in its room, so that it can resume.
    pub resume_grace: Duration,
    /// The prefixes of destinations that the server handles, such as `/app`. Each begins with a slash and does not end
    /// with one.
    pub app_prefixes: Vec<String>,
    /// The prefixes of destinations that the broker serves. `/queue` is point to point, all others are
    /// publish/subscribe.
    pub broker_prefixes: Vec<String>,
    /// The external broker for topics and queues; `None` for the in-process broker.
    pub relay: Option<RelayUrl>,
    /// The policy for creating rooms.
    pub rooms_created_by: RoomCreation,
    /// Reports events of rooms to other programs.
    pub webhooks: Webhooks,
    /// Days after which chat is deleted, in rooms that do not set their own; 0 keeps it forever.
    pub chat_retention_days: u32,
}

impl Default for HubConfig {
    fn default() -> HubConfig {
        let Prefixes { app, broker } = Prefixes::default();
        HubConfig {
            limits: Limits::default(),
            resume_grace: Duration::from_secs(20),
            app_prefixes: app,
            broker_prefixes: broker,
            relay: None,
            rooms_created_by: RoomCreation::Join,
            webhooks: Webhooks::off(),
            chat_retention_days: 0,
        }
    }
}

/// The control plane: sessions, broker and rooms. Clones share the same one.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    limits: Arc<Limits>,
    app: Dispatch,
    auth: Auth,
    store: Store,
    passwords: Passwords,
    webhooks: Webhooks,
    counters: Arc<Counters>,
    admitted: Mutex<Admitted>,
    last_session: AtomicU64,
    /// Owns the connections' tasks.
    connections: TaskTracker,
    /// Owns the rooms' tasks.
    rooms: TaskTracker,
    /// Asks sessions to end with an ERROR.
    drain: CancellationToken,
    /// Ends rooms once they have handled what they were sent.
    stop: CancellationToken,
    /// Ends everything at once.
    shutdown: CancellationToken,
}

impl Hub {
    /// Starts the control plane. Must be called inside a tokio runtime. `shutdown` ends all of it at once;
    /// [`Hub::drain`] ends it gracefully.
    pub fn start(
        config: HubConfig,
        auth: Auth,
        store: Store,
        sfu: Handle,
        sfu_events: mpsc::Receiver<EngineEvent>,
        ice_servers: IceServers,
        shutdown: CancellationToken,
    ) -> Hub {
        let HubConfig { limits, resume_grace, app_prefixes, broker_prefixes, relay, .. } = config;
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let broker = Broker::default();
        let signals = Signals::new(broker.clone(), Arc::clone(&counters));
        let stop = shutdown.child_token();
        let passwords = Passwords::default();
        let tools = Tools {
            broker: broker.clone(),
            signals: signals.clone(),
            store: store.clone(),
            sfu,
            counters: Arc::clone(&counters),
            passwords: passwords.clone(),
            chat_quota: Arc::new(Mutex::new(ChatQuota::new(&limits, Instant::now()))),
            webhooks: config.webhooks.clone(),
            stop: stop.clone(),
        };
        let tasks = TaskTracker::new();
        let rooms_config = RoomsConfig {
            limits: Arc::clone(&limits),
            resume_grace,
            ice_servers: ice_servers.clone(),
            guests_may_host: !auth.is_required(),
            joins_create: config.rooms_created_by == RoomCreation::Join,
        };
        let rooms = Rooms::new(rooms_config, tools, tasks.clone());
        tasks.spawn(retention::run(store.clone(), config.chat_retention_days, stop.clone()));
        tasks.spawn(pass_on(sfu_events, rooms.clone(), stop.clone()));
        let prefixes = Arc::new(Prefixes { app: app_prefixes, broker: broker_prefixes });
        let relay = relay.map(|url| Relay::start(url, Arc::clone(&limits), shutdown.clone()));
        Hub(Arc::new(Shared {
            limits,
            app: Dispatch { broker, rooms, signals, ice_servers, prefixes, relay },
            auth,
            store,
            passwords,
            webhooks: config.webhooks,
            counters,
            admitted: Mutex::default(),
            last_session: AtomicU64::new(0),
            connections: TaskTracker::new(),
            rooms: tasks,
            drain: shutdown.child_token(),
            stop,
            shutdown,
        }))
    }

    /// Speaks STOMP on any [`Socket`], until either side ends the session. `from` is the client's address. The socket
    /// should limit its messages to [`Limits::frame_bytes`].
    pub(crate) async fn serve(&self, socket: impl Socket, from: IpAddr) {
        match self.admit(from) {
            Ok(admission) => self.serve_admitted(socket, &admission).await,
            Err(reason) => connection::refuse(socket, reason).await,
        }
    }

    /// Takes a place for a connection.
    ///
    /// # Errors
    /// The reason, when a limit is reached or the server is shutting down.
    pub(crate) fn admit(&self, from: IpAddr) -> Result<Admission, &'static str> {
        Admission::to(&self.0, from)
    }

    /// Spawns a task that belongs to a connection; [`Hub::drain`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.connections.spawn(task);
    }

    /// Speaks STOMP on a connection that has a place.
    pub(crate) async fn serve_admitted(&self, socket: impl Socket, admission: &Admission) {
        let hub = &self.0;
        let id = SessionId(hub.last_session.fetch_add(1, Relaxed));
        let config = SessionConfig {
            id: format!("{:016x}", rand::random::<u64>()),
            prefixes: Arc::clone(&hub.app.prefixes),
            relays: hub.app.relay.is_some(),
            limits: Arc::clone(&hub.limits),
            counters: Arc::clone(&hub.counters),
        };
        let connection = Connection {
            id,
            address: admission.from(),
            app: hub.app.clone(),
            auth: hub.auth.clone(),
            store: hub.store.clone(),
            counters: Arc::clone(&hub.counters),
            drain: hub.drain.clone(),
            shutdown: hub.shutdown.clone(),
        };
        let span = debug_span!("session", id = %config.id);
        let guest = Grant::guest(format!("guest-{:08x}", rand::random::<u32>()));
        let run = connection.run(socket, config, guest).instrument(span);
        hub.connections.track_future(run).await;
    }

    /// Revokes a token by its `jti`: it is no longer valid, and the sessions that use it end at once. The revocation is
    /// kept until `until`, when the token has expired anyway; without `until`, for ten years.
    ///
    /// # Errors
    /// When the store fails or holds too many revocations; then nothing has changed.
    pub async fn revoke(
        &self,
        token_id: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.auth.revoke(&self.0.store, token_id, until, now).await?;
        self.0.app.broker.revoke(token_id);
        Ok(())
    }

    /// Authentication: which clients may connect, and their rights.
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Sends a room a request on behalf of an operator. Opens the room if necessary; a room without participants is not
    /// listed.
    ///
    /// # Errors
    /// Refuses as it refuses clients: `no_such_room` when the store does not know the room, and those of
    /// [`AdminRequest`].
    ///
    /// [`AdminRequest`]: crate::rooms::room::AdminRequest
    pub async fn ask_room(&self, room: &RoomName, admin: Admin) -> Result<AdminReply, Refusal> {
        self.0.app.rooms.ask(room, admin).await
    }

    /// Hashes a room's password with argon2id; returns a PHC string.
    ///
    /// # Errors
    /// When the password is too long, or too many passwords are being hashed.
    pub async fn hash_password(&self, password: Secret) -> Result<String, Refusal> {
        self.0.passwords.hash(password).await
    }

    /// The rooms that have participants, in no particular order.
    pub fn open_rooms(&self) -> Vec<RoomSummary> {
        self.0.app.rooms.listed()
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> ControlStats {
        let relay = self.0.app.relay.as_ref().map(Relay::stats).unwrap_or_default();
        ControlStats {
            relay,
            store: self.0.store.stats(),
            webhooks: self.0.webhooks.stats(),
            ..ControlStats::of(&self.0.counters)
        }
    }

    /// Why the hub is not ready, if so: the database can't be written, or the external broker or the public keys for
    /// tokens are unavailable.
    pub fn trouble(&self) -> Option<String> {
        let of_relay = || self.0.app.relay.as_ref().and_then(Relay::trouble);
        self.0.store.trouble().or_else(of_relay).or_else(|| self.0.auth.trouble())
    }

    /// Ends all sessions with an ERROR, and waits until what they sent is stored: at most 5 seconds each for the
    /// sessions, the external broker and the rooms.
    pub async fn drain(&self) {
        let hub = &self.0;
        hub.app.rooms.close();
        hub.drain.cancel();
        hub.connections.close();
        // A session that does not end in time is cut off when the process ends.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, hub.connections.wait()).await;
        if let Some(relay) = &hub.app.relay {
            // A broker that does not confirm the DISCONNECT in time is cut off.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, relay.drain()).await;
        }
        hub.stop.cancel();
        hub.rooms.close();
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, hub.rooms.wait()).await;
    }
}

/// Passes the engine's events to the rooms. It never waits for a room, so that the engine never waits for this task.
async fn pass_on(mut events: mpsc::Receiver<EngineEvent>, rooms: Rooms, stop: CancellationToken) {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => rooms.deliver(event),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
}
