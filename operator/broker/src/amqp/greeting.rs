//! What the broker said while a connection was being opened.
//!
//! A broker that refuses (no such virtual host, no permission for it) says why in a
//! close frame and hangs up. fe2o3-amqp 0.18 answers that frame first, fails at it,
//! and reports a broken pipe. So the bytes are kept until the connection is open, and
//! the reason is read from them.

use fe2o3_amqp_types::{definitions, performatives::Close};

/// More than any exchange of headers, SASL and open takes.
pub(super) const LIMIT: usize = 16 * 1024;

const PROTOCOL_HEADER: usize = 8;
const FRAME_HEADER: usize = 8;

/// Finds the error of the close frame in the bytes read from the peer.
pub(super) fn close_error(mut bytes: &[u8]) -> Option<definitions::Error> {
    loop {
        if bytes.starts_with(b"AMQP") {
            bytes = bytes.get(PROTOCOL_HEADER..)?;
            continue;
        }
        let [s0, s1, s2, s3, data_offset, kind, ..] = *bytes else { return None };
        let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok()?;
        let frame = bytes.get(..size).filter(|frame| frame.len() >= FRAME_HEADER)?;
        if kind == 0
            && let Some(body) = frame.get(usize::from(data_offset) * 4..)
            && let Ok(Close { error: Some(error) }) = serde_amqp::from_slice(body)
        {
            return Some(error);
        }
        bytes = bytes.get(size..)?;
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::definitions::AmqpError;
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + FRAME_HEADER).unwrap();
        [&size.to_be_bytes()[..], &[2, kind, 0, 0], body].concat()
    }

    fn close(error: Option<definitions::Error>) -> Vec<u8> {
        frame(0, &serde_amqp::to_vec(&Close { error }).unwrap())
    }

    fn refusal() -> definitions::Error {
        definitions::Error::new(AmqpError::UnauthorizedAccess, Some("no such virtual host".to_owned()), None)
    }

    #[test]
    fn the_reason_is_found_behind_headers_sasl_and_empty_frames() {
        let bytes =
            [b"AMQP\x03\x01\x00\x00", &frame(1, b"sasl")[..], b"AMQP\x00\x01\x00\x00", &frame(0, b""), &close(Some(refusal()))];
        assert_eq!(close_error(&bytes.concat()), Some(refusal()));
    }

    #[test]
    fn no_reason_no_error() {
        assert_eq!(close_error(&close(None)), None);
        assert_eq!(close_error(b""), None);
        assert_eq!(close_error(b"HTTP/1.1 400 Bad Request\r\n"), None);
        let whole = close(Some(refusal()));
        assert_eq!(close_error(&whole[..whole.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = close_error(&bytes);
        }

        #[test]
        fn no_frame_makes_it_fail(kind in 0_u8..2, body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = close_error(&frame(kind, &body));
        }
    }
}
