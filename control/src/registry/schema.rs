//! The database's shape and its history: each migration stands here for ever and is applied once, in order.
//! `PRAGMA user_version` says how many have been.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

/// Why the registry could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An image went back to an older version.
    #[error(
        "the registry is of version {found}, this program knows up to {known}: \
         boot the image that wrote it, or a newer one"
    )]
    Newer {
        /// Migrations that it has seen.
        found: usize,
        /// Migrations that there are.
        known: usize,
    },
    /// It is not whole.
    #[error("the registry is damaged: {0}")]
    Damaged(String),
    /// SQLite's.
    #[error("the registry cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder's.
    #[error("the registry's folder: {0}")]
    Io(#[from] std::io::Error),
}

/// Applied in order; never change one that was released, add the next.
const MIGRATIONS: &[&str] = &[
    // 1: tenants, domains, releases.
    "CREATE TABLE host (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        starts INTEGER NOT NULL
    ) STRICT;
    INSERT INTO host (id, starts) VALUES (1, 0);
    CREATE TABLE tenants (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        slot INTEGER NOT NULL UNIQUE CHECK (slot BETWEEN 0 AND 4095),
        runtime TEXT NOT NULL,
        command TEXT NOT NULL,
        limits TEXT NOT NULL,
        phase TEXT NOT NULL CHECK (phase IN ('adding', 'ready', 'removing')),
        next_release INTEGER NOT NULL DEFAULT 1,
        current INTEGER,
        settled INTEGER NOT NULL DEFAULT 1 CHECK (settled IN (0, 1)),
        created_at_s INTEGER NOT NULL,
        FOREIGN KEY (id, current) REFERENCES releases (tenant, number) DEFERRABLE INITIALLY DEFERRED
    ) STRICT;
    CREATE TABLE domains (
        host TEXT PRIMARY KEY,
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX domains_of_tenant ON domains (tenant, position);
    CREATE TABLE releases (
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        number INTEGER NOT NULL CHECK (number > 0),
        state TEXT NOT NULL CHECK (state IN ('begun', 'done', 'removing')),
        bytes INTEGER NOT NULL DEFAULT 0,
        entries INTEGER NOT NULL DEFAULT 0,
        command TEXT NOT NULL DEFAULT '[]',
        by TEXT NOT NULL DEFAULT '',
        created_at_s INTEGER NOT NULL,
        PRIMARY KEY (tenant, number)
    ) STRICT, WITHOUT ROWID;",
    // 2: denied acts, each kind once with its count; without a tenant those of the host's own and of empty slots.
    "CREATE TABLE denials (
        id INTEGER PRIMARY KEY,
        tenant INTEGER REFERENCES tenants (id) ON DELETE CASCADE,
        denial TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at_s INTEGER NOT NULL,
        last_at_s INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX denials_kinds ON denials (coalesce(tenant, 0), denial);
    CREATE INDEX denials_age ON denials (coalesce(tenant, 0), last_at_s);
    ALTER TABLE host ADD COLUMN denials_lost INTEGER NOT NULL DEFAULT 0;",
    // 3: what tenants may connect to.
    "CREATE TABLE egress (
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        number INTEGER NOT NULL CHECK (number > 0),
        action TEXT NOT NULL CHECK (action IN ('allow', 'deny')),
        destination TEXT NOT NULL,
        PRIMARY KEY (tenant, number),
        UNIQUE (tenant, action, destination)
    ) STRICT, WITHOUT ROWID;",
    // 4: what tenants' programs did.
    "CREATE TABLE timeline (
        id INTEGER PRIMARY KEY,
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        at_ms INTEGER NOT NULL,
        state TEXT NOT NULL,
        origin TEXT NOT NULL,
        took_ms INTEGER,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX timeline_of_tenant ON timeline (tenant, id);",
    // 5: what tenants have used, by the hour since 1970; by name, as it outlives them. And the looks up to which that is.
    "CREATE TABLE usage (
        tenant TEXT NOT NULL,
        hour INTEGER NOT NULL,
        hours INTEGER NOT NULL,
        cpu_us INTEGER NOT NULL,
        running_kib_ms INTEGER NOT NULL,
        frozen_kib_ms INTEGER NOT NULL,
        reclaimed_kib_ms INTEGER NOT NULL,
        swap_kib_ms INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL,
        queued_ms INTEGER NOT NULL,
        woken_frozen INTEGER NOT NULL,
        woken_reclaimed INTEGER NOT NULL,
        woken_stopped INTEGER NOT NULL,
        oom_kills INTEGER NOT NULL,
        disk_kib_s INTEGER NOT NULL,
        PRIMARY KEY (tenant, hour)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_hour ON usage (hour);
    CREATE TABLE looks (
        tenant INTEGER PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
        look TEXT NOT NULL
    ) STRICT;",
    // 6: what programs show that cannot sign in; of their secrets the SHA-256.
    "CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        scope TEXT NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        by TEXT NOT NULL,
        created_at_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // 7: certificates of sites, with their private keys; `names` is JSON, `name` the first of them.
    "CREATE TABLE certificates (
        name TEXT PRIMARY KEY,
        names TEXT NOT NULL,
        issuer TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        not_before_s INTEGER NOT NULL,
        not_after_s INTEGER NOT NULL,
        by TEXT NOT NULL,
        created_at_s INTEGER NOT NULL,
        chain_pem TEXT NOT NULL,
        key_pem TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // 8: ACME: who is asked, accounts with their keys, how names' orders have fared, which certificates come from there; and
    // lines of the timeline that are no change of a program's.
    "CREATE TABLE acme (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        directory TEXT REFERENCES acme_accounts (directory),
        paused_until_s INTEGER NOT NULL DEFAULT 0,
        stumbles INTEGER NOT NULL DEFAULT 0,
        trouble TEXT
    ) STRICT;
    CREATE TABLE acme_accounts (
        directory TEXT PRIMARY KEY,
        roots_pem TEXT,
        email TEXT,
        account TEXT NOT NULL,
        by TEXT NOT NULL,
        created_at_s INTEGER NOT NULL
    ) STRICT;
    INSERT INTO acme (id) VALUES (1);
    CREATE TABLE acme_names (
        name TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        next_s INTEGER NOT NULL,
        error TEXT
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE certificates ADD COLUMN directory TEXT;
    ALTER TABLE certificates ADD COLUMN renew_at_s INTEGER;
    ALTER TABLE timeline ADD COLUMN note INTEGER NOT NULL DEFAULT 0;",
    // 9: domains are wildcards and paths, too, and may be redirects (`target`); operators' own pages; maintenance.
    "CREATE TABLE places (
        host TEXT NOT NULL,
        path TEXT NOT NULL,
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        strip INTEGER NOT NULL CHECK (strip IN (0, 1)),
        target TEXT,
        permanent INTEGER NOT NULL CHECK (permanent IN (0, 1)),
        keep_path INTEGER NOT NULL CHECK (keep_path IN (0, 1)),
        PRIMARY KEY (host, path)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO places SELECT host, '', tenant, position, 0, NULL, 0, 0 FROM domains;
    DROP TABLE domains;
    ALTER TABLE places RENAME TO domains;
    CREATE INDEX domains_of_tenant ON domains (tenant, position);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;
    ALTER TABLE host ADD COLUMN page INTEGER REFERENCES pages (id);
    ALTER TABLE tenants ADD COLUMN page INTEGER REFERENCES pages (id);
    ALTER TABLE tenants ADD COLUMN maintenance TEXT;
    ALTER TABLE tenants ADD COLUMN maintenance_page INTEGER REFERENCES pages (id);",
    // 10: the release that served before, while another is on trial.
    "ALTER TABLE tenants ADD COLUMN previous INTEGER;",
    // 11: environments, sealed: of each release, and what the next one of a tenant begins with. Of a release that is only another
    // environment, the release whose files it has, and whether it has been kept.
    "ALTER TABLE tenants ADD COLUMN env BLOB;
    ALTER TABLE releases ADD COLUMN env BLOB;
    ALTER TABLE releases ADD COLUMN files INTEGER;
    ALTER TABLE releases ADD COLUMN tried INTEGER NOT NULL DEFAULT 1 CHECK (tried IN (0, 1));",
    // 12: jobs that run by the clock.
    "CREATE TABLE jobs (
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        number INTEGER NOT NULL CHECK (number > 0),
        schedule TEXT NOT NULL,
        zone TEXT NOT NULL,
        command TEXT NOT NULL,
        timeout_s INTEGER NOT NULL,
        overlap INTEGER NOT NULL CHECK (overlap IN (0, 1)),
        by TEXT NOT NULL,
        created_at_s INTEGER NOT NULL,
        next_at_s INTEGER,
        last_at_s INTEGER,
        last_took_ms INTEGER,
        last_code INTEGER,
        last_why TEXT,
        missed INTEGER NOT NULL DEFAULT 0,
        missed_at_s INTEGER,
        missed_why TEXT,
        PRIMARY KEY (tenant, number)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE tenants ADD COLUMN next_job INTEGER NOT NULL DEFAULT 1;",
    // 13: where releases' commands come from, as JSON.
    "ALTER TABLE releases ADD COLUMN origin TEXT;",
    // 14: people: accounts with tenants and keys, whose tokens are, for which tenants and until when, and which were revoked; and
    // who changed what.
    "CREATE TABLE accounts (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        by TEXT NOT NULL,
        created_at_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE account_tenants (
        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        PRIMARY KEY (account, tenant)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX accounts_of_tenant ON account_tenants (tenant);
    CREATE TABLE account_keys (
        fingerprint TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        comment TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_of_account ON account_keys (account);
    ALTER TABLE tokens ADD COLUMN account TEXT REFERENCES accounts (name) ON DELETE CASCADE;
    ALTER TABLE tokens ADD COLUMN narrowed INTEGER NOT NULL DEFAULT 0 CHECK (narrowed IN (0, 1));
    ALTER TABLE tokens ADD COLUMN expires_at_s INTEGER;
    ALTER TABLE tokens ADD COLUMN used_at_s INTEGER;
    CREATE UNIQUE INDEX tokens_by_hash ON tokens (hash);
    CREATE INDEX tokens_of_account ON tokens (account);
    CREATE TABLE token_tenants (
        token TEXT NOT NULL REFERENCES tokens (name) ON DELETE CASCADE,
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        PRIMARY KEY (token, tenant)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tokens_of_tenant ON token_tenants (tenant);
    CREATE TABLE revoked_tokens (
        hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
        name TEXT NOT NULL,
        at_s INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        account TEXT,
        key TEXT,
        token TEXT,
        source TEXT NOT NULL,
        act TEXT NOT NULL,
        tenant TEXT,
        detail TEXT NOT NULL,
        result TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_of_actor ON audit (actor, id);
    CREATE INDEX audit_of_tenant ON audit (tenant, id);
    ALTER TABLE host ADD COLUMN audit_forgotten INTEGER NOT NULL DEFAULT 0;",
    // 15: the runtime of each release; those before were of their tenant's.
    "ALTER TABLE releases ADD COLUMN runtime TEXT;
    UPDATE releases SET runtime = (SELECT runtime FROM tenants WHERE tenants.id = releases.tenant);",
    // 16: the commits that releases were made from, as JSON.
    "ALTER TABLE releases ADD COLUMN source TEXT;",
    // 17: what else a release's files say is to run, and how often a tenant wants it.
    "CREATE TABLE processes (
        tenant INTEGER NOT NULL,
        number INTEGER NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        command TEXT NOT NULL,
        PRIMARY KEY (tenant, number, name),
        FOREIGN KEY (tenant, number) REFERENCES releases (tenant, number) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE scale (
        tenant INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
        process TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count > 0),
        PRIMARY KEY (tenant, process)
    ) STRICT, WITHOUT ROWID;",
];

/// Opens the file with the promises that the rest relies on. Before it is brought up to date from an older version, it is shown
/// to `before`; that this cannot do its part is said, and stops nothing.
pub(super) fn open(
    file: &Path,
    before: impl FnOnce(&Connection) -> crate::error::Result<()>,
) -> Result<Connection, OpenError> {
    let mut db = set_up(Connection::open(file)?)?;
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(OpenError::Damaged(found));
    }
    let version: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if (1..MIGRATIONS.len()).contains(&version)
        && let Err(cause) = before(&db)
    {
        crate::say!("there is no copy of the registry as it was before this version: {cause}");
    }
    migrate(&mut db, MIGRATIONS)?;
    Ok(db)
}

/// Settings and migrations, of a database in memory.
pub(super) fn prepare(db: Connection) -> Result<Connection, OpenError> {
    let mut db = set_up(db)?;
    migrate(&mut db, MIGRATIONS)?;
    Ok(db)
}

fn set_up(db: Connection) -> Result<Connection, OpenError> {
    // A control that was killed lets go of its lock at once; waiting covers the moment in between.
    db.busy_timeout(Duration::from_secs(5))?;
    // Exclusive: one control only, and no shared-memory file beside the log. The cache is in KiB.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -512;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(db)
}

/// Applies what is missing, each migration whole or not at all.
fn migrate(db: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    let found: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > migrations.len() {
        return Err(OpenError::Newer { found, known: migrations.len() });
    }
    for (done, migration) in migrations.iter().enumerate().skip(found) {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", done + 1)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
