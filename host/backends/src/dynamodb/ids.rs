//! The index of the ids of the kinds of which there are few records (`Kind::LISTED`). It consists of items of the same table.
//!
//! | `pk` | `sk` | other attributes |
//! |---|---|---|
//! | `brrr_ids/<kind>` | the digest of the id, because an id may be longer than a `sk` | `id` (S) |
//!
//! An entry is written and removed in one transaction with its record. So every record is listed, and the records need not be looked
//! at for that: some of them have hundreds of kilobytes, and a look at one costs as much as reading it. (If somebody deletes a record
//! by other means, its entry stays. Readers pass over it.)
//!
//! The entries of a kind are in one partition, so some hundred records of a kind can be written in a second.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::TransactWriteItem;
use brrr_protocol::digest::Digest;
use brrr_protocol::error::Result;
use brrr_protocol::ports::{Key, Kind, Page, Store as _};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::DynamoDb;
use super::batch::AT_ONCE;
use super::items::{Item, PK, SK, s, text};
use super::transaction::Written;

/// The name of the attribute that holds the id.
const ID: &str = "id";

impl DynamoDb {
    fn ids_pk(&self, kind: &Kind) -> String {
        format!("{}brrr_ids/{}", self.prefix, kind.name())
    }

    fn id_key(&self, key: &Key) -> Item {
        let digest = Digest::of(key.id.as_bytes()).to_string();
        Item::from([(PK.to_owned(), s(self.ids_pk(&key.kind))), (SK.to_owned(), s(digest))])
    }

    /// The write that adds the id of a record to the index. `None`: its kind has none.
    pub(super) fn adding_id(&self, key: &Key) -> Result<Option<TransactWriteItem>> {
        let entry = key.kind.is_listed().then(|| {
            let mut entry = self.id_key(key);
            entry.insert(ID.to_owned(), s(&*key.id));
            entry
        });
        entry.map(|entry| self.putting(entry)).transpose()
    }

    /// Puts a record and its entry.
    pub(super) async fn put_with_id(&self, key: &Key, value: &Bytes) -> Result<()> {
        let record = self.putting(self.item(key, value.clone())?)?;
        self.transact_until_done([record].into_iter().chain(self.adding_id(key)?).collect()).await
    }

    /// Creates or deletes a record, together with its entry.
    pub(super) async fn swap_with_id(
        &self,
        key: &Key,
        expected: Option<&Bytes>,
        new: Option<&Bytes>,
    ) -> Result<Written> {
        let entry = if new.is_some() { self.adding_id(key)? } else { Some(self.deleting(self.id_key(key))?) };
        let record = self.swapping(key, expected, new)?;
        self.transact([record].into_iter().chain(entry).collect()).await
    }

    /// Removes records and their entries.
    pub(super) async fn remove_with_ids(&self, keys: Vec<&Key>) -> Result<()> {
        let removal = |key| Ok(vec![self.deleting(self.key(key)?)?, self.deleting(self.id_key(key))?]);
        let removals = keys.into_iter().map(removal).collect::<Result<Vec<_>>>()?;
        stream::iter(removals.into_iter().map(|removal| self.transact_until_done(removal)))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Puts records one by one, some at a time. For records that have entries in an index.
    pub(super) async fn put_each(&self, records: &[(Key, Bytes)]) -> Result<()> {
        // If a record is there twice, the last one counts.
        let records: HashMap<&Key, &Bytes> = records.iter().map(|(key, value)| (key, value)).collect();
        let puts: Vec<_> = records.into_iter().map(|(key, value)| self.put(key, value.clone())).collect();
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// See `Store::list`. The cursor is the `sk` of the last entry that was read.
    pub(super) async fn page_of_ids(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let pk = self.ids_pk(kind);
        let start = cursor.map(|sk| Item::from([(PK.to_owned(), s(&*pk)), (SK.to_owned(), s(sk))]));
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s(pk))
            .consistent_read(true)
            .limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start);
        let answer = request.send().await.map_err(|e| self.failed("look through", e))?;
        let next = answer.last_evaluated_key().and_then(|key| text(key, SK)).map(str::to_owned);
        let ids = answer.items().iter().filter_map(|entry| text(entry, ID)).map(str::to_owned);
        Ok(Page { ids: ids.collect(), next })
    }
}
