-- From schema 2: a confirmation may cover several documents, attachments, deputies, recall.
-- Runs with foreign keys off, since two tables that others refer to are written anew.
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
DROP INDEX one_open_signature;
CREATE INDEX items_of_document ON items (number);
CREATE UNIQUE INDEX one_open_signature ON items (number) WHERE status = 'pending';

INSERT INTO items (confirmation_id, position, number, version, sha256, status, error_code,
  error_message)
SELECT id, 0, number, version, sha256,
  CASE WHEN status IN ('starting', 'pending') THEN 'pending' ELSE status END,
  error_code, error_message
FROM confirmations WHERE kind = 'signature' AND number IS NOT NULL;

-- One request to the gateway that a person confirms on the phone.
CREATE TABLE confirmations_3 (
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

INSERT INTO confirmations_3 (id, kind, user_id, idempotency_key, time_limit, channel, supersede, status,
  created_at, ended_at, transaction_id, gateway_version, browser_token, match_code, expires_at, error_code,
  error_message, open_transaction, credential, saved_at)
SELECT id, kind, user_id, idempotency_key, time_limit, channel, supersede, status,
  created_at, ended_at, transaction_id, gateway_version, browser_token, match_code, expires_at, error_code,
  error_message, open_transaction, credential, saved_at
FROM confirmations ORDER BY rowid;
DROP TABLE confirmations;
ALTER TABLE confirmations_3 RENAME TO confirmations;
CREATE INDEX open_confirmations ON confirmations (status)
  WHERE status IN ('starting', 'pending');

CREATE TABLE signatures_3 (
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

INSERT INTO signatures_3 (number, version, confirmation_id, user_id, signer_name, issuer_name, serial_number,
  signed_at, artifact)
SELECT number, version, confirmation_id, user_id, signer_name, issuer_name, serial_number,
  signed_at, artifact
FROM signatures;
DROP TABLE signatures;
ALTER TABLE signatures_3 RENAME TO signatures;
CREATE TRIGGER signatures_stay BEFORE UPDATE ON signatures
BEGIN SELECT RAISE(ABORT, 'a signature is never changed'); END;
CREATE TRIGGER signatures_remain BEFORE DELETE ON signatures
BEGIN SELECT RAISE(ABORT, 'a signature is never removed'); END;

-- Recalled or changed while a signature was open: the gateway is still to be told.
CREATE TABLE withdrawals (
  number       TEXT PRIMARY KEY REFERENCES documents,
  requested_at TEXT NOT NULL
);

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
