-- Chat, numbered per room. `seq` has no gaps: it is the highest one of the room plus one, given inside the
-- transaction that stores the message.
CREATE TABLE chat_messages (
    room      TEXT    NOT NULL,
    seq       INTEGER NOT NULL CHECK (seq > 0),
    id        TEXT    NOT NULL,
    from_id   TEXT    NOT NULL,
    from_name TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    to_id     TEXT,             -- null: everybody in the room
    reply_to  TEXT,
    sent_at   INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX chat_messages_by_id ON chat_messages (room, id);
