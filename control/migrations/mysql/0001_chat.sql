-- Chat, numbered per room. `seq` has no gaps: it is given under a lock of the room, inside the transaction that stores
-- the message. Text is utf8mb4 and compared code point by code point. What users name themselves by is VARBINARY,
-- because a comparison of text overlooks trailing spaces; it is UTF-8 all the same.
CREATE TABLE chat_messages (
    room      VARCHAR(64)    NOT NULL,
    seq       BIGINT         NOT NULL CHECK (seq > 0),
    id        VARCHAR(64)    NOT NULL,
    from_id   VARBINARY(255) NOT NULL,
    from_name TEXT           NOT NULL,
    text      MEDIUMTEXT     NOT NULL,
    to_id     VARBINARY(255),          -- null: everybody in the room
    reply_to  VARCHAR(64),
    sent_at   BIGINT         NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (room, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX chat_messages_by_id ON chat_messages (room, id);
