//! Metadata without the record of who wrote what, which is long, and read by few: it stays text.

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ObjectMeta;
use super::peek::Name;

/// Where the record is in an object's metadata.
pub(super) const RECORD: &str = "managedFields";

/// Metadata, and the record as JSON.
pub(super) struct Apart<'a> {
    pub(super) meta: ObjectMeta,
    pub(super) record: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Apart<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ApartVisitor;

        impl<'de> Visitor<'de> for ApartVisitor {
            type Value = Apart<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let mut record = None;
                let rest = Rest {
                    map,
                    record: &mut record,
                };
                let meta = ObjectMeta::deserialize(MapAccessDeserializer::new(rest))?;
                Ok(Apart { meta, record })
            }
        }

        deserializer.deserialize_map(ApartVisitor)
    }
}

/// A map from which the record is taken on the way.
struct Rest<'r, 'de, A> {
    map: A,
    record: &'r mut Option<&'de RawValue>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Name(name)) = self.map.next_key()? {
            if name != RECORD {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            if self.record.replace(self.map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(RECORD));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
