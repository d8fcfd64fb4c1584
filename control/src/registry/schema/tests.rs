//! Old registries are brought up to date, newer ones left alone.

use super::*;

fn open(file: &Path) -> Result<Connection, OpenError> {
    super::open(file, |_| Ok(()))
}

fn version(db: &Connection) -> usize {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn an_old_registry_is_brought_up_to_date_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registry.sqlite");
    let db = open(&file).unwrap();
    db.execute("UPDATE host SET starts = 41", []).unwrap();
    drop(db);
    let mut db = open(&file).unwrap();
    let mut longer = MIGRATIONS.to_vec();
    longer.push("ALTER TABLE host ADD COLUMN note TEXT NOT NULL DEFAULT 'new'");
    migrate(&mut db, &longer).unwrap();
    assert_eq!(version(&db), longer.len());
    let row: (u32, String) =
        db.query_row("SELECT starts, note FROM host", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(row, (41, "new".into()));
}

#[test]
fn domains_of_before_there_were_paths_are_kept() {
    let mut db = Connection::open_in_memory().unwrap();
    let before = MIGRATIONS.iter().position(|m| m.contains("CREATE TABLE places")).unwrap();
    migrate(&mut db, &MIGRATIONS[..before]).unwrap();
    db.execute_batch(
        "INSERT INTO tenants (id, name, slot, runtime, command, limits, phase, created_at_s)
         VALUES (1, 'a', 0, 'x', '[]', '{}', 'ready', 0);
         INSERT INTO domains VALUES ('b.test', 1, 0), ('a.test', 1, 1);",
    )
    .unwrap();
    migrate(&mut db, MIGRATIONS).unwrap();
    let mut query = db.prepare("SELECT host, path, strip, target FROM domains ORDER BY position").unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .collect::<rusqlite::Result<Vec<(String, String, bool, Option<String>)>>>();
    let of = |host: &str| (host.to_owned(), String::new(), false, None);
    assert_eq!(rows.unwrap(), [of("b.test"), of("a.test")]);
}

#[test]
fn a_migration_that_fails_leaves_the_old_version() {
    let mut db = Connection::open_in_memory().unwrap();
    let broken = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
    assert!(migrate(&mut db, &broken).is_err());
    assert_eq!(version(&db), 1);
    let b: usize =
        db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'b'", [], |r| r.get(0)).unwrap();
    assert_eq!(b, 0);
}

#[test]
fn a_newer_registry_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registry.sqlite");
    let db = open(&file).unwrap();
    db.pragma_update(None, "user_version", MIGRATIONS.len() + 1).unwrap();
    drop(db);
    let error = open(&file).unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }));
    assert!(error.to_string().contains(&format!("this program knows up to {}", MIGRATIONS.len())), "{error}");
}

#[test]
fn commits_are_durable_and_nobody_else_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("r")).unwrap();
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, String>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    assert_eq!(pragma("locking_mode").unwrap(), "exclusive");
    let synchronous: u8 = db.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2, "FULL");
    assert!(!dir.path().join("r-shm").exists());
}

#[test]
fn a_registry_is_shown_as_it_was_before_it_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r");
    let older = MIGRATIONS.len() - 1;
    let mut db = Connection::open(&file).unwrap();
    migrate(&mut db, &MIGRATIONS[..older]).unwrap();
    drop(db);
    let mut shown = vec![];
    let mut look = |db: &Connection| {
        shown.push(version(db));
        Err(crate::error::Error::Failsafe)
    };
    assert_eq!(version(&super::open(&file, &mut look).unwrap()), MIGRATIONS.len(), "without a copy, too");
    super::open(&file, &mut look).unwrap();
    assert_eq!(shown, [older], "what is up to date needs none");
}
