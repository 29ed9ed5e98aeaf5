-- The rights of an edge on the catalog: as the database's owner, after the intake's first start,
--
--   psql --dbname sealdrop --file edge.sql
--   psql --dbname sealdrop --command '\password sealdrop_edge'
--
-- and again after each upgrade. Whoever takes over an edge has these rights and no more: they do not
-- reach to adding or changing keys, clients, networks or passwords, so that nothing comes to be
-- sealed to, or opened for, anybody new; not to what a report is sealed to, nor to its retention or
-- legal hold; and not to changing the audit's records, to which they only add.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sealdrop_edge') THEN
        CREATE ROLE sealdrop_edge LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM sealdrop_edge;
REVOKE CREATE ON SCHEMA public FROM sealdrop_edge;
GRANT USAGE ON SCHEMA public TO sealdrop_edge;

-- who may come in
GRANT SELECT ON goose_db_version, clients, client_networks, client_usage, keys, passwords, legal_holds TO sealdrop_edge;
GRANT UPDATE (last_used_at) ON keys, passwords TO sealdrop_edge;
GRANT SELECT, INSERT, UPDATE, DELETE ON bans, strangers TO sealdrop_edge;

-- the folders, and what clients put there
GRANT SELECT, INSERT ON entries TO sealdrop_edge;
GRANT UPDATE (parent_id, name, state, removed_at, modified_at, coverage, collected_at, sha256) ON entries TO sealdrop_edge;
GRANT INSERT, UPDATE ON client_usage TO sealdrop_edge;
GRANT SELECT, INSERT, DELETE ON partials TO sealdrop_edge;
GRANT SELECT, INSERT, DELETE ON garbage TO sealdrop_edge;

-- what happened
GRANT SELECT, INSERT ON audit, receipts TO sealdrop_edge;
GRANT UPDATE (sha256) ON receipts TO sealdrop_edge;
GRANT INSERT ON outbox TO sealdrop_edge;
GRANT SELECT, INSERT, UPDATE ON marks TO sealdrop_edge;
