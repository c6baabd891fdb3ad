//! A room's configuration.

use std::sync::Arc;
use std::time::Duration;

use madang_sfu::RoomId;
use madang_wire::RoomName;

use super::IceServers;
use crate::limits::Limits;

/// The configuration that a room gets when it opens.
#[derive(Clone)]
pub(crate) struct RoomConfig {
    pub(crate) name: RoomName,
    pub(crate) id: RoomId,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resume_grace: Duration,
    pub(crate) ice_servers: IceServers,
    /// Whether a guest who joins the empty room becomes its host; true when authentication is off.
    pub(crate) guests_may_host: bool,
    /// Whether joining a room that does not exist creates it.
    pub(crate) joins_create: bool,
}
