-- Chat, numbered per room. `seq` has no gaps: it is given under a lock of the room, inside the transaction that stores
-- the message. Names and ids are compared byte by byte (COLLATE "C").
CREATE TABLE chat_messages (
    room      TEXT COLLATE "C" NOT NULL,
    seq       BIGINT           NOT NULL CHECK (seq > 0),
    id        TEXT COLLATE "C" NOT NULL,
    from_id   TEXT COLLATE "C" NOT NULL,
    from_name TEXT             NOT NULL,
    text      TEXT             NOT NULL,
    to_id     TEXT COLLATE "C",          -- null: everybody in the room
    reply_to  TEXT COLLATE "C",
    sent_at   BIGINT           NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (room, seq)
);

CREATE UNIQUE INDEX chat_messages_by_id ON chat_messages (room, id);
