//! Several writes as one: all of them, or none. DynamoDB charges twice for each item of a transaction, so single records are
//! written without.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure as Return, TransactWriteItem,
};
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::ports::Key;
use bytes::Bytes;

use super::items::{Item, VALUE, blob};
use super::{BACKEND, DynamoDb};
use crate::aws::{TRIES, pause};

/// The result of a conditional write.
pub(super) enum Written {
    Done,
    /// The condition was false. Contains the existing item.
    Refused(Option<Item>),
    /// A transaction on the same item was running.
    Conflict,
}

impl DynamoDb {
    /// Puts an item, whatever was there before.
    pub(super) fn putting(&self, item: Item) -> Result<TransactWriteItem> {
        self.put_part(Put::builder().set_item(Some(item)))
    }

    /// Deletes an item, whatever is there.
    pub(super) fn deleting(&self, key: Item) -> Result<TransactWriteItem> {
        self.delete_part(Delete::builder().set_key(Some(key)))
    }

    /// Replaces (`new`) or deletes (`None`) a record that must be `expected`. `None`: there must be no record.
    pub(super) fn swapping(
        &self,
        key: &Key,
        expected: Option<&Bytes>,
        new: Option<&Bytes>,
    ) -> Result<TransactWriteItem> {
        let condition = if expected.is_some() { "#value = :expected" } else { "attribute_not_exists(pk)" };
        let names = expected.map(|_| [("#value".to_owned(), VALUE.to_owned())].into());
        let values = expected.map(|expected| [(":expected".to_owned(), blob(expected.clone()))].into());
        match new {
            Some(new) => {
                let put = Put::builder().set_item(Some(self.item(key, new.clone())?)).condition_expression(condition);
                let put = put.set_expression_attribute_names(names).set_expression_attribute_values(values);
                self.put_part(put.return_values_on_condition_check_failure(Return::AllOld))
            }
            None => {
                let delete = Delete::builder().set_key(Some(self.key(key)?)).condition_expression(condition);
                let delete = delete.set_expression_attribute_names(names).set_expression_attribute_values(values);
                self.delete_part(delete.return_values_on_condition_check_failure(Return::AllOld))
            }
        }
    }

    /// Writes nothing. There must be no item of this key.
    fn requiring_absence(&self, key: Item) -> Result<TransactWriteItem> {
        let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(key));
        let check = check.condition_expression("attribute_not_exists(pk)").build();
        Ok(TransactWriteItem::builder().condition_check(check.map_err(|e| self.faulty("write to", &e))?).build())
    }

    fn put_part(&self, put: aws_sdk_dynamodb::types::builders::PutBuilder) -> Result<TransactWriteItem> {
        let put = put.table_name(&self.table).build().map_err(|e| self.faulty("write to", &e))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete_part(&self, delete: aws_sdk_dynamodb::types::builders::DeleteBuilder) -> Result<TransactWriteItem> {
        let delete = delete.table_name(&self.table).build().map_err(|e| self.faulty("write to", &e))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// The SDK gives a transaction a token, so that a retry after a lost answer does not execute it twice.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Written> {
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        request.send().await.map_or_else(|error| self.transaction_failed(error), |_| Ok(Written::Done))
    }

    /// Repeats a transaction without conditions while others write the same items.
    pub(super) async fn transact_until_done(&self, writes: Vec<TransactWriteItem>) -> Result<()> {
        for tried in 0..TRIES {
            if let Written::Done = self.transact(writes.clone()).await? {
                return Ok(());
            }
            pause(tried).await;
        }
        Err(self.contended())
    }

    /// See `Store::put_if` (R1).
    pub(super) async fn put_if_both_absent(&self, key: &Key, value: &Bytes, absent: &Item) -> Result<Written> {
        let mut writes = vec![self.requiring_absence(absent.clone())?, self.swapping(key, None, Some(value))?];
        writes.extend(self.adding_id(key)?);
        self.transact(writes).await
    }

    fn transaction_failed(
        &self,
        error: SdkError<TransactWriteItemsError, aws_sdk_dynamodb::config::http::HttpResponse>,
    ) -> Result<Written> {
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                self.cancelled(cancelled.cancellation_reasons())
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => Ok(Written::Conflict),
            _ => Err(self.failed("write to", error)),
        }
    }

    fn cancelled(&self, reasons: &[CancellationReason]) -> Result<Written> {
        let codes: Vec<&str> = reasons.iter().filter_map(CancellationReason::code).collect();
        if codes.contains(&"ConditionalCheckFailed") {
            return Ok(Written::Refused(reasons.iter().find_map(|reason| reason.item.clone())));
        }
        let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
        if codes.iter().any(|code| passing.contains(code)) {
            return Ok(Written::Conflict);
        }
        let said: Vec<&str> = reasons.iter().filter_map(CancellationReason::message).collect();
        let too_large = codes.contains(&"ItemCollectionSizeLimitExceeded") || said.iter().any(|m| m.contains("size"));
        let kind = if too_large { ErrorKind::Limit } else { ErrorKind::Internal };
        Err(Error::new(kind, BACKEND, self.doing("write to"), format!("{} ({})", said.join("; "), codes.join(", "))))
    }
}
