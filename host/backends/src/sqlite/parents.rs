//! The parents of a call that has many parents. Each parent is a row of its own: see `brrr_protocol::transaction`.
//! These rows are written at once. Records are written only at the end of the transaction.

use std::collections::BTreeSet;

use brrr_protocol::model::CallHash;
use brrr_protocol::registration::Facts;
use brrr_protocol::wire::Return;
use rusqlite::{Connection, Result};

/// Each part of this query reads one or two rows of an index.
const LOOK: &str = "
    WITH call (n) AS (SELECT n FROM name WHERE id = ?1)
    SELECT EXISTS (SELECT 1 FROM call JOIN parent USING (n) WHERE job_id = ?2 AND parent = ?3 AND topic = ?4),
           EXISTS (SELECT 1 FROM call JOIN parent USING (n) WHERE job_id <> ?2 AND parent = ?3 AND topic = ?4),
           EXISTS (SELECT 1 FROM call JOIN parent USING (n) WHERE job_id = ?2),
           EXISTS (SELECT 1 FROM call JOIN parent USING (n) WHERE job_id < ?2)
           OR EXISTS (SELECT 1 FROM call JOIN parent USING (n) WHERE job_id > ?2)";

/// All parents of a call.
pub(super) fn all(conn: &Connection, call: &CallHash) -> Result<BTreeSet<Return>> {
    conn.prepare_cached("SELECT job_id, parent, topic FROM parent WHERE n = (SELECT n FROM name WHERE id = ?1)")?
        .query_map([call.as_str()], |row| {
            Ok(Return {
                job_id: row.get_ref(0)?.as_str()?.into(),
                parent: row.get_ref(1)?.as_str()?.into(),
                topic: row.get_ref(2)?.as_str()?.into(),
            })
        })?
        .collect()
}

/// See `Transaction::look_for`.
pub(super) fn look_for(conn: &Connection, call: &CallHash, me: &Return) -> Result<Facts> {
    let of_me = (call.as_str(), me.job_id.as_str(), me.parent.as_str(), me.topic.as_str());
    conn.prepare_cached(LOOK)?.query_row(of_me, |row| {
        let (has_me, elsewhere) = (row.get(0)?, row.get(1)?);
        Ok(Facts { has_me, elsewhere, in_job: row.get(2)?, in_other_jobs: row.get(3)?, scheduled_at: None })
    })
}

/// Adds a parent to the call with the number `n`.
pub(super) fn add(conn: &Connection, n: i64, parent: &Return) -> Result<()> {
    conn.prepare_cached("INSERT INTO parent (n, job_id, parent, topic) VALUES (?1, ?2, ?3, ?4)")?
        .execute((n, parent.job_id.as_str(), parent.parent.as_str(), parent.topic.as_str()))
        .map(drop)
}

pub(super) fn remove(conn: &Connection, call: &CallHash, parent: &Return) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM parent WHERE n = (SELECT n FROM name WHERE id = ?1) AND job_id = ?2 AND parent = ?3 AND topic = ?4",
    )?
    .execute((call.as_str(), parent.job_id.as_str(), parent.parent.as_str(), parent.topic.as_str()))
    .map(drop)
}

pub(super) fn remove_all(conn: &Connection, call: &str) -> Result<()> {
    conn.prepare_cached("DELETE FROM parent WHERE n = (SELECT n FROM name WHERE id = ?1)")?.execute([call]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_reads_one_or_two_rows() {
        let conn = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&conn, std::path::Path::new(":memory:")).unwrap();
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {LOOK}")).unwrap();
        let lines = explain.query_map(("c", "r", "p", "t"), |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<String> = lines.collect::<Result<_>>().unwrap();
        let looks: Vec<&String> = plan.iter().filter(|line| line.contains(" parent ")).collect();
        assert_eq!(looks.len(), 5, "{plan:?}");
        assert!(looks.iter().all(|line| line.starts_with("SEARCH ") && line.contains("n=? AND ")), "{plan:?}");
    }
}
