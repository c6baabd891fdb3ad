//! What the store does, whatever database is behind it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by test programs, each of which uses some of it; helpers of tests may unwrap, as tests do"
)]

mod chat;
mod migration;
mod numbering;
mod people;
mod records;
mod rooms;
mod search;

use jiff::Timestamp;
use madang::store::{Appended, NewChatMessage, Store, Viewer};
use madang_wire::{ChatMessage, RoomName};

/// Tells all of them, each on an empty database, whose URL `fresh` makes.
pub(crate) async fn tell_all(fresh: impl AsyncFn() -> String) {
    macro_rules! tell {
        ($($topic:ident: $($story:ident)*;)*) => {$($(
            println!("{}: {}", stringify!($topic), stringify!($story).replace('_', " "));
            $topic::$story(&fresh().await).await;
        )*)*};
    }
    tell! {
        numbering: messages_are_numbered_per_room_in_order
            concurrent_callers_leave_no_gap_and_get_different_numbers
            numbers_go_on_after_a_restart
            a_refused_message_takes_no_number_and_no_other_message_with_it
            two_servers_on_one_database_leave_no_gap
            a_message_sent_again_is_stored_once
            authors_and_rooms_have_their_own_message_ids;
        chat: what_is_read_is_what_was_stored
            private_messages_are_for_their_two_ends
            a_user_finds_their_private_messages_as_another_participant
            a_deleted_message_leaves_its_place
            what_is_old_goes_and_the_numbers_go_on
            pages_lead_from_the_end_to_the_beginning;
        search: words_are_found_in_whatever_case
            what_stands_for_itself_is_no_pattern
            what_a_reader_may_not_see_is_not_found
            results_come_in_pages;
        rooms: a_room_is_remembered_as_it_was_saved
            a_room_is_made_once
            rooms_are_listed_by_name
            a_deleted_room_begins_anew
            settings_that_nobody_can_read_have_their_defaults;
        people: a_role_is_kept_until_it_is_cleared
            names_are_compared_exactly
            a_ban_is_kept_until_it_is_lifted
            there_is_a_most_of_people;
        records: revoked_tokens_are_forgotten_when_they_expire
            moderation_is_remembered_per_room
            webhook_calls_wait_until_they_are_delivered;
        migration: a_database_of_the_first_version_is_brought_up_to_date
            a_store_opens_again_and_again;
    }
}

pub(crate) async fn open(url: &str) -> Store {
    Store::open(&url.parse().unwrap()).await.unwrap()
}

/// The database itself, for what the store has no question for.
pub(crate) async fn run_sql(url: &str, sql: String) {
    use sqlx::Connection;
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(crate) fn madang() -> RoomName {
    room("마당")
}

/// Milliseconds after the beginning.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

pub(crate) fn line(id: &str) -> NewChatMessage {
    NewChatMessage {
        id: id.to_owned(),
        from_id: "a".to_owned(),
        from_name: "하늘".to_owned(),
        from_user: None,
        text: "안녕".to_owned(),
        to: None,
        to_user: None,
        reply_to: None,
        message_id: None,
        sent_at: Timestamp::UNIX_EPOCH,
    }
}

/// Appends what was not there.
pub(crate) async fn append(store: &Store, room: &RoomName, message: NewChatMessage) -> ChatMessage {
    match store.append_chat(room, message).await.unwrap() {
        Appended::Stored(message) => message,
        Appended::Known(message) => panic!("stored before: {message:?}"),
    }
}

pub(crate) fn guest(participant: &str) -> Viewer {
    Viewer { participant: participant.to_owned(), user: None }
}

pub(crate) fn seqs(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

pub(crate) fn ids(messages: &[ChatMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}
