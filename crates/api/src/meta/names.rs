//! Checks of names and short texts. Each returns upstream's messages (none: valid), worded as
//! `k8s.io/apimachinery/pkg/util/validation` words them. Lengths are in bytes.

use std::net::IpAddr;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Longest label of a domain name, and longest name part of a qualified name.
pub const LABEL_BYTES_MAX: usize = 63;
/// Longest domain name.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;

/// What is wrong with a text, in upstream's words; empty where nothing is.
pub type Messages = Vec<String>;

/// Upstream's words for a text that doesn't match its pattern.
pub fn pattern_message(words: &str, pattern: &str, examples: &[&str]) -> String {
    let mut text = words.to_owned();
    text.push_str(if examples.is_empty() { " (" } else { " (e.g. " });
    for (at, example) in examples.iter().enumerate() {
        if at > 0 {
            text.push_str(" or ");
        }
        text.push_str(&format!("'{example}', "));
    }
    text.push_str(&format!("regex used for validation is '{pattern}')"));
    text
}

/// `must be between 1 and 65535, inclusive`.
pub fn range_message(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn too_many_characters(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

fn too_many_bytes(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether the text is not empty, starts and ends with bytes of `edge`, with bytes of `edge` or `inner` between.
fn framed(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    edge(first) && edge(last) && bytes.iter().all(|&byte| edge(byte) || inner(byte))
}

fn is_label(text: &str) -> bool {
    framed(text, lower_alphanumeric, |byte| byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified(text: &str) -> bool {
    framed(text, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// A label of a domain name (RFC 1123).
pub fn dns1123_label(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_many_characters(LABEL_BYTES_MAX));
    }
    if !is_label(text) {
        if is_subdomain(text) {
            messages.push("must not contain dots".into());
        } else {
            messages.push(pattern_message(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            ));
        }
    }
    messages
}

/// A domain name (RFC 1123).
pub fn dns1123_subdomain(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_many_characters(SUBDOMAIN_BYTES_MAX));
    }
    if !is_subdomain(text) {
        messages.push(pattern_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    messages
}

/// A domain name whose labels may contain underscores, also at their start (names of records, as in DNS searches).
pub fn dns1123_subdomain_with_underscore(text: &str) -> Messages {
    let label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        framed(label, lower_alphanumeric, |byte| matches!(byte, b'-' | b'_'))
    };
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_many_characters(SUBDOMAIN_BYTES_MAX));
    }
    if !text.split('.').all(label) {
        messages.push(pattern_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    messages
}

/// A label of a domain name by the older rule (RFC 1035): starts with a letter.
pub fn dns1035_label(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_many_characters(LABEL_BYTES_MAX));
    }
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        messages.push(pattern_message(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    messages
}

/// `*.` and a domain name.
pub fn wildcard_dns1123_subdomain(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_many_characters(SUBDOMAIN_BYTES_MAX));
    }
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        messages.push(pattern_message(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            &["*.example.com"],
        ));
    }
    messages
}

/// A fully qualified domain name: two labels at least.
pub fn fully_qualified_name(text: &str) -> Messages {
    if text.is_empty() {
        return vec![String::new()];
    }
    let messages = dns1123_subdomain(text);
    if !messages.is_empty() {
        return messages;
    }
    if text.split('.').count() < 3 {
        return vec!["should be a domain with at least three segments separated by dots".into()];
    }
    Vec::new()
}

/// `NAME` or `DOMAIN/NAME`: keys of labels and annotations, resource names, finalizers.
pub fn qualified_name(text: &str) -> Messages {
    let examples = &["MyName", "my.name", "123-abc"];
    let mut messages = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".into());
            } else {
                messages
                    .extend(dns1123_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                pattern_message(QUALIFIED_WORDS, QUALIFIED, examples)
            )];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".into());
    } else if name.len() > LABEL_BYTES_MAX {
        messages.push(format!("name part {}", too_many_bytes(LABEL_BYTES_MAX)));
    }
    if !is_qualified(name) {
        messages.push(format!("name part {}", pattern_message(QUALIFIED_WORDS, QUALIFIED, examples)));
    }
    messages
}

/// The value of a label.
pub fn label_value(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_many_bytes(LABEL_BYTES_MAX));
    }
    if !text.is_empty() && !is_qualified(text) {
        messages.push(pattern_message(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    messages
}

/// An identifier of C.
pub fn c_identifier(text: &str) -> Messages {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Vec::new();
    }
    vec![pattern_message(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// A segment of a path: RBAC names, and every name at last.
pub fn path_segment(text: &str) -> Messages {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|bad| text.contains(bad))
        .map(|bad| format!("may not contain '{bad}'"))
        .collect()
}

/// The number of a port.
pub fn port_number(number: i64) -> Messages {
    if (1..=65_535).contains(&number) { Vec::new() } else { vec![range_message(1, 65_535)] }
}

/// The name of a port.
pub fn port_name(text: &str) -> Messages {
    let mut messages: Messages = Vec::new();
    if text.len() > 15 {
        messages.push(too_many_characters(15));
    }
    if text.is_empty() || !text.bytes().all(|byte| lower_alphanumeric(byte) || byte == b'-') {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        messages.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        messages.push("must not begin or end with a hyphen".into());
    }
    messages
}

/// A text as path of a key below a directory must not be: `.`, `..`, or starting with `..`.
fn directory_messages(text: &str) -> Messages {
    match text {
        "." => vec!["must not be '.'".into()],
        ".." => vec!["must not be '..'".into()],
        _ if text.starts_with("..") => vec!["must not start with '..'".into()],
        _ => Vec::new(),
    }
}

/// The key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Messages {
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_many_characters(SUBDOMAIN_BYTES_MAX));
    }
    if text.is_empty()
        || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    {
        messages.push(pattern_message(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    messages.extend(directory_messages(text));
    messages
}

/// The name of an environment variable, by the strict rule (before KEP-4369).
pub fn env_name_strict(text: &str) -> Messages {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let mut messages = Vec::new();
    if !text.bytes().all(allowed) || text.bytes().next().is_none_or(|byte| byte.is_ascii_digit()) {
        messages.push(pattern_message(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    messages.extend(directory_messages(text));
    messages
}

/// The name of an environment variable: printable ASCII without `=` (KEP-4369).
pub fn env_name(text: &str) -> Messages {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

/// The name of an HTTP header.
pub fn http_header_name(text: &str) -> Messages {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![pattern_message(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A percentage: digits and `%`.
pub fn percent(text: &str) -> Messages {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![pattern_message(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// An IP address, as upstream's lenient parser of old reads it: leading zeros in IPv4 are allowed, and an IPv4
/// address that is wrapped in IPv6 is one of IPv4.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|ip: IpAddr| ip.to_canonical()).or_else(|| {
        let octets: Vec<u8> = text
            .split('.')
            .map(|part| {
                let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                if digits {
                    part.parse::<u32>().ok().and_then(|octet| u8::try_from(octet).ok())
                } else {
                    None
                }
            })
            .collect::<Option<_>>()?;
        Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?))
    })
}

/// An IP address, in a form that all software reads as the same one (KEP-4858).
pub fn ip(text: &str) -> Messages {
    if parse_ip(text).is_none() {
        return vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()];
    }
    match text.parse::<IpAddr>() {
        Err(_) => vec!["must not have leading 0s".into()],
        Ok(ip) if ip.to_canonical() != ip => vec!["must not be an IPv4-mapped IPv6 address".into()],
        Ok(_) => Vec::new(),
    }
}

/// An IP address in the one form that is usual (fields that came after KEP-4858, RFC 5952).
pub fn canonical_ip(text: &str) -> Messages {
    let messages = ip(text);
    match parse_ip(text) {
        Some(ip) if messages.is_empty() && ip.to_string() != text => {
            vec![format!("must be in canonical form (\"{ip}\")")]
        }
        _ => messages,
    }
}

/// An address and the length of its prefix, as in `10.9.8.0/24`.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (given, length) = text.split_once('/')?;
    let address = parse_ip(given)?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    let wrapped = given.contains(':') && address.is_ipv4();
    let (least, most) = match (wrapped, address) {
        (true, _) => (96, 128),
        (false, IpAddr::V4(_)) => (0, 32),
        (false, IpAddr::V6(_)) => (0, 128),
    };
    (least..=most).contains(&length).then(|| (address, length - least))
}

/// The first address of a block.
pub fn network(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// A block of addresses, in a form that all software reads as the same one (KEP-4858).
pub fn cidr(text: &str) -> Messages {
    let Some((ip, bits)) = parse_cidr(text) else {
        return vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()];
    };
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let padded = length.len() > 1 && length.starts_with('0');
    match address.parse::<IpAddr>() {
        Ok(given) if !padded && given.to_canonical() != given => {
            vec!["must not have an IPv4-mapped IPv6 address".into()]
        }
        Ok(_) if !padded && network(ip, bits) != ip => {
            vec!["must not have bits set beyond the prefix length".into()]
        }
        Ok(_) if !padded => Vec::new(),
        _ => vec!["must not have leading 0s in IP or prefix length".into()],
    }
}

/// A block of addresses in the one form that is usual (fields that came after KEP-4858, RFC 5952).
pub fn canonical_cidr(text: &str) -> Messages {
    let messages = cidr(text);
    match parse_cidr(text) {
        Some((ip, bits)) if messages.is_empty() && format!("{ip}/{bits}") != text => {
            vec![format!("must be in canonical form (\"{ip}/{bits}\")")]
        }
        _ => messages,
    }
}

/// The address of an interface with the length of its network's prefix, in the one form that is usual.
pub fn interface_address(text: &str) -> Messages {
    match parse_cidr(text) {
        None => vec!["must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)".into()],
        Some((ip, bits)) if format!("{ip}/{bits}") != text => {
            vec![format!("must be in canonical form (\"{ip}/{bits}\")")]
        }
        Some(_) => Vec::new(),
    }
}

/// What a name would look like with something behind its last dash: how prefixes (`generateName`) are checked.
pub fn mask_trailing_dash(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut rest = rest.to_owned();
            rest.pop();
            rest.push('a');
            rest
        }
        _ => prefix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_alike_by_all() {
        for (text, expected) in [
            ("10.0.0.1", vec![]),
            ("FD00::1", vec![]),
            ("10.0.0.01", vec!["must not have leading 0s"]),
            ("::ffff:10.0.0.1", vec!["must not be an IPv4-mapped IPv6 address"]),
            ("x", vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        ] {
            assert_eq!(ip(text), expected, "{text}");
        }
        for (text, expected) in [
            ("10.0.0.0/24", vec![]),
            ("0.0.0.0/0", vec![]),
            ("fd00::/64", vec![]),
            ("10.0.0.1/24", vec!["must not have bits set beyond the prefix length"]),
            ("010.0.0.0/24", vec!["must not have leading 0s in IP or prefix length"]),
            ("10.0.0.0/024", vec!["must not have leading 0s in IP or prefix length"]),
            ("::ffff:10.0.0.0/120", vec!["must not have an IPv4-mapped IPv6 address"]),
            ("10.0.0.0/33", vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
        ] {
            assert_eq!(cidr(text), expected, "{text}");
        }
    }

    #[test]
    fn labels_and_subdomains() {
        for good in ["a", "a-b", "0", "x1"] {
            assert!(dns1123_label(good).is_empty(), "{good}");
        }
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            dns1123_label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(dns1123_subdomain("a.b-c.0").is_empty());
        for bad in ["", "a..b", ".a", "a.", "a_b", "-a", "a.-b"] {
            assert_eq!(dns1123_subdomain(bad).len(), 1, "{bad}");
        }
        assert!(!dns1035_label("0a").is_empty());
        assert!(dns1035_label("a0").is_empty());
        assert!(wildcard_dns1123_subdomain("*.a.b").is_empty());
        assert!(!wildcard_dns1123_subdomain("*.").is_empty());
    }

    #[test]
    fn qualified_names_and_values() {
        for good in ["a", "A.b_c-D", "example.com/x"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        assert_eq!(qualified_name("").len(), 2);
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert!(qualified_name("a/b/c")[0].ends_with("(e.g. 'example.com/MyName')"));
        assert_eq!(qualified_name(&"k".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert!(label_value("").is_empty());
        assert!(!label_value("a b").is_empty());
        assert!(!label_value("-").is_empty());
    }

    #[test]
    fn ports_keys_and_variables() {
        assert_eq!(
            port_name("HTTP"),
            [
                "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "must contain at least one letter (a-z)"
            ]
        );
        assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
        assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
        assert!(config_key("a.b_C").is_empty());
        assert_eq!(config_key(".."), ["must not be '..'"]);
        assert!(env_name("a b").is_empty());
        assert!(!env_name("a=b").is_empty());
        assert!(!env_name_strict("1a").is_empty());
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert_eq!(path_segment("a/%"), ["may not contain '/'", "may not contain '%'"]);
    }

    #[test]
    fn addresses() {
        assert!(parse_ip("010.0.0.1").is_some(), "objects of old servers are read");
        assert!(ip("2001:db8::1").is_empty());
        assert!(!ip("10.0.0").is_empty());
        assert!(!ip("256.0.0.1").is_empty());
        assert!(cidr("10.0.0.0/8").is_empty());
        assert!(!cidr("10.0.0.0/33").is_empty());
    }

    #[test]
    fn dashes_are_masked() {
        assert_eq!(mask_trailing_dash("web-"), "wea");
        assert_eq!(mask_trailing_dash("-"), "-");
        assert_eq!(mask_trailing_dash("web"), "web");
    }
}
