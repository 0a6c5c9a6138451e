//! JSON Schemas of arguments and results, from their types.

use schemars::{JsonSchema, SchemaGenerator};

use crate::task::HandlerResult;

/// The schema of a type, as text.
pub fn schema<T: JsonSchema>() -> String {
    SchemaGenerator::default().into_root_schema_for::<T>().as_value().to_string()
}

/// The schema of what a handler gives that can fail.
pub fn output_schema<R: HandlerResult<Value: JsonSchema>>() -> String {
    schema::<R::Value>()
}
