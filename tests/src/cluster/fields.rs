//! Header fields as Java reads them, where that is not how a client does.

use rocketmq_core::wire::ExtFields;

/// A boolean: `true` in any case, and false for every other text; `None` when there is no such field.
pub(crate) fn flag(ext: &ExtFields, key: &str) -> Option<bool> {
    ext.get(key).map(|text| text.eq_ignore_ascii_case("true"))
}
