-- ## Clients

-- name: GetClient :one
SELECT * FROM clients WHERE id = @id;

-- name: ListClients :many
SELECT * FROM clients WHERE id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: ListDeclaredClients :many
SELECT * FROM clients WHERE declared <> '' ORDER BY id;

-- name: InsertClient :exec
INSERT INTO clients (id, name, retention, disabled, ftp, quota_bytes, quota_files, delivers_to, declared, created_at)
VALUES (@id, @name, @retention, @disabled, @ftp, @quota_bytes, @quota_files, @delivers_to, @declared, @created_at);

-- name: UpdateClient :exec
UPDATE clients SET name = @name, retention = @retention, disabled = @disabled, ftp = @ftp,
    quota_bytes = @quota_bytes, quota_files = @quota_files, delivers_to = @delivers_to, declared = @declared
WHERE id = @id;

-- name: DeleteClient :exec
DELETE FROM clients WHERE id = @id;

-- name: GetUsage :one
SELECT files, bytes FROM client_usage WHERE client_id = @client_id;

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
INSERT INTO keys (id, client_id, kind, fingerprint, algorithm, label, material, added_at, expires_at, retires_at, revoked_at, revoked_reason, last_used_at)
VALUES (@id, @client_id, @kind, @fingerprint, @algorithm, @label, @material, @added_at, @expires_at, 0, 0, '', 0);

-- name: GetKey :one
SELECT * FROM keys WHERE kind = @kind AND fingerprint = @fingerprint;

-- name: FindKeys :many
SELECT * FROM keys WHERE id = @ref OR fingerprint = @ref ORDER BY id LIMIT 2;

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
    published_at, modified_at, expires_at, collected_at, removed_at, legal_hold, replaces, coverage)
VALUES (@id, @client_id, @parent_id, @name, @kind, @state, @size, @sha256, @plain_size, @blob, @sealed_to, @received_at,
    @published_at, @modified_at, @expires_at, 0, 0, 0, @replaces, '');

-- name: GetEntry :one
SELECT * FROM entries WHERE id = @id;

-- name: FindChild :one
SELECT * FROM entries
WHERE client_id = @client_id AND parent_id = @parent_id AND name = @name AND state IN ('published', 'collected');

-- name: ListChildren :many
SELECT * FROM entries
WHERE client_id = @client_id AND parent_id = @parent_id AND name > @after AND state IN ('published', 'collected')
ORDER BY name LIMIT CAST(@n AS BIGINT);

-- name: ListKinds :many
SELECT DISTINCT kind FROM entries WHERE parent_id = @parent_id AND parent_id <> '';

-- name: ListSubfolders :many
SELECT id FROM entries WHERE parent_id = @parent_id AND parent_id <> '' AND kind = 'folder';

-- name: ListReports :many
-- Newest first, below the cursor (received_at, id).
SELECT * FROM entries
WHERE (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
  AND (CAST(@state AS TEXT) = '' OR state = @state)
  AND kind <> 'folder'
  AND (received_at < @received_before OR (received_at = @received_before AND id < @id_before))
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

-- name: ListDue :many
SELECT * FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= @now
ORDER BY expires_at LIMIT CAST(@n AS BIGINT);

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

-- name: DeleteEmptyRemovedFolders :execrows
DELETE FROM entries WHERE kind = 'folder' AND state = 'removed'
  AND NOT EXISTS (SELECT 1 FROM entries AS child WHERE child.parent_id = entries.id AND child.parent_id <> '');

-- name: SetExpires :exec
UPDATE entries SET expires_at = @expires_at WHERE id = @id;

-- name: SetLegalHold :exec
UPDATE entries SET legal_hold = @legal_hold WHERE id = @id;

-- name: CountLegalHolds :one
SELECT COUNT(*) FROM entries WHERE client_id = @client_id AND legal_hold <> 0;

-- name: ListClientFiles :many
SELECT * FROM entries WHERE client_id = @client_id AND kind <> 'folder' ORDER BY received_at, id LIMIT CAST(@n AS BIGINT);

-- name: DeleteClientEntries :exec
DELETE FROM entries WHERE client_id = @client_id;

-- name: BlobKnown :one
SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM entries WHERE entries.blob = @blob)
    OR EXISTS (SELECT 1 FROM partials WHERE partials.blob = @blob)
    OR EXISTS (SELECT 1 FROM garbage WHERE garbage.blob = @blob) THEN 1 ELSE 0 END AS BIGINT);

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
INSERT INTO garbage (blob, since) VALUES (@blob, @since) ON CONFLICT DO NOTHING;

-- name: ListGarbage :many
SELECT * FROM garbage WHERE since <= @before ORDER BY since LIMIT CAST(@n AS BIGINT);

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
SELECT * FROM audit WHERE seq < @before AND (CAST(@client_id AS TEXT) = '' OR client_id = @client_id)
ORDER BY seq DESC LIMIT CAST(@n AS BIGINT);

-- name: LastDataEvent :one
-- Whether the client could last open the data port that it was told of.
SELECT * FROM audit WHERE client_id = @client_id AND subject = @subject
  AND event IN ('data.unreachable', 'data.reached')
ORDER BY seq DESC LIMIT 1;

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
INSERT INTO idempotency_keys (producer, key, content, at) VALUES (@producer, @key, @content, @at)
ON CONFLICT (producer, key) DO NOTHING;

-- name: GetIdempotencyKey :one
SELECT * FROM idempotency_keys WHERE producer = @producer AND key = @key;

-- name: ForgetIdempotencyKeys :exec
DELETE FROM idempotency_keys WHERE at < @before;
