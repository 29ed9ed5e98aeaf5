-- ## Clients

-- name: GetClient :one
SELECT * FROM clients WHERE id = @id;

-- name: ListClients :many
SELECT * FROM clients WHERE id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: ListRecipients :many
-- Whom a producer may deliver to that delivers to all, in the order of ids, after the cursor.
SELECT id FROM clients WHERE delivers_to = '' AND id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: ListDeclaredClients :many
SELECT * FROM clients WHERE declared <> '' ORDER BY id;

-- name: InsertClient :exec
INSERT INTO clients (id, name, retention, disabled, ftp, quota_bytes, quota_files, delivers_to, notify, declared, created_at)
VALUES (@id, @name, @retention, @disabled, @ftp, @quota_bytes, @quota_files, @delivers_to, @notify, @declared, @created_at);

-- name: UpdateClient :exec
UPDATE clients SET name = @name, retention = @retention, disabled = @disabled, ftp = @ftp,
    quota_bytes = @quota_bytes, quota_files = @quota_files, delivers_to = @delivers_to, notify = @notify, declared = @declared
WHERE id = @id;

-- name: DeleteClient :exec
DELETE FROM clients WHERE id = @id;

-- name: GetUsage :one
SELECT files, bytes FROM client_usage WHERE client_id = @client_id;

-- name: GetShare :one
-- What a client has, and may have.
SELECT clients.quota_bytes, clients.quota_files,
    CAST(COALESCE(client_usage.files, 0) AS BIGINT) AS files, CAST(COALESCE(client_usage.bytes, 0) AS BIGINT) AS bytes
FROM clients LEFT JOIN client_usage ON client_usage.client_id = clients.id WHERE clients.id = @id;

-- name: GetStanding :one
-- What has to be known before something is stored for a client under a name, in one query: what it has, and may have;
-- whether all of it is on legal hold, it is told of something, the name is taken.
SELECT clients.quota_bytes, clients.quota_files,
    CAST(COALESCE(client_usage.files, 0) AS BIGINT) AS files, CAST(COALESCE(client_usage.bytes, 0) AS BIGINT) AS bytes,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM legal_holds WHERE legal_holds.client_id = @id) THEN 1 ELSE 0 END AS BIGINT) AS on_hold,
    CAST(CASE WHEN clients.notify <> '' THEN 1 ELSE 0 END AS BIGINT) AS notified,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM entries WHERE entries.client_id = @id AND entries.parent_id = @parent_id
        AND entries.name = @name AND entries.state IN ('published', 'collected')) THEN 1 ELSE 0 END AS BIGINT) AS taken
FROM clients LEFT JOIN client_usage ON client_usage.client_id = clients.id WHERE clients.id = @id;

-- name: AddUsage :exec
INSERT INTO client_usage (client_id, files, bytes) VALUES (@client_id, @files, @bytes)
ON CONFLICT (client_id) DO UPDATE SET files = client_usage.files + excluded.files, bytes = client_usage.bytes + excluded.bytes;

-- name: SetUsage :exec
INSERT INTO client_usage (client_id, files, bytes) VALUES (@client_id, @files, @bytes)
ON CONFLICT (client_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes;

-- name: ListNetworks :many
SELECT prefix FROM client_networks WHERE client_id = @client_id ORDER BY prefix;

-- name: AllNetworks :many
SELECT DISTINCT prefix FROM client_networks;

-- name: AllClientNetworks :many
SELECT client_id, prefix FROM client_networks ORDER BY client_id, prefix;

-- name: InsertNetwork :exec
INSERT INTO client_networks (client_id, prefix) VALUES (@client_id, @prefix);

-- name: DeleteNetworks :exec
DELETE FROM client_networks WHERE client_id = @client_id;

-- ## Keys

-- name: InsertKey :exec
INSERT INTO keys (id, client_id, kind, fingerprint, algorithm, label, material, added_at, expires_at, max_age, retires_at,
    revoked_at, revoked_reason, last_used_at, imported_by, imported_uid, imported_login, approved_by, approved_at, replaces, overlap)
VALUES (@id, @client_id, @kind, @fingerprint, @algorithm, @label, @material, @added_at, @expires_at, @max_age, 0,
    0, '', 0, @imported_by, @imported_uid, @imported_login, '', @approved_at, @replaces, @overlap);

-- name: GetKey :one
SELECT * FROM keys WHERE kind = @kind AND fingerprint = @fingerprint;

-- name: FindKeys :many
SELECT * FROM keys WHERE id = @ref OR (kind IN ('ssh', 'pgp') AND fingerprint = @ref) ORDER BY id LIMIT 2;

-- name: ListKeys :many
SELECT * FROM keys WHERE client_id = @client_id ORDER BY kind DESC, added_at, id;

-- name: ListAllKeys :many
SELECT * FROM keys WHERE id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: UpdateKeyMaterial :exec
UPDATE keys SET material = @material, label = @label, algorithm = @algorithm, expires_at = @expires_at WHERE id = @id;

-- name: RetireKey :exec
UPDATE keys SET retires_at = @retires_at WHERE id = @id;

-- name: RevokeKey :exec
UPDATE keys SET revoked_at = @revoked_at, revoked_reason = @revoked_reason WHERE id = @id;

-- name: SetKeyMaxAge :exec
UPDATE keys SET max_age = @max_age WHERE id = @id;

-- name: SetKeyImporter :exec
UPDATE keys SET imported_by = @imported_by, imported_uid = @imported_uid, imported_login = @imported_login WHERE id = @id;

-- name: ApproveKey :exec
UPDATE keys SET approved_by = @approved_by, approved_at = @approved_at, replaces = '', overlap = 0 WHERE id = @id;

-- name: DeleteKey :exec
DELETE FROM keys WHERE id = @id;

-- name: ListPendingKeys :many
SELECT * FROM keys WHERE approved_at = 0 ORDER BY client_id, added_at, id;

-- name: GetKeyUpdate :one
SELECT * FROM key_updates WHERE key_id = @key_id;

-- name: ListKeyUpdates :many
SELECT * FROM key_updates ORDER BY at, key_id;

-- name: PutKeyUpdate :exec
INSERT INTO key_updates (key_id, material, renews, changes, at, imported_by, imported_uid, imported_login)
VALUES (@key_id, @material, @renews, @changes, @at, @imported_by, @imported_uid, @imported_login)
ON CONFLICT (key_id) DO UPDATE SET material = excluded.material, renews = excluded.renews, changes = excluded.changes, at = excluded.at,
    imported_by = excluded.imported_by, imported_uid = excluded.imported_uid, imported_login = excluded.imported_login;

-- name: DeleteKeyUpdate :exec
DELETE FROM key_updates WHERE key_id = @key_id;

-- name: TouchKey :exec
UPDATE keys SET last_used_at = @last_used_at WHERE id = @id;

-- ## Passwords

-- name: GetPassword :one
SELECT * FROM passwords WHERE client_id = @client_id;

-- name: ListPasswords :many
SELECT * FROM passwords WHERE client_id > @after ORDER BY client_id LIMIT CAST(@n AS BIGINT);

-- name: PutPassword :exec
INSERT INTO passwords (client_id, hash, set_at, expires_at, last_used_at)
VALUES (@client_id, @hash, @set_at, @expires_at, 0)
ON CONFLICT (client_id) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at, expires_at = excluded.expires_at, last_used_at = 0;

-- name: ExpirePassword :exec
UPDATE passwords SET expires_at = @expires_at WHERE client_id = @client_id;

-- name: DeletePassword :execrows
DELETE FROM passwords WHERE client_id = @client_id;

-- name: TouchPassword :exec
UPDATE passwords SET last_used_at = @last_used_at WHERE client_id = @client_id;

-- ## Entries

-- name: InsertEntry :exec
INSERT INTO entries (id, client_id, parent_id, name, kind, state, size, sha256, plain_size, blob, sealed_to, received_at,
    published_at, modified_at, expires_at, collected_at, removed_at, legal_hold, hold_reason, replaces, coverage)
VALUES (@id, @client_id, @parent_id, @name, @kind, @state, @size, @sha256, @plain_size, @blob, @sealed_to, @received_at,
    @published_at, @modified_at, @expires_at, 0, 0, @legal_hold, '', @replaces, '');

-- name: GetEntry :one
SELECT * FROM entries WHERE id = @id;

-- name: FindChild :one
SELECT * FROM entries
WHERE client_id = @client_id AND parent_id = @parent_id AND name = @name AND state IN ('published', 'collected');

-- name: FindGrandchild :one
-- What has a name in a folder, which has its own in another.
SELECT entries.* FROM entries AS folder CROSS JOIN entries
WHERE folder.client_id = @client_id AND folder.parent_id = @parent_id AND folder.name = @folder
  AND folder.state IN ('published', 'collected') AND folder.kind = 'folder'
  AND entries.client_id = @client_id AND entries.parent_id = folder.id AND entries.name = @name
  AND entries.state IN ('published', 'collected');

-- name: ListChildren :many
-- No more of each than a listing shows: with all columns, most of its time went into reading them.
SELECT name, kind, size, modified_at FROM entries
WHERE client_id = @client_id AND parent_id = @parent_id AND name > @after AND state IN ('published', 'collected')
ORDER BY name LIMIT CAST(@n AS BIGINT);

-- name: CountSome :one
-- How many entries a folder has, removed ones included, but no more than n.
SELECT COUNT(*) FROM (SELECT id FROM entries WHERE parent_id = @parent_id AND parent_id <> '' LIMIT CAST(@n AS BIGINT)) AS few;

-- name: ListSubfolders :many
SELECT id FROM entries WHERE parent_id = @parent_id AND parent_id <> '' AND kind = 'folder' LIMIT CAST(@n AS BIGINT);

-- name: ListReports :many
-- Newest first, below the cursor (received_at, id).
SELECT * FROM entries
WHERE (CAST(@state AS TEXT) = '' OR state = @state)
  AND kind <> 'folder'
  AND received_at <= @received_before AND (received_at < @received_before OR (received_at = @received_before AND id < @id_before))
ORDER BY received_at DESC, id DESC LIMIT CAST(@n AS BIGINT);

-- name: ListClientReports :many
-- The same of one client, of which there may be few among many.
SELECT * FROM entries
WHERE client_id = @client_id
  AND (CAST(@state AS TEXT) = '' OR state = @state)
  AND kind <> 'folder'
  AND received_at <= @received_before AND (received_at < @received_before OR (received_at = @received_before AND id < @id_before))
ORDER BY received_at DESC, id DESC LIMIT CAST(@n AS BIGINT);

-- name: ListHeld :many
-- In the order of arrival, after the cursor (received_at, id).
SELECT * FROM entries WHERE client_id = @client_id AND state = 'held'
  AND (received_at > @received_after OR (received_at = @received_after AND id > @id_after))
ORDER BY received_at, id LIMIT CAST(@n AS BIGINT);

-- name: HeldClients :many
SELECT client_id, COUNT(*) AS reports FROM entries WHERE state = 'held' GROUP BY client_id ORDER BY client_id;

-- name: CountEntries :one
-- What client_usage must say.
SELECT COUNT(*) AS files, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM entries
WHERE client_id = @client_id AND kind <> 'folder' AND state IN ('held', 'published', 'collected');

-- name: CountClientEntries :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND kind <> 'folder';

-- name: CountFiles :one
SELECT COUNT(*) FROM entries WHERE expires_at > 0 AND legal_hold = 0;

-- name: CountDue :one
SELECT COUNT(*) FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= @now;

-- name: ListDueAfter :many
SELECT * FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= @now
  AND (expires_at > @expires_after OR (expires_at = @expires_after AND id > @id_after))
ORDER BY expires_at, id LIMIT CAST(@n AS BIGINT);

-- name: MoveEntry :exec
UPDATE entries SET parent_id = @parent_id, name = @name WHERE id = @id;

-- name: ListUndigested :many
-- In the order of blobs, after the cursor.
SELECT id, blob, size FROM entries WHERE sha256 = '' AND blob <> '' AND blob > @after
ORDER BY blob LIMIT CAST(@n AS BIGINT);

-- name: SetDigest :execrows
UPDATE entries SET sha256 = @sha256 WHERE id = @id AND blob = @blob AND sha256 = '';

-- name: SetModified :exec
UPDATE entries SET modified_at = @modified_at WHERE id = @id;

-- name: RemoveEntry :exec
UPDATE entries SET state = 'removed', removed_at = @removed_at WHERE id = @id;

-- name: RestoreEntry :exec
UPDATE entries SET state = @state, parent_id = @parent_id, name = @name, removed_at = 0 WHERE id = @id;

-- name: ReleaseEntry :exec
UPDATE entries SET state = 'published', parent_id = @parent_id, name = @name, size = @size, sha256 = @sha256, blob = @blob,
    sealed_to = @sealed_to, published_at = @published_at, expires_at = @expires_at
WHERE id = @id;

-- name: SetCoverage :exec
UPDATE entries SET coverage = @coverage, state = @state, collected_at = @collected_at WHERE id = @id;

-- name: DeleteEntry :exec
DELETE FROM entries WHERE id = @id;

-- name: DeleteDue :many
-- Up to n of what is due, the earliest first. They are returned in no order.
DELETE FROM entries WHERE id IN (
    SELECT due.id FROM entries AS due WHERE due.expires_at > 0 AND due.legal_hold = 0 AND due.expires_at <= @now
    ORDER BY due.expires_at, due.id LIMIT CAST(@n AS BIGINT))
RETURNING *;

-- name: DeleteClientFiles :many
-- Up to n of a client's files, the first first. They are returned in no order.
DELETE FROM entries WHERE id IN (
    SELECT file.id FROM entries AS file WHERE file.client_id = @client_id AND file.kind <> 'folder'
    ORDER BY file.received_at, file.id LIMIT CAST(@n AS BIGINT))
RETURNING *;

-- name: DeleteEmptyRemovedFolders :execrows
DELETE FROM entries WHERE kind = 'folder' AND state = 'removed'
  AND NOT EXISTS (SELECT 1 FROM entries AS child WHERE child.parent_id = entries.id AND child.parent_id <> '');

-- name: SetExpires :exec
UPDATE entries SET expires_at = @expires_at WHERE id = @id;

-- name: SetLegalHold :exec
UPDATE entries SET legal_hold = @legal_hold, hold_reason = @hold_reason WHERE id = @id;

-- name: HoldClientEntries :execrows
UPDATE entries SET legal_hold = legal_hold + 2 WHERE client_id = @client_id AND kind <> 'folder' AND legal_hold < 2;

-- name: ReleaseClientEntries :execrows
UPDATE entries SET legal_hold = legal_hold - 2 WHERE client_id = @client_id AND legal_hold >= 2;

-- name: GetLegalHold :one
SELECT * FROM legal_holds WHERE client_id = @client_id;

-- name: ListLegalHolds :many
SELECT * FROM legal_holds ORDER BY client_id;

-- name: PutLegalHold :exec
INSERT INTO legal_holds (client_id, reason, since, set_by) VALUES (@client_id, @reason, @since, @set_by)
ON CONFLICT (client_id) DO UPDATE SET reason = excluded.reason, set_by = excluded.set_by;

-- name: DeleteLegalHold :execrows
DELETE FROM legal_holds WHERE client_id = @client_id;

-- name: ListOnHold :many
-- In the order of clients and arrival, after the cursor (client_id, received_at, id).
SELECT * FROM entries WHERE legal_hold > 0
  AND (client_id > @client_after OR (client_id = @client_after AND (received_at > @received_after OR (received_at = @received_after AND id > @id_after))))
ORDER BY client_id, received_at, id LIMIT CAST(@n AS BIGINT);

-- name: CountOnHold :one
-- How many are on hold, and of these past their time.
SELECT COUNT(*) AS files, CAST(COALESCE(SUM(CASE WHEN expires_at > 0 AND expires_at <= @now THEN 1 ELSE 0 END), 0) AS BIGINT) AS due
FROM entries WHERE legal_hold > 0;

-- name: CountLegalHolds :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND legal_hold <> 0;

-- name: DeleteClientEntries :exec
DELETE FROM entries WHERE client_id = @client_id;

-- name: BlobKnown :one
-- Whether any row knows a file, or a blob that is packed into it: these come before last. That a blob is not ''
-- tells SQLite that it may use the index.
SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM entries WHERE entries.blob >= @blob AND entries.blob < @last AND entries.blob <> '')
    OR EXISTS (SELECT 1 FROM partials WHERE partials.blob = @blob)
    OR EXISTS (SELECT 1 FROM garbage WHERE garbage.blob = @blob) THEN 1 ELSE 0 END AS BIGINT);

-- name: ListBlobsFrom :many
-- Those of files, from first to before last.
SELECT blob FROM entries WHERE blob <> '' AND blob >= @first AND blob < @last ORDER BY blob LIMIT CAST(@n AS BIGINT);

-- name: ListKnownBlobs :many
-- Those from first to before last.
SELECT entries.blob FROM entries WHERE entries.blob <> '' AND entries.blob >= @first AND entries.blob < @last
UNION ALL SELECT partials.blob FROM partials WHERE partials.blob >= @first AND partials.blob < @last
UNION ALL SELECT garbage.blob FROM garbage WHERE garbage.blob >= @first AND garbage.blob < @last
LIMIT CAST(@n AS BIGINT);

-- ## Sources

-- name: InsertSource :execrows
INSERT INTO sources (client_id, source, entry_id, at) VALUES (@client_id, @source, @entry_id, @at)
ON CONFLICT DO NOTHING;

-- name: GetSource :one
SELECT * FROM sources WHERE client_id = @client_id AND source = @source;

-- name: DeleteSource :exec
DELETE FROM sources WHERE client_id = @client_id AND source = @source;

-- name: DeleteClientSources :exec
DELETE FROM sources WHERE client_id = @client_id;

-- name: ForgetSources :execrows
DELETE FROM sources WHERE at < @before
  AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.id = sources.entry_id);

-- ## Receipts

-- name: InsertReceipt :exec
INSERT INTO receipts (id, entry_id, client_id, name, sha256, protocol, address, fingerprint, started_at, ended_at, bytes, size, evidence)
VALUES (@id, @entry_id, @client_id, @name, @sha256, @protocol, @address, @fingerprint, @started_at, @ended_at, @bytes, @size, @evidence);

-- name: ListReceipts :many
SELECT * FROM receipts WHERE entry_id = @entry_id ORDER BY ended_at, id;

-- name: ListReceiptsBetween :many
SELECT * FROM receipts
WHERE client_id = @client_id AND ended_at >= @since AND ended_at < @before
  AND (ended_at > @after_at OR (ended_at = @after_at AND id > @after_id))
ORDER BY ended_at, id
LIMIT CAST(@n AS BIGINT);

-- name: SetReceiptDigests :exec
UPDATE receipts SET sha256 = @sha256 WHERE entry_id = @entry_id AND sha256 = '';

-- ## Interrupted uploads

-- name: GetPartial :one
SELECT * FROM partials WHERE client_id = @client_id AND name = @name;

-- name: PutPartial :exec
INSERT INTO partials (client_id, name, blob, size, at) VALUES (@client_id, @name, @blob, @size, @at);

-- name: DeletePartial :exec
DELETE FROM partials WHERE client_id = @client_id AND name = @name;

-- name: ListClientPartials :many
SELECT * FROM partials WHERE client_id = @client_id ORDER BY name;

-- name: ListStalePartials :many
SELECT * FROM partials WHERE at < @before ORDER BY at LIMIT CAST(@n AS BIGINT);

-- ## Garbage

-- name: InsertGarbage :exec
-- Of a pack, the grace begins anew with each member that is let go.
INSERT INTO garbage (blob, since) VALUES (@blob, @since)
ON CONFLICT (blob) DO UPDATE SET since = excluded.since WHERE excluded.since > garbage.since;

-- name: ListGarbage :many
SELECT * FROM garbage WHERE since <= @before ORDER BY since LIMIT CAST(@n AS BIGINT);

-- name: GarbageDue :one
SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM garbage WHERE blob = @blob AND since <= @before) THEN 1 ELSE 0 END AS BIGINT);

-- name: DeleteGarbage :exec
DELETE FROM garbage WHERE blob = @blob;

-- ## Bans

-- name: GetBan :one
SELECT * FROM bans WHERE address = @address;

-- name: PutBan :exec
INSERT INTO bans (address, until_at, failures) VALUES (@address, @until_at, @failures)
ON CONFLICT (address) DO UPDATE SET until_at = excluded.until_at, failures = excluded.failures;

-- name: DeleteBan :execrows
DELETE FROM bans WHERE address = @address;

-- name: ListBans :many
SELECT * FROM bans WHERE until_at > @now ORDER BY address LIMIT CAST(@n AS BIGINT);

-- name: DeleteOldBans :exec
DELETE FROM bans WHERE until_at <= @now;

-- ## Marks

-- name: GetMark :one
SELECT n FROM marks WHERE name = @name;

-- name: SetMark :exec
INSERT INTO marks (name, n) VALUES (@name, @n) ON CONFLICT (name) DO UPDATE SET n = excluded.n;

-- name: BumpMark :exec
INSERT INTO marks (name, n) VALUES (@name, 1) ON CONFLICT (name) DO UPDATE SET n = marks.n + 1;

-- ## Audit

-- name: LastAudit :one
SELECT seq, at, hash FROM audit ORDER BY seq DESC LIMIT 1;

-- name: InsertAudit :exec
INSERT INTO audit (seq, at, event, actor, client_id, subject, detail, hash)
VALUES (@seq, @at, @event, @actor, @client_id, @subject, @detail, @hash);

-- name: ListAudit :many
SELECT * FROM audit WHERE seq > @after ORDER BY seq LIMIT CAST(@n AS BIGINT);

-- name: ListAuditBackwards :many
SELECT * FROM audit WHERE seq < @before
ORDER BY seq DESC LIMIT CAST(@n AS BIGINT);

-- name: ListClientAuditBackwards :many
SELECT * FROM audit WHERE client_id = @client_id AND seq < @before
ORDER BY seq DESC LIMIT CAST(@n AS BIGINT);

-- name: LastDataEvent :one
-- Whether the client could last open the data port that it was told of.
SELECT * FROM audit WHERE client_id = @client_id AND subject = @subject
  AND event IN ('data.unreachable', 'data.reached')
ORDER BY seq DESC LIMIT 1;

-- name: ListAttempts :many
-- The newest first, before the cursor.
SELECT * FROM audit WHERE seq < @before
  AND event IN ('login.allowed', 'login.refused', 'session.ended', 'data.unreachable', 'data.refused')
ORDER BY seq DESC LIMIT CAST(@n AS BIGINT);

-- name: ListAttemptsAfter :many
SELECT * FROM audit WHERE seq > @after
  AND event IN ('login.allowed', 'login.refused', 'session.ended', 'data.unreachable', 'data.refused')
ORDER BY seq LIMIT CAST(@n AS BIGINT);

-- name: ListRefusals :many
-- Of one client, the newest first, before the cursor.
SELECT * FROM audit WHERE seq < @before AND client_id = @client_id AND event = 'login.refused'
ORDER BY seq DESC LIMIT CAST(@n AS BIGINT);

-- name: CountStranger :exec
INSERT INTO strangers (protocol, address, reason, user_name, detail, first_at, last_at, times)
VALUES (@protocol, @address, @reason, @user_name, @detail, @first_at, @last_at, @times)
ON CONFLICT (protocol, address, reason) DO UPDATE SET
  user_name = excluded.user_name, detail = excluded.detail, last_at = excluded.last_at, times = strangers.times + excluded.times;

-- name: ListStrangers :many
SELECT * FROM strangers WHERE last_at >= @since ORDER BY last_at, protocol, address, reason;

-- name: ForgetOldStrangers :exec
DELETE FROM strangers WHERE last_at < @before;

-- name: NewestStrangers :many
-- When the newest ones were last there, the newest first: what is older than the last of them may go.
SELECT last_at FROM strangers ORDER BY last_at DESC LIMIT CAST(@n AS BIGINT);

-- ## Checks and copies of the whole

-- name: ListFilesFrom :many
-- In the order of ids, after the cursor.
SELECT * FROM entries
WHERE id > @after AND kind <> 'folder' AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: TotalFiles :one
SELECT COUNT(*) AS files, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM entries
WHERE kind <> 'folder' AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id);

-- name: ListPartialsFrom :many
-- In the order of blobs, after the cursor.
SELECT * FROM partials WHERE blob > @after AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
ORDER BY blob LIMIT CAST(@n AS BIGINT);

-- name: CountGarbage :one
SELECT COUNT(*) FROM garbage WHERE since <= @before;

-- name: GetEntryByBlob :one
SELECT * FROM entries WHERE blob = @blob AND blob <> '';

-- ## Resealing

-- name: ListSealed :many
-- What was published to a client, in the order of arrival, after the cursor (received_at, id).
SELECT * FROM entries WHERE client_id = @client_id AND kind = 'report' AND published_at > 0
  AND (received_at > @received_after OR (received_at = @received_after AND id > @id_after))
ORDER BY received_at, id LIMIT CAST(@n AS BIGINT);

-- name: CountSealed :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND kind = 'report' AND published_at > 0;

-- name: ResealEntry :exec
UPDATE entries SET state = @state, size = @size, sha256 = @sha256, blob = @blob, sealed_to = @sealed_to, collected_at = 0, coverage = ''
WHERE id = @id;

-- ## Producers

-- name: GetProducer :one
SELECT * FROM producers WHERE name = @name;

-- name: GetProducerBySecret :one
SELECT * FROM producers WHERE secret = @secret AND secret <> '';

-- name: ListProducers :many
SELECT * FROM producers WHERE name > @after ORDER BY name LIMIT CAST(@n AS BIGINT);

-- name: PutProducer :exec
INSERT INTO producers (name, secret, clients, added_at, expires_at, revoked_at, last_used_at)
VALUES (@name, @secret, @clients, @added_at, @expires_at, 0, 0)
ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, clients = excluded.clients, added_at = excluded.added_at,
    expires_at = excluded.expires_at, revoked_at = 0, last_used_at = 0;

-- name: RevokeProducer :exec
UPDATE producers SET revoked_at = @revoked_at WHERE name = @name;

-- name: TouchProducer :exec
UPDATE producers SET last_used_at = @last_used_at WHERE name = @name;

-- name: InsertIdempotencyKey :execrows
INSERT INTO idempotency_keys (producer, key, content, at, status, answer) VALUES (@producer, @key, @content, @at, 0, '')
ON CONFLICT (producer, key) DO NOTHING;

-- name: AnswerIdempotencyKey :exec
UPDATE idempotency_keys SET status = @status, answer = @answer WHERE producer = @producer AND key = @key AND status = 0;

-- name: GetIdempotencyKey :one
SELECT * FROM idempotency_keys WHERE producer = @producer AND key = @key;

-- name: ForgetIdempotencyKeys :exec
DELETE FROM idempotency_keys WHERE at < @before;

-- ## Notifications

-- name: HasNotify :one
SELECT id FROM clients WHERE id = @id AND notify <> '';

-- name: ListNotified :many
SELECT id, name, notify FROM clients WHERE notify <> '' AND id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: InsertOutbox :exec
INSERT INTO outbox (id, at, kind, client_id, subject, detail) VALUES (@id, @at, @kind, @client_id, @subject, @detail);

-- name: ListOutbox :many
SELECT * FROM outbox ORDER BY at, id LIMIT CAST(@n AS BIGINT);

-- name: DeleteOutbox :exec
DELETE FROM outbox WHERE id = @id;

-- name: DeleteClientOutbox :exec
DELETE FROM outbox WHERE client_id = @client_id;

-- name: InsertTold :execrows
INSERT INTO told (key, at) VALUES (@key, @at) ON CONFLICT DO NOTHING;

-- name: GetTold :one
SELECT at FROM told WHERE key = @key;

-- name: ForgetTold :exec
DELETE FROM told WHERE at < @before;

-- name: InsertMessage :exec
INSERT INTO messages (id, client_id, channel, target, kind, content, state, created_at, since, next_at, claimed, claims, tries, last_error, answer, settled_at)
VALUES (@id, @client_id, @channel, @target, @kind, @content, 'pending', @created_at, @next_at, @next_at, 0, 0, 0, '', '', 0);

-- name: FindOpenMessage :one
-- One that nobody has begun to send, and that is due no later than due.
SELECT * FROM messages
WHERE channel = @channel AND target = @target AND client_id = @client_id AND kind = @kind
  AND state = 'pending' AND claims = 0 AND next_at > @now AND next_at <= @due
ORDER BY next_at, id LIMIT 1;

-- name: SetMessageContent :exec
UPDATE messages SET content = @content WHERE id = @id;

-- name: ListDueTargets :many
SELECT channel, target, CAST(MIN(next_at) AS BIGINT) AS due FROM messages
WHERE state = 'pending' AND next_at <= @now
GROUP BY channel, target ORDER BY due LIMIT CAST(@n AS BIGINT);

-- name: ListDueMessages :many
SELECT * FROM messages
WHERE channel = @channel AND target = @target AND state = 'pending' AND next_at <= @now
ORDER BY tries, next_at, id LIMIT CAST(@n AS BIGINT);

-- name: ClaimMessage :execrows
UPDATE messages SET claimed = 1, claims = claims + 1, next_at = @until
WHERE id = @id AND state = 'pending' AND claims = @claims AND next_at <= @now;

-- name: SettleMessage :execrows
UPDATE messages SET state = @state, claimed = 0, next_at = @next_at, tries = @tries, last_error = @last_error, answer = @answer, settled_at = @settled_at
WHERE id = @id AND state = 'pending' AND claims = @claims;

-- name: PostponeMessages :exec
UPDATE messages SET next_at = @next_at WHERE channel = @channel AND target = @target AND state = 'pending' AND next_at <= @now;

-- name: GetMessage :one
SELECT * FROM messages WHERE id = @id;

-- name: ListMessages :many
-- Newest first, below the cursor (created_at, id).
SELECT * FROM messages
WHERE (CAST(@state AS TEXT) = '' OR state = @state) AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
  AND (created_at < @created_before OR (created_at = @created_before AND id < @id_before))
ORDER BY created_at DESC, id DESC LIMIT CAST(@n AS BIGINT);

-- name: LastMessage :many
-- The newest in a state, at most one.
SELECT * FROM messages WHERE state = @state AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: RetryMessage :execrows
UPDATE messages SET state = 'pending', since = @now, next_at = @now, tries = 0, settled_at = 0
WHERE id = @id AND state = 'dead';

-- name: RetryDeadMessages :execrows
UPDATE messages SET state = 'pending', since = @now, next_at = @now, tries = 0, settled_at = 0 WHERE state = 'dead';

-- name: HurryMessage :execrows
UPDATE messages SET next_at = @now WHERE id = @id AND state = 'pending' AND next_at > @now AND claimed = 0;

-- name: CountMessages :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(created_at), 0) AS BIGINT) AS oldest FROM messages WHERE state = @state;

-- name: CountLateMessages :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(created_at), 0) AS BIGINT) AS oldest FROM messages
WHERE state = 'pending' AND (claims > 0 OR next_at <= @now);

-- name: CountSettledSince :one
SELECT COUNT(*) FROM messages WHERE state = @state AND settled_at > 0 AND settled_at >= @since;

-- name: ForgetMessages :exec
DELETE FROM messages WHERE state = @state AND settled_at > 0 AND settled_at < @before;

-- name: DeleteClientMessages :exec
DELETE FROM messages WHERE client_id = @client_id;

-- name: ListUncollected :many
-- What was never fetched and is purged soon, by client. That expires_at is above 0 tells the planners that they may use
-- the index of what is due.
SELECT client_id, COUNT(*) AS reports, CAST(SUM(size) AS BIGINT) AS bytes, CAST(MIN(expires_at) AS BIGINT) AS earliest FROM entries
WHERE kind = 'report' AND state = 'published' AND legal_hold = 0 AND expires_at > 0 AND expires_at > @after AND expires_at <= @before
GROUP BY client_id ORDER BY client_id;

-- ## Figures, for monitoring

-- name: CountStates :many
SELECT state, kind, COUNT(*) AS n FROM entries WHERE kind <> 'folder' AND (state <> 'published' OR kind <> 'report')
GROUP BY state, kind
UNION ALL SELECT state, kind, COUNT(*) AS n FROM entries WHERE state = 'published' AND kind = 'report' GROUP BY state, kind
ORDER BY state, kind;

-- name: TotalUsage :one
SELECT CAST(COALESCE(SUM(files), 0) AS BIGINT) AS files, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM client_usage;

-- name: CountUncollectedDue :one
SELECT COUNT(*) FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= @at AND kind = 'report' AND state = 'published';

-- name: CountBans :one
SELECT COUNT(*) FROM bans WHERE until_at > @now;

-- name: OutboxFigures :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(at), 0) AS BIGINT) AS oldest FROM outbox;

-- ## The operators' overview

-- name: CountReceived :one
-- The reports that came in since a time, and how many of them have been sealed for their client by now.
SELECT COUNT(*) AS received, CAST(COALESCE(SUM(CASE WHEN published_at > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS sealed FROM entries
WHERE received_at >= @since AND kind = 'report' AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id);

-- name: CountPublished :one
-- Those that were published as they came, and those that waited before.
SELECT CAST((SELECT COUNT(*) FROM entries AS came
        WHERE came.received_at >= @since AND came.published_at = came.received_at AND came.kind = 'report')
    + (SELECT COUNT(*) FROM entries AS waited
        WHERE waited.published_at > 0 AND waited.published_at <> waited.received_at AND waited.published_at >= @since
            AND waited.kind = 'report') AS BIGINT);

-- name: CountClientPublished :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND published_at > 0 AND published_at >= @since AND kind = 'report';

-- name: CountCollected :one
SELECT COUNT(*) FROM entries WHERE collected_at > 0 AND collected_at >= @since AND kind = 'report';

-- name: CountClientCollected :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND collected_at > 0 AND collected_at >= @since AND kind = 'report';

-- name: ListArrivals :many
-- The newest first.
SELECT client_id, name, received_at FROM entries WHERE received_at >= @since AND kind = 'report'
ORDER BY received_at DESC LIMIT CAST(@n AS BIGINT);

-- name: ListClientArrivals :many
-- The newest first.
SELECT name, received_at FROM entries WHERE client_id = @client_id AND received_at >= @since AND kind = 'report'
ORDER BY received_at DESC LIMIT CAST(@n AS BIGINT);

-- name: SumPublished :one
-- As CountPublished.
SELECT CAST(COALESCE((SELECT SUM(came.size) FROM entries AS came
        WHERE came.received_at >= @since AND came.published_at = came.received_at), 0)
    + COALESCE((SELECT SUM(waited.size) FROM entries AS waited
        WHERE waited.published_at > 0 AND waited.published_at <> waited.received_at AND waited.published_at >= @since), 0) AS BIGINT);

-- name: SumDue :one
SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= @by;

-- name: SummarizeHeld :many
SELECT client_id, COUNT(*) AS reports, CAST(MIN(received_at) AS BIGINT) AS oldest FROM entries
WHERE state = 'held' GROUP BY client_id;

-- name: SummarizeUncollected :many
-- By client: since when, how many of them were not handed over by email either and since when those, and of those that are
-- purged by a time and have more than half of their time behind them, how many and when the first goes.
SELECT client_id, CAST(MIN(published_at) AS BIGINT) AS oldest,
    CAST(SUM(CASE WHEN EXISTS (SELECT 1 FROM receipts WHERE receipts.entry_id = entries.id AND receipts.protocol = 'email') THEN 0 ELSE 1 END) AS BIGINT) AS waiting,
    CAST(COALESCE(MIN(CASE WHEN EXISTS (SELECT 1 FROM receipts WHERE receipts.entry_id = entries.id AND receipts.protocol = 'email') THEN NULL ELSE published_at END), 0) AS BIGINT) AS waiting_since,
    CAST(SUM(CASE WHEN legal_hold = 0 AND expires_at > 0 AND expires_at <= @by AND 2 * (expires_at - @now) < expires_at - published_at THEN 1 ELSE 0 END) AS BIGINT) AS purging,
    CAST(COALESCE(MIN(CASE WHEN legal_hold = 0 AND expires_at > 0 AND expires_at <= @by AND 2 * (expires_at - @now) < expires_at - published_at THEN expires_at END), 0) AS BIGINT) AS purged_at
FROM entries WHERE state = 'published' AND kind = 'report' GROUP BY client_id;

-- name: ListDelays :many
-- How long a client took to collect, the newest first.
SELECT CAST(collected_at - published_at AS BIGINT) FROM entries WHERE client_id = @client_id AND collected_at > 0 AND kind = 'report'
ORDER BY collected_at DESC LIMIT CAST(@n AS BIGINT);

-- name: ListEndingKeys :many
-- Keys that end by a time, of clients that have no other key of the kind beyond it: what keys.Ending finds, by index. What was
-- retired before, or waits for approval, is left out.
SELECT ending.id, ending.client_id, ending.kind, ending.fingerprint, ending.added_at, ending.expires_at, ending.max_age, ending.retires_at FROM (
    SELECT a.id, a.client_id, a.kind, a.fingerprint, a.added_at, a.expires_at, a.max_age, a.retires_at, a.approved_at FROM keys AS a
    WHERE a.expires_at > 0 AND a.revoked_at = 0 AND a.expires_at <= @by
    UNION SELECT b.id, b.client_id, b.kind, b.fingerprint, b.added_at, b.expires_at, b.max_age, b.retires_at, b.approved_at FROM keys AS b
    WHERE b.max_age > 0 AND b.revoked_at = 0 AND b.added_at + b.max_age <= @by AND b.added_at <= @by
    UNION SELECT c.id, c.client_id, c.kind, c.fingerprint, c.added_at, c.expires_at, c.max_age, c.retires_at, c.approved_at FROM keys AS c
    WHERE c.retires_at > 0 AND c.revoked_at = 0 AND c.retires_at <= @by AND c.retires_at > @now) AS ending
WHERE (ending.retires_at = 0 OR ending.retires_at > @now) AND ending.approved_at > 0
  AND NOT EXISTS (SELECT 1 FROM keys AS other WHERE other.client_id = ending.client_id AND other.kind = ending.kind AND other.revoked_at = 0
    AND other.approved_at > 0 AND (other.expires_at = 0 OR other.expires_at > @by) AND (other.max_age = 0 OR other.added_at + other.max_age > @by)
    AND (other.retires_at = 0 OR other.retires_at > @by))
LIMIT CAST(@n AS BIGINT);

-- name: ListEndingPasswords :many
SELECT client_id, expires_at FROM passwords WHERE expires_at > 0 AND expires_at <= @by ORDER BY expires_at, client_id LIMIT CAST(@n AS BIGINT);

-- name: ListEndingProducers :many
SELECT name, expires_at FROM producers WHERE expires_at > 0 AND expires_at <= @by AND revoked_at = 0 ORDER BY expires_at, name LIMIT CAST(@n AS BIGINT);

-- name: ListRefusedSince :many
-- The newest first.
SELECT at, client_id, detail FROM audit WHERE event = 'login.refused' AND at >= @since ORDER BY at DESC LIMIT CAST(@n AS BIGINT);

-- name: ListUnapprovedKeys :many
SELECT id, client_id, kind, fingerprint, added_at FROM keys WHERE approved_at = 0 ORDER BY added_at, id LIMIT CAST(@n AS BIGINT);

-- name: ListUnapprovedUpdates :many
SELECT keys.id, keys.client_id, keys.kind, keys.fingerprint, key_updates.at FROM key_updates CROSS JOIN keys
WHERE keys.id = key_updates.key_id -- in this order: there are few updates, and many keys
ORDER BY key_updates.at, key_updates.key_id LIMIT CAST(@n AS BIGINT);

-- name: CountClientMessages :one
SELECT COUNT(*) AS n, CAST(COALESCE(MIN(created_at), 0) AS BIGINT) AS oldest FROM messages WHERE client_id = @client_id AND state = @state;

-- name: LastKeyUse :one
SELECT CAST(COALESCE(MAX(last_used_at), 0) AS BIGINT) FROM keys WHERE client_id = @client_id;

-- name: ListYoungClients :many
SELECT id, created_at FROM clients WHERE created_at > @since ORDER BY created_at, id;

-- name: ListDisabledClients :many
SELECT id FROM clients WHERE disabled <> 0 ORDER BY id;

-- name: GetAudit :one
SELECT * FROM audit WHERE seq = @seq;
