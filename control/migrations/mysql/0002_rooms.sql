-- Rooms, who may do what in them, and what else outlives the process. Times are milliseconds since
-- 1970-01-01T00:00:00Z; flags are 0 or 1.

CREATE TABLE rooms (
    name          VARCHAR(64) NOT NULL PRIMARY KEY,
    settings      TEXT        NOT NULL, -- JSON; what is missing has its default
    is_locked     BIGINT      NOT NULL,
    password_hash TEXT,
    created_at    BIGINT      NOT NULL,
    created_by    VARBINARY(255),
    last_seq      BIGINT      NOT NULL  -- highest number that a chat message got; never goes back
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO rooms (name, settings, is_locked, created_at, last_seq)
SELECT room, '{}', 0, min(sent_at), max(seq) FROM chat_messages GROUP BY room;

ALTER TABLE chat_messages
    ADD COLUMN from_user  VARBINARY(255), -- null: a guest
    ADD COLUMN to_user    VARBINARY(255), -- the same of to_id
    ADD COLUMN author     VARBINARY(300), -- whose message_id it is; null without one
    ADD COLUMN message_id VARBINARY(255), -- the author's own id
    ADD COLUMN deleted_at BIGINT,
    ADD COLUMN folded     MEDIUMTEXT;     -- the text as it is searched; null: as it is

UPDATE chat_messages SET folded = lower(text) WHERE lower(text) <> text;

CREATE UNIQUE INDEX chat_messages_by_message_id ON chat_messages (room, message_id, author);

CREATE TABLE roles (
    room    VARCHAR(64)    NOT NULL,
    user_id VARBINARY(255) NOT NULL,
    role    VARCHAR(16)    NOT NULL,
    PRIMARY KEY (room, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE bans (
    room       VARCHAR(64)    NOT NULL,
    user_id    VARBINARY(255) NOT NULL,
    token_id   VARBINARY(255),
    expires_at BIGINT,                 -- null: never
    reason     TEXT,
    made_by    VARBINARY(255) NOT NULL,
    made_at    BIGINT         NOT NULL,
    PRIMARY KEY (room, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE revoked_tokens (
    id         VARBINARY(255) NOT NULL PRIMARY KEY,
    expires_at BIGINT         NOT NULL -- when the token itself is over, and this row of no more use
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit_log (
    id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    made_at BIGINT       NOT NULL,
    room    VARCHAR(64),               -- null: it concerns the server
    actor   TEXT         NOT NULL,
    action  TEXT         NOT NULL,
    target  TEXT,
    detail  TEXT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX audit_log_by_room ON audit_log (room, id);

CREATE TABLE webhook_deliveries (
    id       BIGINT     NOT NULL AUTO_INCREMENT PRIMARY KEY,
    url      TEXT       NOT NULL,
    body     MEDIUMTEXT NOT NULL,
    attempts BIGINT     NOT NULL,
    due_at   BIGINT     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
