//! Finds in a value what `serde_json` writes without an error although JSON does not have it: NaN and the infinities,
//! which would arrive as `null`, and a key that an object has twice, of which readers keep only one. The SDK for Rust
//! includes this file.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::Serialize;
use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// What is wrong, and where: `NaN at values[1]`.
#[derive(Debug)]
pub struct Unfit(String);

/// Can the whole value be written as JSON, so that a reader gets all of it?
///
/// # Errors
/// What can't, and its place.
pub fn check(value: &(impl Serialize + ?Sized)) -> Result<(), Unfit> {
    value.serialize(&Place { above: None, step: Step::Index(0) })
}

/// Where a value is: a list from there up to the whole, of which the top says nothing.
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

impl<'a> Place<'a> {
    fn key(&'a self, key: impl Into<Cow<'a, str>>) -> Place<'a> {
        Place { above: Some(self), step: Step::Key(key.into()) }
    }

    fn index(&'a self, index: usize) -> Place<'a> {
        Place { above: Some(self), step: Step::Index(index) }
    }

    fn number(&self, number: f64) -> Result<(), Unfit> {
        if number.is_finite() {
            return Ok(());
        }
        let name = if number.is_nan() { "NaN" } else { "an infinite number" };
        Err(Unfit(format!("{name}{}, which JSON does not have", self.shown())))
    }

    /// ` at values[1]`; of the whole value nothing.
    fn shown(&self) -> String {
        let path = self.to_string();
        if path.is_empty() { path } else { format!(" at {path}") }
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(f)?;
        match &self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) if above.above.is_none() => f.write_str(key),
            Step::Key(key) => write!(f, ".{key}"),
        }
    }
}

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl serde::ser::Error for Unfit {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The elements of a list.
struct Items<'a> {
    of: Cow<'a, Place<'a>>,
    next: usize,
}

/// The fields of an object, or the entries of a map.
struct Fields<'a> {
    of: Cow<'a, Place<'a>>,
    keys: BTreeSet<String>,
    last: String,
}

impl Clone for Place<'_> {
    fn clone(&self) -> Self {
        let step = match &self.step {
            Step::Key(key) => Step::Key(key.clone()),
            Step::Index(index) => Step::Index(*index),
        };
        Self { above: self.above, step }
    }
}

impl Items<'_> {
    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unfit> {
        value.serialize(&self.of.index(self.next))?;
        self.next += 1;
        Ok(())
    }
}

impl Fields<'_> {
    fn field(&self, key: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), Unfit> {
        value.serialize(&self.of.key(key))
    }
}

macro_rules! fit {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Result<(), Unfit> {
            Ok(())
        })+
    };
}

impl<'a> Serializer for &'a Place<'a> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fit! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, number: f32) -> Result<(), Unfit> {
        self.number(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Unfit> {
        self.number(number)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Unfit> {
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unfit> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Unfit> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Unfit> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unfit> {
        value.serialize(&self.key(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Unfit> {
        Ok(Items { of: Cow::Borrowed(self), next: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Unfit> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Unfit> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Unfit> {
        Ok(Items { of: Cow::Owned(self.key(variant)), next: 0 })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Unfit> {
        Ok(Fields { of: Cow::Borrowed(self), keys: BTreeSet::new(), last: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Unfit> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Unfit> {
        Ok(Fields { of: Cow::Owned(self.key(variant)), keys: BTreeSet::new(), last: String::new() })
    }
}

macro_rules! items {
    ($($trait:ident $method:ident)+) => {
        $(impl $trait for Items<'_> {
            type Ok = ();
            type Error = Unfit;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
                self.item(value)
            }

            fn end(self) -> Result<(), Unfit> {
                Ok(())
            }
        })+
    };
}

items! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($trait:ident)+) => {
        $(impl $trait for Fields<'_> {
            type Ok = ();
            type Error = Unfit;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Unfit> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Unfit> {
                Ok(())
            }
        })+
    };
}

fields! { SerializeStruct SerializeStructVariant }

/// A map's keys are values that become texts, so two of them can become the same one.
impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.last = key.serialize(Key)?;
        if self.keys.insert(self.last.clone()) {
            return Ok(());
        }
        Err(Unfit(format!("the key {:?} twice in one object{}", self.last, self.of.shown())))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        value.serialize(&self.of.key(self.last.as_str()))
    }

    fn end(self) -> Result<(), Unfit> {
        Ok(())
    }
}

/// The text that `serde_json` makes of a key. What can't be a key is its own error, which follows.
struct Key;

macro_rules! texts {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, key: $type) -> Result<String, Unfit> {
            Ok(key.to_string())
        })+
    };
}

impl Serializer for Key {
    type Ok = String;
    type Error = Unfit;
    type SerializeSeq = Impossible<String, Unfit>;
    type SerializeTuple = Impossible<String, Unfit>;
    type SerializeTupleStruct = Impossible<String, Unfit>;
    type SerializeTupleVariant = Impossible<String, Unfit>;
    type SerializeMap = Impossible<String, Unfit>;
    type SerializeStruct = Impossible<String, Unfit>;
    type SerializeStructVariant = Impossible<String, Unfit>;

    texts! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, Unfit> {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, key: &T) -> Result<String, Unfit> {
        key.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<String, Unfit> {
        key.serialize(self)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, Unfit> {
        Err(no_key())
    }

    fn serialize_none(self) -> Result<String, Unfit> {
        Err(no_key())
    }

    fn serialize_unit(self) -> Result<String, Unfit> {
        Err(no_key())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<String, Unfit> {
        Err(no_key())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, Unfit> {
        Err(no_key())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unfit> {
        Err(no_key())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unfit> {
        Err(no_key())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Unfit> {
        Err(no_key())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unfit> {
        Err(no_key())
    }
}

fn no_key() -> Unfit {
    Unfit("a key of an object must be a text or a number".into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Circle(f64),
        Box { sides: [f64; 2] },
        Line(f64, f64),
    }

    fn found(value: &impl Serialize) -> String {
        check(value).unwrap_err().to_string()
    }

    #[test]
    fn what_json_does_not_have_is_found_at_its_place() {
        assert_eq!(found(&f64::NAN), "NaN, which JSON does not have");
        assert_eq!(found(&f32::INFINITY), "an infinite number, which JSON does not have");
        assert_eq!(found(&[Some(1.0), None, Some(f64::NAN)]), "NaN at [2], which JSON does not have");
        let deep = BTreeMap::from([("a", vec![BTreeMap::from([(7, f64::NAN)])])]);
        assert_eq!(found(&deep), "NaN at a[0].7, which JSON does not have");
        assert_eq!(found(&Shape::Circle(f64::NAN)), "NaN at Circle, which JSON does not have");
        assert_eq!(
            found(&[Shape::Box { sides: [0.0, f64::NAN] }]),
            "NaN at [0].Box.sides[1], which JSON does not have"
        );
        assert_eq!(found(&Shape::Line(0.0, f64::NAN)), "NaN at Line[1], which JSON does not have");
    }

    /// A key as a user may have one: not all of it is in its text.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Name(&'static str, u8);

    impl Serialize for Name {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.0)
        }
    }

    #[test]
    fn a_key_twice_is_found() {
        let map = BTreeMap::from([(Name("x", 1), 1), (Name("x", 2), 2)]);
        assert_eq!(found(&map), "the key \"x\" twice in one object");
        assert_eq!(found(&(1, map)), "the key \"x\" twice in one object at [1]");

        #[derive(Serialize)]
        struct Outer {
            id: u8,
            #[serde(flatten)]
            more: BTreeMap<&'static str, u8>,
        }
        assert_eq!(found(&Outer { id: 1, more: [("id", 2)].into() }), "the key \"id\" twice in one object");
    }

    #[test]
    fn what_is_fine_is_left_alone() {
        let map = BTreeMap::from([(Some('a'), (1u128, i128::MIN, "x", ())), (Some('b'), (2, 3, "y", ()))]);
        check(&map).unwrap();
        check(&serde_json::json!({"a": [1.5, null, {"b": true}], "c": {"a": 1}})).unwrap();
        check(&[BTreeMap::from([(true, 1.0)]), BTreeMap::new()]).unwrap();
    }
}
