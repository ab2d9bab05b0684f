//! Index values: a type tag and bytes that compare as the values do, the same on every engine, without any database's collation.
//!
//! This encoding is stored and cannot change: `00` null, `10` bool, `20` whole number (sign bit flipped), `30` number (total order),
//! `40` time (microseconds, sign bit flipped), `50` text (NFC, lowercase, cut at 256 bytes). Big-endian throughout.

use serde_json::Value;
use steward_base::Timestamp;
use steward_base::filter::fold;

use crate::kind::ValueType;

pub(crate) const NULL: &[u8] = &[0x00];
const BOOL: u8 = 0x10;
const INT: u8 = 0x20;
const FLOAT: u8 = 0x30;
const TIME: u8 = 0x40;
const TEXT: u8 = 0x50;
/// Text whose unique key is a digest, since a cut would refuse texts that only begin alike.
const DIGEST: u8 = 0x51;

pub(crate) const MAX_TEXT: usize = 256;

/// The index value of a scalar; `None` when it is not of the type.
pub(crate) fn encode(value_type: ValueType, scalar: &Value) -> Option<Vec<u8>> {
    Some(match (value_type, scalar) {
        (ValueType::Bool, Value::Bool(value)) => vec![BOOL, u8::from(*value)],
        (ValueType::Int, Value::Number(number)) => int(number.as_i64()?),
        (ValueType::Float, Value::Number(number)) => float(number.as_f64()?),
        (ValueType::Time, Value::String(written)) => time(written.parse().ok()?),
        (ValueType::Text, Value::String(written)) => text(written),
        _ => return None,
    })
}

/// The unique key of a scalar: its index value, except that long text is never cut.
pub(crate) fn unique(value_type: ValueType, scalar: &Value) -> Option<Vec<u8>> {
    let (ValueType::Text, Value::String(written)) = (value_type, scalar) else { return encode(value_type, scalar) };
    let folded = fold(written);
    if folded.len() <= MAX_TEXT {
        return Some(tagged(TEXT, folded.as_bytes()));
    }
    Some(tagged(DIGEST, aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, folded.as_bytes()).as_ref()))
}

pub(crate) fn int(value: i64) -> Vec<u8> {
    tagged(INT, &ordered_i64(value))
}

pub(crate) fn float(value: f64) -> Vec<u8> {
    let bits = value.to_bits();
    // IEEE 754 total order: negative numbers sort by all bits reversed, the others after them.
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    tagged(FLOAT, &ordered.to_be_bytes())
}

pub(crate) fn bool(value: bool) -> Vec<u8> {
    vec![BOOL, u8::from(value)]
}

pub(crate) fn time(value: Timestamp) -> Vec<u8> {
    tagged(TIME, &ordered_i64(value.micros()))
}

/// The microseconds of a time's index value; `None` for any other.
pub(crate) fn micros(value: &[u8]) -> Option<i64> {
    let (tag, bytes) = value.split_first()?;
    let bytes: [u8; 8] = bytes.try_into().ok()?;
    (*tag == TIME).then(|| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

pub(crate) fn text(written: &str) -> Vec<u8> {
    let folded = fold(written);
    tagged(TEXT, &folded.as_bytes()[..cut(&folded)])
}

fn cut(folded: &str) -> usize {
    if folded.len() <= MAX_TEXT { folded.len() } else { folded.floor_char_boundary(MAX_TEXT) }
}

fn ordered_i64(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + bytes.len());
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Stored: whoever changes this must rebuild every index there is.
    #[test]
    fn the_encoding_stands() {
        let encoded = |value_type, scalar: Value| encode(value_type, &scalar).expect("is of the type");
        assert_eq!(encoded(ValueType::Bool, json!(true)), [0x10, 1]);
        assert_eq!(encoded(ValueType::Int, json!(-1)), [0x20, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(encoded(ValueType::Float, json!(1.5)), [0x30, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(ValueType::Float, json!(-1.5)), [0x30, 0x40, 0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(encoded(ValueType::Time, json!("1970-01-01T00:00:00.000002Z")), [0x40, 0x80, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(encoded(ValueType::Text, json!("E\u{301}a")), [&[0x50][..], "éa".as_bytes()].concat());
        assert_eq!(encode(ValueType::Int, &json!("1")), None);
    }

    #[test]
    fn long_text_is_cut_in_the_index_and_whole_in_a_unique_key() {
        let long = |end: &str| json!(format!("{}ü{end}", "x".repeat(255)));
        let index = encode(ValueType::Text, &long("1")).expect("is text");
        assert_eq!(index.len(), 256, "the tag and 255 bytes: a character is not cut in two");
        assert_eq!(Some(index), encode(ValueType::Text, &long("2")));
        assert_ne!(unique(ValueType::Text, &long("1")), unique(ValueType::Text, &long("2")));
        assert_eq!(unique(ValueType::Text, &long("A")), unique(ValueType::Text, &long("a")));
    }

    proptest! {
        #[test]
        fn bytes_compare_as_values_do(a: i64, b: i64, x in -1e15..1e15f64, y in -1e15..1e15f64, s in "\\PC{0,40}", t in "\\PC{0,40}") {
            prop_assert_eq!(int(a).cmp(&int(b)), a.cmp(&b));
            let at = Timestamp::from_micros(a);
            prop_assert_eq!((micros(&time(at)), micros(&int(a))), (Some(at.micros()), None));
            prop_assert_eq!(float(x).cmp(&float(y)), x.total_cmp(&y));
            prop_assert_eq!(text(&s).cmp(&text(&t)), fold(&s).cmp(&fold(&t)));
            prop_assert!(NULL < bool(false).as_slice());
        }
    }
}
