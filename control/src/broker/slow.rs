//! Slow consumers: what happens to the messages of a client that reads more slowly than they arrive.

use std::collections::{HashSet, VecDeque};

use super::parcel::Parcel;
use crate::broker::{Kind, SubscriptionId};
use crate::limits::SlowPolicy;

/// The policies for slow consumers, by kind of message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    pub(crate) state: SlowPolicy,
    pub(crate) topics: SlowPolicy,
}

impl Policies {
    fn of(self, kind: &Kind) -> SlowPolicy {
        match kind {
            Kind::Needed => SlowPolicy::Disconnect,
            Kind::Topic => self.topics,
            Kind::State(_) => self.state,
        }
    }

    /// Removes the messages that a later one replaces; returns their number.
    pub(super) fn coalesce(self, parcels: &mut VecDeque<Parcel>) -> u64 {
        let before = parcels.len();
        let mut later: HashSet<(SubscriptionId, String, Kind)> = HashSet::new();
        let mut keeps: Vec<bool> = parcels
            .iter()
            .rev()
            .map(|parcel| match parcel {
                Parcel::Subscribed(id, message)
                    if self.of(&message.kind) == SlowPolicy::Coalesce =>
                {
                    later.insert((*id, message.destination.clone(), message.kind.clone()))
                }
                _ => true,
            })
            .collect();
        parcels.retain(|_| keeps.pop().unwrap_or(true));
        (before - parcels.len()) as u64
    }

    /// Removes the oldest droppable messages while `are_too_many`; returns their number. `are_too_many` gets each
    /// removed parcel, and first `None`.
    pub(super) fn drop_oldest(
        self,
        parcels: &mut VecDeque<Parcel>,
        mut are_too_many: impl FnMut(Option<&Parcel>) -> bool,
    ) -> u64 {
        let before = parcels.len();
        let mut goes_on = are_too_many(None);
        parcels.retain(|parcel| {
            let may_go = match parcel {
                Parcel::Subscribed(_, message) => self.of(&message.kind) == SlowPolicy::DropOldest,
                _ => false,
            };
            if !goes_on || !may_go {
                return true;
            }
            goes_on = are_too_many(Some(parcel));
            false
        });
        (before - parcels.len()) as u64
    }
}
