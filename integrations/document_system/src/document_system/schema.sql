CREATE TABLE users (
  user_id       TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  title         TEXT NOT NULL,
  unit          TEXT NOT NULL,
  password_hash TEXT NOT NULL
);

CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users,
  expires_at TEXT NOT NULL
);

CREATE TABLE notices (
  token_hash TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
  kind       TEXT NOT NULL CHECK (kind IN ('success', 'error', 'info')),
  text       TEXT NOT NULL
);

CREATE TABLE documents (
  number      TEXT PRIMARY KEY,
  subject     TEXT NOT NULL,
  body        TEXT NOT NULL,
  from_agency TEXT NOT NULL,
  state       TEXT NOT NULL,
  received_at TEXT NOT NULL,
  due_at      TEXT NOT NULL,
  position    INTEGER NOT NULL DEFAULT 0,
  sealed      INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1)),
  signed_version INTEGER
);

CREATE TABLE route (
  number    TEXT NOT NULL REFERENCES documents,
  position  INTEGER NOT NULL,
  user_id   TEXT NOT NULL REFERENCES users,
  role      TEXT NOT NULL CHECK (role IN ('承辦', '會辦', '審核', '決行')),
  passed_at TEXT,
  PRIMARY KEY (number, position)
);
CREATE INDEX route_of_user ON route (user_id);

-- What was frozen for a signature. Never changed, never removed: the signature covers these bytes.
CREATE TABLE versions (
  number     TEXT NOT NULL REFERENCES documents,
  version    INTEGER NOT NULL,
  content    BLOB NOT NULL,
  sha256     TEXT NOT NULL,
  media_type TEXT NOT NULL,
  frozen_at  TEXT NOT NULL,
  frozen_by  TEXT NOT NULL REFERENCES users,
  PRIMARY KEY (number, version),
  UNIQUE (number, sha256)
);
CREATE TRIGGER versions_stay BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'a frozen version is never changed'); END;
CREATE TRIGGER versions_remain BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'a frozen version is never removed'); END;

-- A file is never changed: another one takes its place. What was signed over stays to be fetched.
CREATE TABLE attachments (
  id         TEXT PRIMARY KEY,
  number     TEXT NOT NULL REFERENCES documents,
  kind       TEXT NOT NULL CHECK (kind IN ('own', 'incoming')),
  name       TEXT NOT NULL,
  media_type TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  content    BLOB NOT NULL,
  added_at   TEXT NOT NULL,
  removed_at TEXT
);
CREATE INDEX attachments_of_document ON attachments (number);
CREATE TRIGGER attachments_stay BEFORE UPDATE OF id, number, kind, name, media_type, sha256,
  content, added_at ON attachments
BEGIN SELECT RAISE(ABORT, 'an attachment is never changed'); END;
CREATE TRIGGER attachments_remain BEFORE DELETE ON attachments
BEGIN SELECT RAISE(ABORT, 'an attachment is never removed'); END;

-- Who may sign for whom, and until when.
CREATE TABLE deputies (
  user_id   TEXT NOT NULL REFERENCES users,
  deputy_id TEXT NOT NULL REFERENCES users,
  until     TEXT NOT NULL,
  PRIMARY KEY (user_id, deputy_id),
  CHECK (user_id <> deputy_id)
);

CREATE TABLE certificates (
  id            TEXT PRIMARY KEY,
  user_id       TEXT NOT NULL REFERENCES users,
  credential_id TEXT NOT NULL UNIQUE,
  issuer_name   TEXT NOT NULL,
  serial_number TEXT NOT NULL,
  fingerprint   TEXT NOT NULL,
  not_before    TEXT NOT NULL,
  not_after     TEXT NOT NULL,
  enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  created_at    TEXT NOT NULL
);
CREATE UNIQUE INDEX one_enabled_certificate ON certificates (user_id) WHERE enabled = 1;

-- One request to the gateway that a person confirms on the phone.
CREATE TABLE confirmations (
  id              TEXT PRIMARY KEY,
  kind            TEXT NOT NULL CHECK (kind IN ('registration', 'signature')),
  user_id         TEXT NOT NULL REFERENCES users,
  idempotency_key TEXT NOT NULL UNIQUE,
  time_limit      INTEGER NOT NULL,
  channel         TEXT NOT NULL DEFAULT 'push' CHECK (channel IN ('push', 'qr')),
  supersede       INTEGER NOT NULL DEFAULT 0 CHECK (supersede IN (0, 1)),
  status          TEXT NOT NULL CHECK (status IN
                    ('starting', 'pending', 'completed', 'rejected', 'expired', 'failed',
                     'cancelled')),
  created_at      TEXT NOT NULL,
  ended_at        TEXT,
  transaction_id  TEXT UNIQUE,
  gateway_version INTEGER NOT NULL DEFAULT 0,
  browser_token   TEXT,
  match_code      TEXT,
  expires_at      TEXT,
  error_code      TEXT,
  error_message   TEXT,
  open_transaction TEXT,
  credential      TEXT,
  saved_at        TEXT,
  behalf_of       TEXT REFERENCES users,
  behalf_reason   TEXT,
  CHECK ((behalf_of IS NULL) = (behalf_reason IS NULL))
);
CREATE INDEX open_confirmations ON confirmations (status)
  WHERE status IN ('starting', 'pending');

-- The frozen versions that one confirmation covers, each with its own outcome.
CREATE TABLE items (
  confirmation_id TEXT NOT NULL REFERENCES confirmations,
  position        INTEGER NOT NULL,
  number          TEXT NOT NULL,
  version         INTEGER NOT NULL,
  sha256          TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN
                    ('pending', 'completed', 'rejected', 'expired', 'failed', 'cancelled',
                     'refused')),
  error_code      TEXT,
  error_message   TEXT,
  PRIMARY KEY (confirmation_id, position),
  UNIQUE (confirmation_id, number),
  FOREIGN KEY (number, version) REFERENCES versions
);
CREATE INDEX items_of_document ON items (number);
CREATE UNIQUE INDEX one_open_signature ON items (number) WHERE status = 'pending';

-- Recalled or changed while a signature was open: the gateway is still to be told.
CREATE TABLE withdrawals (
  number       TEXT PRIMARY KEY REFERENCES documents,
  requested_at TEXT NOT NULL
);

CREATE TABLE signatures (
  number          TEXT NOT NULL,
  version         INTEGER NOT NULL,
  confirmation_id TEXT NOT NULL REFERENCES confirmations,
  user_id         TEXT NOT NULL REFERENCES users,
  signer_name     TEXT NOT NULL,
  issuer_name     TEXT NOT NULL,
  serial_number   TEXT NOT NULL,
  signed_at       TEXT NOT NULL,
  artifact        BLOB NOT NULL,
  behalf_of       TEXT REFERENCES users,
  behalf_name     TEXT,
  behalf_reason   TEXT,
  PRIMARY KEY (number, version),
  FOREIGN KEY (number, version) REFERENCES versions
);
CREATE TRIGGER signatures_stay BEFORE UPDATE ON signatures
BEGIN SELECT RAISE(ABORT, 'a signature is never changed'); END;
CREATE TRIGGER signatures_remain BEFORE DELETE ON signatures
BEGIN SELECT RAISE(ABORT, 'a signature is never removed'); END;

CREATE TABLE seen_webhooks (
  webhook_id TEXT PRIMARY KEY,
  seen_at    TEXT NOT NULL
);
