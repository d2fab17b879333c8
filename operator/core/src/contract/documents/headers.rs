//! What HTTP says of a version that ends: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and where to go.

use jiff::Timestamp;

use super::offer::Offered;

/// Names and values of headers for a document of one version. `successor` is where the document of its successor is. Nothing for a
/// version that does not end.
pub fn headers(offered: &Offered<'_>, successor: Option<&str>) -> Vec<(&'static str, String)> {
    if !offered.is_ending() {
        return Vec::new();
    }
    let deprecated = offered.deprecated_at.map(|at| ("deprecation", format!("@{}", at.as_second())));
    let sunset = offered.sunset_at.map(|at| ("sunset", http_date(at)));
    let link = successor.map(|place| ("link", format!("<{place}>; rel=\"successor-version\"")));
    [deprecated, sunset, link].into_iter().flatten().collect()
}

/// A date as RFC 9110 writes it, in whole seconds; of a part of a second the later, as nothing may end early.
fn http_date(at: Timestamp) -> String {
    let whole = if at.subsec_nanosecond() > 0 { at.as_second() + 1 } else { at.as_second() };
    Timestamp::from_second(whole).unwrap_or(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_http_writes_them() {
        let at = |text: &str| http_date(text.parse().unwrap());
        assert_eq!(at("2026-11-06T08:49:37Z"), "Fri, 06 Nov 2026 08:49:37 GMT");
        assert_eq!(at("2026-12-31T23:59:59.5Z"), "Fri, 01 Jan 2027 00:00:00 GMT");
    }
}
