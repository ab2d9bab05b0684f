//! A look at an OTLP body before it is decoded: a record of two bytes becomes a struct of some hundred, so the structs are counted first.

use steward_base::{Error, ErrorKind, Result};

/// The most messages of one request, nested ones counted. A batch of 10,000 records with 20 attributes each has 400,000.
const MESSAGES: usize = 2_000_000;
/// Log records and metrics with all that is in them lie at most so deep; deeper values are the decoder's to refuse.
const DEPTH: usize = 16;

/// Fails with `batch_too_large` when decoding would make more messages than a request may have.
///
/// In protobuf every field with a length is counted and looked into as if it were a message: text that happens to read as one only makes the
/// count higher. In JSON every brace counts.
pub(super) fn bounded(body: &[u8]) -> Result<()> {
    let braces = body.iter().filter(|byte| **byte == b'{').take(MESSAGES + 1).count();
    let mut left = MESSAGES;
    if braces <= MESSAGES && (body.trim_ascii_start().first() == Some(&b'{') || count(body, DEPTH, &mut left).is_some()) {
        return Ok(());
    }
    let detail = format!("A request may hold {MESSAGES} messages. Send less at once.");
    Err(Error::new(ErrorKind::TooLarge, "batch_too_large", detail))
}

/// Takes the messages of `bytes` off `left`; `None` when there are more. What is no protobuf ends the look: decoding says what is wrong.
fn count(mut bytes: &[u8], depth: usize, left: &mut usize) -> Option<()> {
    while !bytes.is_empty() {
        let Some((tag, rest)) = varint(bytes) else { return Some(()) };
        bytes = match tag & 7 {
            0 => match varint(rest) {
                Some((_, rest)) => rest,
                None => return Some(()),
            },
            1 if rest.len() >= 8 => &rest[8..],
            5 if rest.len() >= 4 => &rest[4..],
            2 => {
                let Some((length, rest)) = varint(rest) else { return Some(()) };
                let Some((inside, rest)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
                    return Some(());
                };
                *left = left.checked_sub(1)?;
                if depth > 0 {
                    count(inside, depth - 1, left)?;
                }
                rest
            }
            _ => return Some(()),
        };
    }
    Some(())
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of two bytes: tag and a length of zero, each an empty message.
    #[test]
    fn a_small_body_of_many_messages_is_refused_before_it_is_decoded() {
        let many = [0x12, 0x00].repeat(MESSAGES + 1);
        assert_eq!(bounded(&many).expect_err("is refused").code(), "batch_too_large");
        bounded(&many[2..]).expect("just fits");
        assert!(bounded(&b"{".repeat(MESSAGES + 1)).is_err());
    }

    #[test]
    fn no_body_can_make_the_look_fail_or_run_deep() {
        let mut nested = Vec::new();
        for _ in 0..64 {
            let mut outer = vec![0x0a, u8::try_from(nested.len() & 0x7f).expect("fits")];
            outer.extend_from_slice(&nested);
            nested = outer;
        }
        for body in [&[][..], &[0xff; 40], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &[0x09, 0x01], &nested] {
            bounded(body).expect("is left to the decoder");
        }
    }
}
