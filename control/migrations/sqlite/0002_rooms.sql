-- Rooms, who may do what in them, and what else outlives the process. Times are milliseconds since
-- 1970-01-01T00:00:00Z; flags are 0 or 1.

CREATE TABLE rooms (
    name          TEXT    NOT NULL PRIMARY KEY,
    settings      TEXT    NOT NULL, -- JSON; what is missing has its default
    is_locked     INTEGER NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL,
    created_by    TEXT,
    last_seq      INTEGER NOT NULL  -- highest number that a chat message got; never goes back, whatever is deleted
) STRICT, WITHOUT ROWID;

INSERT INTO rooms (name, settings, is_locked, created_at, last_seq)
SELECT room, '{}', 0, min(sent_at), max(seq) FROM chat_messages GROUP BY room;

ALTER TABLE chat_messages ADD COLUMN from_user  TEXT; -- null: a guest
ALTER TABLE chat_messages ADD COLUMN to_user    TEXT; -- the same of to_id
ALTER TABLE chat_messages ADD COLUMN author     TEXT; -- whose message_id it is; null without one
ALTER TABLE chat_messages ADD COLUMN message_id TEXT; -- the author's own id
ALTER TABLE chat_messages ADD COLUMN deleted_at INTEGER;
ALTER TABLE chat_messages ADD COLUMN folded     TEXT; -- the text as it is searched; null: as it is

UPDATE chat_messages SET folded = lower(text) WHERE lower(text) <> text;

CREATE UNIQUE INDEX chat_messages_by_message_id ON chat_messages (room, message_id, author);

CREATE TABLE roles (
    room    TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role    TEXT NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE bans (
    room       TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    token_id   TEXT,
    expires_at INTEGER,          -- null: never
    reason     TEXT,
    made_by    TEXT    NOT NULL,
    made_at    INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL  -- when the token itself is over, and this row of no more use
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    made_at INTEGER NOT NULL,
    room    TEXT,                -- null: it concerns the server
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT,
    detail  TEXT
) STRICT;

CREATE INDEX audit_log_by_room ON audit_log (room, id);

CREATE TABLE webhook_deliveries (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    url      TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    due_at   INTEGER NOT NULL
) STRICT;
