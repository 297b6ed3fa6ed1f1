//! Serde for the words of `balancer-common`, which knows no serde.

/// A module for `#[serde(with = …)]` that writes and reads an enum by its word.
macro_rules! by_word {
    ($module:ident, $type:ident) => {
        pub(super) mod $module {
            use balancer_common::state::$type;
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            pub(in crate::api::types) fn serialize<S: Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(value.word())
            }

            pub(in crate::api::types) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let word = String::deserialize(deserializer)?;
                $type::from_word(&word).ok_or_else(|| {
                    let known: Vec<_> = $type::ALL.iter().map(|value| value.word()).collect();
                    D::Error::custom(format!("unknown word \"{word}\": use {}", known.join(", ")))
                })
            }
        }
    };
}

by_word!(admin, Admin);
by_word!(drain_end, DrainEnd);
by_word!(health, Health);
by_word!(proto, Proto);
