-- Rooms, who may do what in them, and what else outlives the process. Times are milliseconds since
-- 1970-01-01T00:00:00Z; flags are 0 or 1.

CREATE TABLE rooms (
    name          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    settings      TEXT             NOT NULL, -- JSON; what is missing has its default
    is_locked     BIGINT           NOT NULL,
    password_hash TEXT,
    created_at    BIGINT           NOT NULL,
    created_by    TEXT COLLATE "C",
    last_seq      BIGINT           NOT NULL  -- highest number that a chat message got; never goes back
);

INSERT INTO rooms (name, settings, is_locked, created_at, last_seq)
SELECT room, '{}', 0, min(sent_at), max(seq) FROM chat_messages GROUP BY room;

ALTER TABLE chat_messages ADD COLUMN from_user  TEXT COLLATE "C"; -- null: a guest
ALTER TABLE chat_messages ADD COLUMN to_user    TEXT COLLATE "C"; -- the same of to_id
ALTER TABLE chat_messages ADD COLUMN author     TEXT COLLATE "C"; -- whose message_id it is; null without one
ALTER TABLE chat_messages ADD COLUMN message_id TEXT COLLATE "C"; -- the author's own id
ALTER TABLE chat_messages ADD COLUMN deleted_at BIGINT;
ALTER TABLE chat_messages ADD COLUMN folded     TEXT;             -- the text as it is searched; null: as it is

UPDATE chat_messages SET folded = lower(text) WHERE lower(text) <> text;

CREATE UNIQUE INDEX chat_messages_by_message_id ON chat_messages (room, message_id, author);

CREATE TABLE roles (
    room    TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    role    TEXT             NOT NULL,
    PRIMARY KEY (room, user_id)
);

CREATE TABLE bans (
    room       TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    token_id   TEXT COLLATE "C",
    expires_at BIGINT,                   -- null: never
    reason     TEXT,
    made_by    TEXT             NOT NULL,
    made_at    BIGINT           NOT NULL,
    PRIMARY KEY (room, user_id)
);

CREATE TABLE revoked_tokens (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    expires_at BIGINT           NOT NULL -- when the token itself is over, and this row of no more use
);

CREATE TABLE audit_log (
    id      BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at BIGINT           NOT NULL,
    room    TEXT COLLATE "C",            -- null: it concerns the server
    actor   TEXT             NOT NULL,
    action  TEXT             NOT NULL,
    target  TEXT,
    detail  TEXT
);

CREATE INDEX audit_log_by_room ON audit_log (room, id);

CREATE TABLE webhook_deliveries (
    id       BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url      TEXT   NOT NULL,
    body     TEXT   NOT NULL,
    attempts BIGINT NOT NULL,
    due_at   BIGINT NOT NULL
);
