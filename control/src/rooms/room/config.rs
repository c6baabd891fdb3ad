//! What a room is given at its start.

use std::sync::Arc;
use std::time::Duration;

use madang_sfu::RoomId;
use madang_wire::{IceServer, RoomName};

use crate::limits::Limits;

/// What a room is given at its start.
#[derive(Clone)]
pub(crate) struct RoomConfig {
    pub(crate) name: RoomName,
    pub(crate) id: RoomId,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resume_grace: Duration,
    pub(crate) ice_servers: IceServers,
    /// Whether a guest who comes into the empty room is its host, as where authentication is off.
    pub(crate) guests_may_host: bool,
    /// Whether joining a room that never was creates it.
    pub(crate) joins_create: bool,
}

/// The ICE servers for a participant, by its id.
pub type IceServers = Arc<dyn Fn(&str) -> Vec<IceServer> + Send + Sync>;
