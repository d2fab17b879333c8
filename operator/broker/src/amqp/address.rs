//! Addresses of RabbitMQ, version 2: names are percent-encoded, so that a name
//! can hold any character without reaching another queue or exchange.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Address of a queue, to send to or to receive from.
pub fn queue(name: &str) -> String {
    format!("/queues/{}", encode(name))
}

/// Address of an exchange, to send to with the given routing key.
pub fn exchange(name: &str, routing_key: &str) -> String {
    if routing_key.is_empty() {
        return format!("/exchanges/{}", encode(name));
    }
    format!("/exchanges/{}/{}", encode(name), encode(routing_key))
}

/// Name of the queue whose address this is; `None` for any other address.
pub fn queue_name(address: &str) -> Option<String> {
    let encoded = address.strip_prefix("/queues/").filter(|name| !name.is_empty() && !name.contains('/'))?;
    // What follows a percent sign must be two digits: the decoder would leave it as it is.
    let is_escape = |after: &str| after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !encoded.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode_str(encoded).decode_utf8().ok().map(Cow::into_owned)
}

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(queue("orders.v1-eu_2~a"), "/queues/orders.v1-eu_2~a");
        assert_eq!(exchange("events", "order.created"), "/exchanges/events/order.created");
    }

    #[test]
    fn a_slash_or_a_percent_in_a_name_does_not_change_the_address() {
        assert_eq!(queue("a/b"), "/queues/a%2Fb");
        assert_eq!(queue("a%2Fb"), "/queues/a%252Fb");
        assert_eq!(exchange("x/y", "k #*"), "/exchanges/x%2Fy/k%20%23%2A");
    }

    #[test]
    fn only_a_queues_address_has_its_name() {
        for address in ["/exchanges/a", "/queues/", "/queues/a/b", "queues/a", "/queues/%4", "/queues/%zz", "/queues/%ff"] {
            assert_eq!(queue_name(address), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_name_comes_back_from_its_address(name in ".{1,40}") {
            prop_assert_eq!(queue_name(&queue(&name)), Some(name));
        }
    }

    #[test]
    fn names_are_utf_8() {
        assert_eq!(queue("straße"), "/queues/stra%C3%9Fe");
    }

    #[test]
    fn an_empty_routing_key_is_left_out() {
        assert_eq!(exchange("events", ""), "/exchanges/events");
    }

    proptest! {
        #[test]
        fn two_names_never_share_an_address(a in ".*", b in ".*") {
            prop_assert_eq!(queue(&a) == queue(&b), a == b);
        }

        #[test]
        fn nothing_but_the_parts_is_separated(name in ".+", key in ".+") {
            prop_assert_eq!(exchange(&name, &key).split('/').count(), 4);
        }
    }
}
