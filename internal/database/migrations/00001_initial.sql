-- The catalog's first schema. It runs unchanged on SQLite and PostgreSQL: TEXT and BIGINT only; times are UTC
-- microseconds since 1970, 0 where there is none; durations are microseconds; truth values are 0 and 1.

-- +goose Up
CREATE TABLE clients (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    retention   BIGINT NOT NULL,         -- 0: the gateway's default
    disabled    BIGINT NOT NULL,
    ftp         TEXT   NOT NULL,         -- tls ('' means the same), plain, off
    quota_bytes BIGINT NOT NULL,         -- 0: the gateway's default; -1: no limit
    quota_files BIGINT NOT NULL,         -- the same
    delivers_to TEXT   NOT NULL,         -- a producer's account: the clients it delivers to, comma-separated, * for all; '' for a client
    declared    TEXT   NOT NULL,         -- JSON, field to "file:line", of what the configuration declares; '' if nothing
    created_at  BIGINT NOT NULL
);

-- What counts against a client's quota: reports and uploads that are held, published or collected. It is kept in
-- the transactions that change them, because counting them takes longer the more there are.
CREATE TABLE client_usage (
    client_id TEXT   NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    files     BIGINT NOT NULL,
    bytes     BIGINT NOT NULL
);

CREATE TABLE client_networks (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    prefix    TEXT NOT NULL,             -- canonical CIDR
    PRIMARY KEY (client_id, prefix)
);

CREATE TABLE keys (
    id             TEXT   NOT NULL PRIMARY KEY,
    client_id      TEXT   NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    kind           TEXT   NOT NULL,      -- ssh, pgp
    fingerprint    TEXT   NOT NULL,
    algorithm      TEXT   NOT NULL,
    label          TEXT   NOT NULL,      -- an SSH key's comment, a PGP key's user id
    material       TEXT   NOT NULL,      -- the public key: authorized_keys line, or armored certificate
    added_at       BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,      -- what the key itself says
    retires_at     BIGINT NOT NULL,      -- what an operator said
    revoked_at     BIGINT NOT NULL,
    revoked_reason TEXT   NOT NULL,
    last_used_at   BIGINT NOT NULL
);
-- One key on two clients is refused, whatever state it is in.
CREATE UNIQUE INDEX keys_fingerprint ON keys (kind, fingerprint);
CREATE INDEX keys_client ON keys (client_id, kind);

-- What FTP clients log in with. Only ever the hash.
CREATE TABLE passwords (
    client_id    TEXT   NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    hash         TEXT   NOT NULL,        -- PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash
    set_at       BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);

-- Files and folders. A folder is its children's parent_id, so that renaming one touches one row.
CREATE TABLE entries (
    id           TEXT   NOT NULL PRIMARY KEY,
    client_id    TEXT   NOT NULL REFERENCES clients (id),
    parent_id    TEXT   NOT NULL,        -- '' for the client's folder itself
    name         TEXT   NOT NULL,        -- one segment
    kind         TEXT   NOT NULL,        -- report, upload, folder
    state        TEXT   NOT NULL,        -- held, published, collected, removed
    size         BIGINT NOT NULL,
    sha256       TEXT   NOT NULL,        -- of what the blob holds; '' for folders, and while it is not known yet
    plain_size   BIGINT NOT NULL,        -- -1 for uploads
    blob         TEXT   NOT NULL,
    sealed_to    TEXT   NOT NULL,        -- fingerprints, comma-separated
    received_at  BIGINT NOT NULL,
    published_at BIGINT NOT NULL,
    modified_at  BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    collected_at BIGINT NOT NULL,
    removed_at   BIGINT NOT NULL,
    legal_hold   BIGINT NOT NULL,
    replaces     BIGINT NOT NULL,        -- a held report takes the place of its name's file once it is released
    coverage     TEXT   NOT NULL         -- byte ranges that went out in transfers that ended well
);
CREATE UNIQUE INDEX entries_visible ON entries (client_id, parent_id, name) WHERE state IN ('published', 'collected');
CREATE INDEX entries_client ON entries (client_id, received_at, id);
CREATE INDEX entries_received ON entries (received_at, id);
CREATE INDEX entries_parent ON entries (parent_id) WHERE parent_id <> '';
CREATE INDEX entries_due ON entries (expires_at) WHERE expires_at > 0 AND legal_hold = 0;
CREATE INDEX entries_held ON entries (client_id) WHERE state = 'held';
CREATE UNIQUE INDEX entries_blob ON entries (blob) WHERE blob <> '';
CREATE INDEX entries_undigested ON entries (blob) WHERE sha256 = '' AND blob <> '';

-- What was delivered, by the keyed hash of its client, name and plaintext; outlives the report.
CREATE TABLE sources (
    client_id TEXT   NOT NULL,
    source    TEXT   NOT NULL,
    entry_id  TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (client_id, source)
);
CREATE INDEX sources_at ON sources (at);

-- Who was handed what; outlives the report.
CREATE TABLE receipts (
    id          TEXT   NOT NULL PRIMARY KEY,
    entry_id    TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    sha256      TEXT   NOT NULL,         -- '' while it is not known yet
    protocol    TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    evidence    TEXT   NOT NULL
);
CREATE INDEX receipts_entry ON receipts (entry_id);
CREATE INDEX receipts_client ON receipts (client_id, ended_at);

-- Interrupted uploads, kept for the client to resume.
CREATE TABLE partials (
    client_id TEXT   NOT NULL,
    name      TEXT   NOT NULL,           -- the whole path
    blob      TEXT   NOT NULL,
    size      BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (client_id, name)
);
CREATE UNIQUE INDEX partials_blob ON partials (blob);

-- Blobs that no row shows any more, to be deleted after a grace.
CREATE TABLE garbage (
    blob  TEXT   NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);
CREATE INDEX garbage_since ON garbage (since);

CREATE TABLE bans (
    address  TEXT   NOT NULL PRIMARY KEY, -- an IPv4 address, an IPv6 /64, or 'client:ID' for a client's password
    until_at BIGINT NOT NULL,
    failures BIGINT NOT NULL
);

-- Single numbers: generations that tell a running gateway to look again, and times last seen.
CREATE TABLE marks (
    name TEXT   NOT NULL PRIMARY KEY,
    n    BIGINT NOT NULL
);

CREATE TABLE audit (
    seq       BIGINT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    event     TEXT   NOT NULL,
    actor     TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    detail    TEXT   NOT NULL,           -- JSON object
    hash      TEXT   NOT NULL            -- of this record and the hash before it
);
CREATE INDEX audit_client ON audit (client_id, seq);
-- Whether a client's address could last open the data ports that it was told of.
CREATE INDEX audit_data ON audit (client_id, subject, seq) WHERE event IN ('data.unreachable', 'data.reached');

-- Programs that may hand in reports over HTTP, and to whom.
CREATE TABLE producers (
    name         TEXT   NOT NULL PRIMARY KEY,
    secret       TEXT   NOT NULL,        -- SHA-256 of its token, lower-case hex; '' if it proves itself with a certificate
    clients      TEXT   NOT NULL,        -- ids, comma-separated; '*' for all
    added_at     BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX producers_secret ON producers (secret) WHERE secret <> '';

-- What content a producer has used an idempotency key for, by a keyed hash.
CREATE TABLE idempotency_keys (
    producer TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    content  TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (producer, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
