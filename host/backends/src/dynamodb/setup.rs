//! Creates the table. Only `brrr-host setup` does this, never a running worker.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
};
use brrr_protocol::error::{Error, ErrorKind, Result};

use super::items::{PK, SK};
use super::{BACKEND, DynamoDb};

/// How long to wait for a new table. Creating a table takes about ten seconds.
const PATIENCE: Duration = Duration::from_mins(2);

impl DynamoDb {
    /// Creates the table if it is missing, and waits until it can be used. Returns a line of text about what was done.
    pub(super) async fn create_table(&self) -> Result<String> {
        let there = self.describe().await?;
        let line = match &there {
            Some(table) => {
                self.check_layout(table)?;
                format!("table {} in {}: is there", self.table, self.region)
            }
            None => format!("table {} in {}: made, paid by request", self.table, self.region),
        };
        if there.is_none() {
            self.send_create().await?;
        }
        let start = Instant::now();
        while self.describe().await?.is_none_or(|table| table.table_status != Some(TableStatus::Active)) {
            if start.elapsed() > PATIENCE {
                let reason = format!("it is not ready after {PATIENCE:?}; run the same again later");
                return Err(Error::new(ErrorKind::Unavailable, BACKEND, self.doing("make"), reason));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(line)
    }

    async fn send_create(&self) -> Result<()> {
        let mut request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (name, key) in [(PK, KeyType::Hash), (SK, KeyType::Range)] {
            let attribute =
                AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
            let element = KeySchemaElement::builder().attribute_name(name).key_type(key).build();
            request = request
                .attribute_definitions(attribute.map_err(|e| self.faulty("make", &e))?)
                .key_schema(element.map_err(|e| self.faulty("make", &e))?);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // Another program is creating the table at this moment.
            Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                Ok(())
            }
            Err(error) => Err(self.failed("make", error)),
        }
    }

    /// The description of the table. `None`: the table does not exist.
    pub(super) async fn describe(&self) -> Result<Option<TableDescription>> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => Ok(None),
            Err(error) => Err(self.failed("look at", error)),
        }
    }

    fn check_layout(&self, table: &TableDescription) -> Result<()> {
        let keys: Vec<(&str, &KeyType)> =
            table.key_schema().iter().map(|element| (element.attribute_name(), element.key_type())).collect();
        let texts = |name: &str| {
            table
                .attribute_definitions()
                .iter()
                .any(|a| a.attribute_name() == name && *a.attribute_type() == ScalarAttributeType::S)
        };
        if keys == [(PK, &KeyType::Hash), (SK, &KeyType::Range)] && texts(PK) && texts(SK) {
            return Ok(());
        }
        let reason = format!(
            "its keys are {keys:?}; brrr's table has `pk` (HASH) and `sk` (RANGE), both of type S. Choose another name"
        );
        Err(Error::new(ErrorKind::Config, BACKEND, self.doing("use"), reason))
    }
}
