//! The example frames in `golden`: these types write exactly those bytes, and read them back.
//!
//! `MADANG_WRITE_GOLDEN=1 cargo test -p madang-wire --test golden the_files` rewrites the files after a deliberate
//! change.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use bytes::Bytes;
use jiff::Timestamp;
use madang_wire::request::{
    Candidate, Chat, Join, Leave, Moderate, ModerateAction, Offer, React, Sources, State, View,
    WantedSlot,
};
use madang_wire::{
    Author, ChatMessage, CodecMismatch, Command, Decoded, Decoder, Destination, ErrorCode, Event,
    Frame, IceServer, Joined, Layer, LeaveReason, Limits, Participant, Prefixes, Request, Role,
    RoomCodec, RoomName, RoomSummary, Secret, Signal, Slot, SlotReason, SourceKind, Speaker,
    Version, Waiting, encode, header,
};
use serde_json::json;

#[test]
fn the_files_are_what_the_types_write() {
    let frames = frames();
    if env::var_os("MADANG_WRITE_GOLDEN").is_some() {
        write(&frames);
    }
    for (name, frame) in &frames {
        let file = fs::read(folder().join(format!("{name}.frame"))).unwrap();
        let written = encode(frame, Version::V1_2);
        assert_eq!(String::from_utf8_lossy(&file), String::from_utf8_lossy(&written), "{name}");
    }
}

#[test]
fn there_are_no_other_files() {
    let names: Vec<String> = frames().into_keys().map(|name| format!("{name}.frame")).collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(file == ".gitattributes" || names.contains(&file), "{file}");
    }
}

#[test]
fn decoding_and_encoding_again_gives_the_same_bytes() {
    for (name, file) in files() {
        let frame = decode(&file);
        assert_eq!(encode(&frame, Version::V1_2), file, "{name}");
    }
}

#[test]
fn bodies_survive_their_types() {
    for (name, file) in files() {
        let frame = decode(&file);
        if frame.header(header::CONTENT_TYPE) == Some(header::JSON) {
            assert_eq!(through_its_type(&frame), frame.body, "{name}");
        }
    }
}

#[test]
fn every_request_signal_and_event_has_an_example() {
    let frames = frames();
    for action in Request::ACTIONS {
        assert!(frames.contains_key(&format!("request_{action}")), "{action}");
    }
    let tagged = |prefix: &str, tags: &[&str]| {
        for tag in tags {
            let frame = &frames[&format!("{prefix}_{tag}")];
            let body: serde_json::Value = serde_json::from_slice(&frame.body).unwrap();
            assert_eq!(body["type"], *tag);
        }
    };
    let signals = [
        "joined",
        "answer",
        "ice_servers",
        "slots",
        "codec_mismatch",
        "bitrate_exceeded",
        "done",
        "left",
        "error",
        "waiting",
        "kicked",
        "moved",
    ];
    tagged("signal", &signals);
    let events = [
        "participant_joined",
        "participant_left",
        "participant_changed",
        "source_added",
        "source_removed",
        "speakers",
        "reaction",
        "room_changed",
        "message_deleted",
        "recording",
        "room_ended",
    ];
    tagged("event", &events);
}

/// Parses a body as the type that its destination implies, and serializes it again.
fn through_its_type(frame: &Frame) -> Bytes {
    let destination = frame.header(header::DESTINATION).unwrap();
    let body = &frame.body;
    match Destination::parse(destination, &Prefixes::default()).unwrap() {
        Destination::Request { action, .. } => Request::parse(&action, body).unwrap().to_json(),
        Destination::UserQueue(_) => serde_json::from_slice::<Signal>(body).unwrap().to_json(),
        Destination::Events(_) => serde_json::from_slice::<Event>(body).unwrap().to_json(),
        Destination::Chat(_) => serde_json::from_slice::<ChatMessage>(body).unwrap().to_json(),
        Destination::Rooms => serde_json::from_slice::<RoomSummary>(body).unwrap().to_json(),
        other => panic!("{other:?} has no type"),
    }
}

fn decode(file: &[u8]) -> Frame {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(file).unwrap();
    let Some(Decoded::Frame(frame)) = decoder.next_frame().unwrap() else {
        panic!("not a whole frame");
    };
    assert_eq!(decoder.next_frame(), Ok(None), "something follows the frame");
    frame
}

fn files() -> Vec<(String, Bytes)> {
    let read = |name: String| {
        let file = fs::read(folder().join(format!("{name}.frame"))).unwrap();
        (name, Bytes::from(file))
    };
    frames().into_keys().map(read).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn write(frames: &BTreeMap<String, Frame>) {
    for (name, frame) in frames {
        let path = folder().join(format!("{name}.frame"));
        fs::write(path, encode(frame, Version::V1_2)).unwrap();
    }
}

// The examples.

fn frames() -> BTreeMap<String, Frame> {
    let mut frames = BTreeMap::new();
    session_frames(&mut frames);
    for (name, request) in requests() {
        frames.insert(format!("request_{name}"), send(&request));
    }
    for (name, signal) in signals() {
        let frame = message("signal-0", Destination::SIGNAL, signal.to_json());
        frames.insert(format!("signal_{name}"), frame);
    }
    for (name, event) in events() {
        let frame = message("events-0", &Destination::events_of(&room()), event.to_json());
        frames.insert(format!("event_{name}"), frame);
    }
    for (name, chat) in [("chat_message", chat_message()), ("chat_private", private_message())] {
        let frame = message("chat-0", &Destination::chat_of(&room()), chat.to_json())
            .with_header(header::SEQ, chat.seq.to_string());
        frames.insert(name.to_owned(), frame);
    }
    let summary = message("rooms-0", Destination::ROOMS, summary().to_json());
    frames.insert("room_summary".to_owned(), summary);
    frames
}

fn session_frames(frames: &mut BTreeMap<String, Frame>) {
    let mut add = |name: &str, frame: Frame| frames.insert(name.to_owned(), frame);
    add(
        "connect",
        Frame::new(Command::Connect)
            .with_header(header::ACCEPT_VERSION, "1.2,1.1,1.0")
            .with_header(header::HOST, "127.0.0.1:8080")
            .with_header(header::HEART_BEAT, "10000,10000"),
    );
    add(
        "connect_with_token",
        Frame::new(Command::Connect)
            .with_header(header::ACCEPT_VERSION, "1.2,1.1,1.0")
            .with_header(header::HOST, "127.0.0.1:8080")
            .with_header(header::HEART_BEAT, "10000,10000")
            .with_header(header::AUTHORIZATION, "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
    );
    add(
        "connected",
        Frame::new(Command::Connected)
            .with_header(header::VERSION, "1.2")
            .with_header(header::SERVER, "madang/0.1.0")
            .with_header(header::SESSION, "s-1")
            .with_header(header::HEART_BEAT, "10000,10000")
            .with_header(header::USER_NAME, "guest-1"),
    );
    add(
        "subscribe_chat",
        Frame::new(Command::Subscribe)
            .with_header(header::ID, "chat-0")
            .with_header(header::DESTINATION, Destination::chat_of(&room()))
            .with_header(header::HISTORY, "50")
            .with_header(header::RECEIPT, "r:1"),
    );
    add("receipt", Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, "r:1"));
    add(
        "error",
        Frame::new(Command::Error)
            .with_header(header::MESSAGE, "a header line has no colon")
            .with_header(header::CONTENT_TYPE, "text/plain")
            .with_body("The frame can't be read: a header line has no colon.\n"),
    );
    add("disconnect", Frame::new(Command::Disconnect).with_header(header::RECEIPT, "bye"));
}

fn requests() -> Vec<(&'static str, Request)> {
    let join = Join { name: "김하나".into(), ..Join::default() };
    let join_with_media = Join {
        role: Some(Role::Speaker),
        password: Some(Secret::new("참깨")),
        sdp: Some("v=0\r\n".into()),
        mids: Some(mids()),
        ..join.clone()
    };
    let candidate = Candidate {
        candidate: "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host".into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
    };
    let wanted = WantedSlot {
        mid: "5".into(),
        participant: Some("p-2".into()),
        source: Some(SourceKind::Screen),
        max_width: Some(1280),
        max_height: Some(720),
        max_fps: Some(30),
        priority: Some(10),
    };
    let state = State {
        muted: Some(true),
        camera_off: Some(false),
        hand_raised: Some(true),
        name: Some("하나".into()),
        metadata: json!({"color": "초록"}).as_object().cloned(),
    };
    let chat = Chat { text: "안녕하세요".into(), ..Chat::default() };
    let reply =
        Chat { text: "반가워요".into(), to: Some("p-2".into()), reply_to: Some("m-1".into()) };
    let moderate = Moderate {
        action: ModerateAction::SetRole,
        participant: Some("p-2".into()),
        value: Some(json!("listener")),
    };
    let of = |action, value| Moderate { action, value, ..moderate.clone() };
    let lift = of(ModerateAction::Mute, Some(json!(false)));
    let ban = of(ModerateAction::Ban, Some(json!("2026-02-01T00:00:00Z")));
    let lock = Moderate { action: ModerateAction::Lock, participant: None, value: None };
    vec![
        ("join", Request::Join(join)),
        ("join_with_media", Request::Join(join_with_media)),
        ("offer", Request::Offer(Offer { sdp: "v=0\r\n".into() })),
        ("candidate", Request::Candidate(candidate)),
        ("sources", Request::Sources(Sources { mids: mids() })),
        ("view", Request::View(View { slots: vec![wanted], auto: true })),
        ("state", Request::State(state)),
        ("chat", Request::Chat(chat)),
        ("chat_private", Request::Chat(reply)),
        ("react", Request::React(React { emoji: "👏".into() })),
        ("moderate", Request::Moderate(moderate)),
        ("moderate_lift", Request::Moderate(lift)),
        ("moderate_room", Request::Moderate(lock)),
        ("moderate_ban", Request::Moderate(ban)),
        ("leave", Request::Leave(Leave {})),
    ]
}

fn signals() -> Vec<(&'static str, Signal)> {
    let joined = Joined {
        participant: hana(),
        resume_token: Secret::new("t-1"),
        participants: vec![hana()],
        ice_servers: Vec::new(),
        answer: None,
        slots: None,
        chat_seq: 0,
        locked: false,
        server_time: noon(),
    };
    let joined_with_media = Joined {
        participants: vec![duri(), hana()],
        ice_servers: ice_servers(),
        answer: Some("v=0\r\n".into()),
        slots: Some(slots()),
        chat_seq: 7,
        locked: false,
        ..joined.clone()
    };
    let error = Signal::Error {
        code: ErrorCode::BadRequest,
        message: "the body of join can't be read: missing field `name` at line 1 column 2".into(),
    };
    let waiting = Waiting { id: "w-1".into(), name: "이두리".into() };
    let undecodable = |slot: Slot| match slot.source {
        Some(SourceKind::Camera) => Slot { layer: None, reason: Some(SlotReason::Codec), ..slot },
        _ => slot,
    };
    let exceeded = Signal::BitrateExceeded {
        mid: "1".into(),
        source: Some(SourceKind::Camera),
        bits_per_second: 8_000_000,
    };
    let slots_codec = slots().into_iter().map(undecodable).collect();
    vec![
        ("joined", Signal::Joined(Box::new(joined))),
        ("joined_with_media", Signal::Joined(Box::new(joined_with_media))),
        ("answer", Signal::Answer { sdp: "v=0\r\n".into() }),
        ("ice_servers", Signal::IceServers { ice_servers: ice_servers(), ttl: 600 }),
        ("slots", Signal::Slots { slots: slots() }),
        ("slots_codec", Signal::Slots { slots: slots_codec }),
        ("codec_mismatch", Signal::CodecMismatch { mismatches: vec![mismatch()] }),
        ("bitrate_exceeded", exceeded),
        ("done", Signal::Done {}),
        ("left", Signal::Left {}),
        ("error", error),
        ("waiting", Signal::Waiting { waiting: vec![waiting] }),
        ("kicked", Signal::Kicked { reason: "removed by the host".into() }),
        ("moved", Signal::Moved { url: "https://b.example/rooms/회의실".into() }),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    let duri_id = || "p-2".to_owned();
    let muted = Participant { muted: true, hand_raised: true, ..duri() };
    let silenced = Participant { stopped: vec![SourceKind::Microphone], ..muted.clone() };
    let camera = SourceKind::Camera;
    let speakers = vec![
        Speaker { participant: duri_id(), level: 21 },
        Speaker { participant: "p-1".into(), level: 40 },
    ];
    let reason = LeaveReason::Left;
    let ended = "the host closed the room".to_owned();
    vec![
        ("participant_joined", Event::ParticipantJoined { participant: duri() }),
        ("participant_left", Event::ParticipantLeft { participant: duri(), reason }),
        ("participant_changed", Event::ParticipantChanged { participant: muted }),
        ("participant_changed_stopped", Event::ParticipantChanged { participant: silenced }),
        ("source_added", Event::SourceAdded { participant: duri_id(), source: camera }),
        ("source_removed", Event::SourceRemoved { participant: duri_id(), source: camera }),
        ("speakers", Event::Speakers { speakers }),
        ("reaction", Event::Reaction { participant: duri_id(), emoji: "👏".into() }),
        ("room_changed", Event::RoomChanged { room: summary() }),
        ("message_deleted", Event::MessageDeleted { seq: 7, id: "m-7".into() }),
        ("recording", Event::Recording { active: true }),
        ("room_ended", Event::RoomEnded { reason: ended }),
    ]
}

fn slots() -> Vec<Slot> {
    let empty = |mid: &str| Slot {
        mid: mid.into(),
        participant: None,
        source: None,
        layer: None,
        reason: Some(SlotReason::Idle),
    };
    let voice = Slot {
        participant: Some("p-2".into()),
        source: Some(SourceKind::Microphone),
        reason: Some(SlotReason::Speaker),
        ..empty("2")
    };
    let face = Slot {
        participant: Some("p-2".into()),
        source: Some(SourceKind::Camera),
        layer: Some(Layer { width: 640, height: 360, fps: 30 }),
        reason: Some(SlotReason::Auto),
        ..empty("5")
    };
    vec![voice, empty("3"), empty("4"), face]
}

fn mismatch() -> CodecMismatch {
    let codec = |mime_type: &str, fmtp: Option<&str>, receivers| RoomCodec {
        mime_type: mime_type.into(),
        sdp_fmtp_line: fmtp.map(str::to_owned),
        receivers,
    };
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    CodecMismatch {
        mid: "1".into(),
        source: Some(SourceKind::Camera),
        viewers: 1,
        receivers: 3,
        wanted: vec![codec("video/VP8", None, 3)],
        room: vec![codec("video/VP8", None, 3), codec("video/H264", Some(h264), 2)],
    }
}

fn ice_servers() -> Vec<IceServer> {
    let stun =
        IceServer { urls: vec!["stun:192.0.2.1:3478".into()], username: None, credential: None };
    let turn = IceServer {
        urls: vec!["turn:192.0.2.1:3478?transport=udp".into()],
        username: Some("1767268800:p-1".into()),
        credential: Some(Secret::new("aGVsbG8=")),
    };
    vec![stun, turn]
}

fn mids() -> BTreeMap<String, SourceKind> {
    [("0".to_owned(), SourceKind::Microphone), ("1".to_owned(), SourceKind::Camera)].into()
}

fn hana() -> Participant {
    Participant {
        id: "p-1".into(),
        name: "김하나".into(),
        role: Role::Speaker,
        joined_at: noon(),
        muted: false,
        camera_off: false,
        hand_raised: false,
        sources: vec![SourceKind::Microphone, SourceKind::Camera],
        stopped: Vec::new(),
        metadata: serde_json::Map::new(),
    }
}

fn duri() -> Participant {
    let metadata = json!({"color": "초록"}).as_object().cloned().unwrap();
    Participant { id: "p-2".into(), name: "이두리".into(), metadata, ..hana() }
}

fn chat_message() -> ChatMessage {
    ChatMessage {
        seq: 7,
        id: "m-7".into(),
        from: Author { id: "p-2".into(), name: "이두리".into() },
        text: "안녕하세요! <b>굵게</b>\n다음 줄".into(),
        to: None,
        reply_to: None,
        sent_at: noon(),
        deleted: false,
    }
}

fn private_message() -> ChatMessage {
    let to = Some("p-1".into());
    ChatMessage { seq: 8, id: "m-8".into(), to, reply_to: Some("m-7".into()), ..chat_message() }
}

fn summary() -> RoomSummary {
    RoomSummary { name: room(), participants: 2, created_at: noon(), locked: false }
}

fn room() -> RoomName {
    RoomName::parse("주간회의-1").unwrap()
}

fn noon() -> Timestamp {
    "2026-01-01T12:00:00.123Z".parse().unwrap()
}

fn send(request: &Request) -> Frame {
    Frame::new(Command::Send)
        .with_header(header::DESTINATION, Destination::request_to(&room(), request.action()))
        .with_header(header::CONTENT_TYPE, header::JSON)
        .with_header(header::CORRELATION_ID, "c-1")
        .with_body(request.to_json())
}

fn message(subscription: &str, destination: &str, body: Bytes) -> Frame {
    Frame::new(Command::Message)
        .with_header(header::SUBSCRIPTION, subscription)
        .with_header(header::MESSAGE_ID, "m-7")
        .with_header(header::DESTINATION, destination)
        .with_header(header::CONTENT_TYPE, header::JSON)
        .with_body(body)
}
