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
    notify      TEXT   NOT NULL DEFAULT '', -- JSON, who is told of what; '' for nobody
    declared    TEXT   NOT NULL,         -- JSON, field to "file:line", of what the configuration declares; '' if nothing
    created_at  BIGINT NOT NULL
);
CREATE INDEX clients_created ON clients (created_at, id);
CREATE INDEX clients_disabled ON clients (id) WHERE disabled <> 0;

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
    max_age        BIGINT NOT NULL,      -- what the gateway's policy said when it was imported, from added_at on; 0: no limit
    retires_at     BIGINT NOT NULL,      -- what an operator said
    revoked_at     BIGINT NOT NULL,
    revoked_reason TEXT   NOT NULL,
    last_used_at   BIGINT NOT NULL,
    imported_by    TEXT   NOT NULL,
    imported_uid   BIGINT NOT NULL,      -- the operating-system user; -1 where it is not known
    imported_login BIGINT NOT NULL,      -- who had logged in, as the kernel knows; -1 where it does not
    approved_by    TEXT   NOT NULL,      -- '' where no approval was asked for
    approved_at    BIGINT NOT NULL,      -- 0: it waits for an approval, and does nothing
    replaces       TEXT   NOT NULL,      -- ids of the keys that retire once it is approved, comma-separated
    overlap        BIGINT NOT NULL       -- how long these are good from then on
);
-- One key on two clients is refused, whatever state it is in.
CREATE UNIQUE INDEX keys_fingerprint ON keys (kind, fingerprint);
-- These hold all that says when a key ends, so that nobody who looks for ends has to read past the keys' texts.
CREATE INDEX keys_client ON keys (client_id, kind, revoked_at, approved_at, expires_at, added_at, max_age, retires_at);
CREATE INDEX keys_expiring ON keys (expires_at, added_at, max_age, retires_at, approved_at, client_id, kind, fingerprint, id) WHERE expires_at > 0 AND revoked_at = 0;
CREATE INDEX keys_aging ON keys (added_at, max_age, expires_at, retires_at, approved_at, client_id, kind, fingerprint, id) WHERE max_age > 0 AND revoked_at = 0;
CREATE INDEX keys_retiring ON keys (retires_at, added_at, expires_at, max_age, approved_at, client_id, kind, fingerprint, id) WHERE retires_at > 0 AND revoked_at = 0;
CREATE INDEX keys_pending ON keys (client_id) WHERE approved_at = 0;

-- What waits for an approval to be done to a registered key: a certificate's new text, or taking it back into use.
CREATE TABLE key_updates (
    key_id         TEXT   NOT NULL PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    material       TEXT   NOT NULL,
    renews         BIGINT NOT NULL,      -- it was retired, and is to be good again
    changes        TEXT   NOT NULL,      -- for people, one a line
    at             BIGINT NOT NULL,
    imported_by    TEXT   NOT NULL,
    imported_uid   BIGINT NOT NULL,
    imported_login BIGINT NOT NULL
);

-- What FTP clients log in with. Only ever the hash.
CREATE TABLE passwords (
    client_id    TEXT   NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    hash         TEXT   NOT NULL,        -- PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash
    set_at       BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX passwords_expiring ON passwords (expires_at, client_id) WHERE expires_at > 0;

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
    legal_hold   BIGINT NOT NULL,        -- 1: its own; 2: its client's; 3: both; 0: none
    hold_reason  TEXT   NOT NULL,        -- of its own
    replaces     BIGINT NOT NULL,        -- a held report takes the place of its name's file once it is released
    coverage     TEXT   NOT NULL         -- byte ranges that went out in transfers that ended well
);
CREATE UNIQUE INDEX entries_visible ON entries (client_id, parent_id, name) WHERE state IN ('published', 'collected');
CREATE INDEX entries_client ON entries (client_id, received_at, id);
-- What follows the id is for the operators' overview, which counts and sums up without looking at the rows. Reports that
-- waited for a key were published later than they came; the others are in one index less.
CREATE INDEX entries_received ON entries (received_at, id, kind, published_at, size);
CREATE INDEX entries_released ON entries (published_at, received_at, kind, size) WHERE published_at > 0 AND published_at <> received_at;
CREATE INDEX entries_parent ON entries (parent_id, kind) WHERE parent_id <> '';
CREATE INDEX entries_due ON entries (expires_at, id, size) WHERE expires_at > 0 AND legal_hold = 0;
CREATE INDEX entries_held ON entries (client_id, received_at, id) WHERE state = 'held';
-- For the overview, too.
CREATE INDEX entries_collected ON entries (collected_at) WHERE collected_at > 0 AND kind = 'report';
CREATE INDEX entries_uncollected ON entries (client_id, published_at, expires_at, legal_hold, id) WHERE state = 'published' AND kind = 'report';
CREATE INDEX entries_habit ON entries (client_id, collected_at, published_at) WHERE collected_at > 0 AND kind = 'report';
-- For counting, which goes over the index alone; what waits to be collected, as each new report does, is counted by the
-- one above that has it. As it is partial, SQLite does not take it for what the ones above are for.
CREATE INDEX entries_state ON entries (state, kind) WHERE kind <> 'folder' AND (state <> 'published' OR kind <> 'report');
CREATE UNIQUE INDEX entries_blob ON entries (blob) WHERE blob <> '';
CREATE INDEX entries_undigested ON entries (blob) WHERE sha256 = '' AND blob <> '';

-- Each sweep looks for those that have become empty.
CREATE INDEX entries_removed_folders ON entries (id) WHERE kind = 'folder' AND state = 'removed';
CREATE INDEX entries_on_hold ON entries (client_id, received_at, id) WHERE legal_hold > 0;

-- Clients of which everything is on legal hold, also what is still to come.
CREATE TABLE legal_holds (
    client_id TEXT   NOT NULL PRIMARY KEY REFERENCES clients (id),
    reason    TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    set_by    TEXT   NOT NULL
);

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
CREATE INDEX audit_refused_at ON audit (at) WHERE event = 'login.refused';
-- Who tried to get in, and who was refused.
CREATE INDEX audit_attempts ON audit (seq) WHERE event IN ('login.allowed', 'login.refused', 'session.ended', 'data.unreachable', 'data.refused');
CREATE INDEX audit_refused ON audit (client_id, seq) WHERE event = 'login.refused';

-- Connections that ended without naming a client that they proved to be. Anybody can make them, so they are counted
-- in a bounded number of rows and not in the audit.
CREATE TABLE strangers (
    protocol  TEXT   NOT NULL,
    address   TEXT   NOT NULL,           -- an IPv4 address, an IPv6 /64, or 'others'
    reason    TEXT   NOT NULL,
    user_name TEXT   NOT NULL,           -- the last that was given, '' if none was
    detail    TEXT   NOT NULL,           -- the last, too
    first_at  BIGINT NOT NULL,
    last_at   BIGINT NOT NULL,
    times     BIGINT NOT NULL,
    PRIMARY KEY (protocol, address, reason)
);
CREATE INDEX strangers_last ON strangers (last_at);

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

-- What content a producer has used an idempotency key for, by a keyed hash, and what it was answered. The answer is
-- written in the transaction that publishes.
CREATE TABLE idempotency_keys (
    producer TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    content  TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    status   BIGINT NOT NULL,            -- of HTTP; 0 while there is no answer
    answer   TEXT   NOT NULL,            -- JSON
    PRIMARY KEY (producer, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- ## Notifications

-- What somebody is to be told of, until it is made into messages.
CREATE TABLE outbox (
    id        TEXT   NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    detail    TEXT   NOT NULL            -- JSON object
);
CREATE INDEX outbox_at ON outbox (at, id);

-- What is told only once, such as that a key expires in 30 days.
CREATE TABLE told (
    key TEXT   NOT NULL PRIMARY KEY,
    at  BIGINT NOT NULL
);
CREATE INDEX told_at ON told (at);

-- One message to one contact.
CREATE TABLE messages (
    id         TEXT   NOT NULL PRIMARY KEY,
    client_id  TEXT   NOT NULL,          -- '' if it is for the operators
    channel    TEXT   NOT NULL,          -- email, webhook, sms
    target     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    content    TEXT   NOT NULL,          -- JSON: what it tells, before it is put into words
    state      TEXT   NOT NULL,          -- pending, sent, dead
    created_at BIGINT NOT NULL,
    since      BIGINT NOT NULL,          -- from when on it is given only so much time
    next_at    BIGINT NOT NULL,          -- of a claimed one: when its claim is over
    claimed    BIGINT NOT NULL,          -- somebody is sending it
    claims     BIGINT NOT NULL,          -- how often it was taken up; tells claims apart
    tries      BIGINT NOT NULL,          -- of them, those that failed since
    last_error TEXT   NOT NULL,
    answer     TEXT   NOT NULL,          -- the last thing that the other side said
    settled_at BIGINT NOT NULL           -- when it was sent or given up
);
CREATE INDEX messages_due ON messages (channel, target, next_at) WHERE state = 'pending';
CREATE INDEX messages_state ON messages (state, created_at, id);
CREATE INDEX messages_settled ON messages (state, settled_at) WHERE settled_at > 0;
CREATE INDEX messages_client ON messages (client_id, created_at, id);
