//! The functions expressions may call: a line each. A receiver before the dot makes it a method.
//! Sources: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions>,
//! <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries>

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::types::Type;

/// A function for some types. A receiver is the first parameter.
#[derive(Debug)]
pub(super) struct Signature {
    pub method: bool,
    pub params: Vec<Type>,
    pub result: Type,
}

/// All functions by their names.
pub(super) static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Signature>>> = LazyLock::new(|| {
    let mut functions: HashMap<&'static str, Vec<Signature>> = HashMap::new();
    for line in STANDARD.lines().chain(LIBRARIES.lines()).map(str::trim).filter(|l| !l.is_empty()) {
        let (name, signature) = signature(line);
        functions.entry(name).or_default().push(signature);
    }
    for operator in ["_<_", "_<=_", "_>_", "_>=_"] {
        functions.insert(operator, comparisons());
    }
    functions
});

const STANDARD: &str = "
_?_:_(bool,A,A) A
_&&_(bool,bool) bool
_||_(bool,bool) bool
!_(bool) bool
_==_(A,A) bool
_!=_(A,A) bool
_+_(bytes,bytes) bytes
_+_(double,double) double
_+_(duration,duration) duration
_+_(duration,timestamp) timestamp
_+_(timestamp,duration) timestamp
_+_(int,int) int
_+_(list(A),list(A)) list(A)
_+_(string,string) string
_+_(uint,uint) uint
_-_(double,double) double
_-_(duration,duration) duration
_-_(int,int) int
_-_(timestamp,duration) timestamp
_-_(timestamp,timestamp) duration
_-_(uint,uint) uint
_*_(double,double) double
_*_(int,int) int
_*_(uint,uint) uint
_/_(double,double) double
_/_(int,int) int
_/_(uint,uint) uint
_%_(int,int) int
_%_(uint,uint) uint
-_(double) double
-_(int) int
_[_](list(A),int) A
_[_](map(A,B),A) B
_[_](opt(list(A)),int) opt(A)
_[_](opt(map(A,B)),A) opt(B)
_[?_](list(A),int) opt(A)
_[?_](map(A,B),A) opt(B)
_[?_](opt(list(A)),int) opt(A)
_[?_](opt(map(A,B)),A) opt(B)
@in(A,list(A)) bool
@in(A,map(A,B)) bool
size(string) int
size(bytes) int
size(list(A)) int
size(map(A,B)) int
string.size() int
bytes.size() int
list(A).size() int
map(A,B).size() int
type(A) type(A)
dyn(A) dyn
bool(bool) bool
bool(string) bool
bytes(bytes) bytes
bytes(string) bytes
double(double) double
double(int) double
double(string) double
double(uint) double
int(int) int
int(double) int
int(duration) int
int(string) int
int(timestamp) int
int(uint) int
uint(uint) uint
uint(double) uint
uint(int) uint
uint(string) uint
string(string) string
string(bool) string
string(bytes) string
string(double) string
string(duration) string
string(int) string
string(timestamp) string
string(uint) string
timestamp(timestamp) timestamp
timestamp(string) timestamp
timestamp(int) timestamp
duration(duration) duration
duration(string) duration
duration(int) duration
string.contains(string) bool
string.startsWith(string) bool
string.endsWith(string) bool
string.matches(string) bool
matches(string,string) bool
timestamp.getDate() int
timestamp.getDate(string) int
timestamp.getDayOfMonth() int
timestamp.getDayOfMonth(string) int
timestamp.getDayOfWeek() int
timestamp.getDayOfWeek(string) int
timestamp.getDayOfYear() int
timestamp.getDayOfYear(string) int
timestamp.getFullYear() int
timestamp.getFullYear(string) int
timestamp.getMonth() int
timestamp.getMonth(string) int
timestamp.getHours() int
timestamp.getHours(string) int
duration.getHours() int
timestamp.getMinutes() int
timestamp.getMinutes(string) int
duration.getMinutes() int
timestamp.getSeconds() int
timestamp.getSeconds(string) int
duration.getSeconds() int
timestamp.getMilliseconds() int
timestamp.getMilliseconds(string) int
duration.getMilliseconds() int
optional.of(A) opt(A)
optional.none() opt(A)
optional.ofNonZeroValue(A) opt(A)
opt(A).hasValue() bool
opt(A).value() A
opt(A).or(opt(A)) opt(A)
opt(A).orValue(A) A
";

const LIBRARIES: &str = "
string.charAt(int) string
string.indexOf(string) int
string.indexOf(string,int) int
string.lastIndexOf(string) int
string.lastIndexOf(string,int) int
string.lowerAscii() string
string.upperAscii() string
string.replace(string,string) string
string.replace(string,string,int) string
string.split(string) list(string)
string.split(string,int) list(string)
string.substring(int) string
string.substring(int,int) string
string.trim() string
string.format(list(dyn)) string
list(string).join() string
list(string).join(string) string
strings.quote(string) string
string.find(string) string
string.findAll(string) list(string)
string.findAll(string,int) list(string)
list(int).isSorted() bool
list(uint).isSorted() bool
list(double).isSorted() bool
list(bool).isSorted() bool
list(duration).isSorted() bool
list(timestamp).isSorted() bool
list(string).isSorted() bool
list(bytes).isSorted() bool
list(int).sum() int
list(uint).sum() uint
list(double).sum() double
list(duration).sum() duration
list(int).min() int
list(uint).min() uint
list(double).min() double
list(bool).min() bool
list(duration).min() duration
list(timestamp).min() timestamp
list(string).min() string
list(bytes).min() bytes
list(int).max() int
list(uint).max() uint
list(double).max() double
list(bool).max() bool
list(duration).max() duration
list(timestamp).max() timestamp
list(string).max() string
list(bytes).max() bytes
list(A).indexOf(A) int
list(A).lastIndexOf(A) int
sets.contains(list(A),list(A)) bool
sets.equivalent(list(A),list(A)) bool
sets.intersects(list(A),list(A)) bool
url(string) kubernetes.URL
isURL(string) bool
kubernetes.URL.getScheme() string
kubernetes.URL.getHost() string
kubernetes.URL.getHostname() string
kubernetes.URL.getPort() string
kubernetes.URL.getEscapedPath() string
kubernetes.URL.getQuery() map(string,list(string))
ip(string) net.IP
isIP(string) bool
ip.isCanonical(string) bool
string(net.IP) string
net.IP.family() int
net.IP.isUnspecified() bool
net.IP.isLoopback() bool
net.IP.isLinkLocalMulticast() bool
net.IP.isLinkLocalUnicast() bool
net.IP.isGlobalUnicast() bool
cidr(string) net.CIDR
isCIDR(string) bool
string(net.CIDR) string
net.CIDR.containsIP(string) bool
net.CIDR.containsIP(net.IP) bool
net.CIDR.containsCIDR(string) bool
net.CIDR.containsCIDR(net.CIDR) bool
net.CIDR.ip() net.IP
net.CIDR.masked() net.CIDR
net.CIDR.prefixLength() int
quantity(string) kubernetes.Quantity
isQuantity(string) bool
kubernetes.Quantity.sign() int
kubernetes.Quantity.isInteger() bool
kubernetes.Quantity.asInteger() int
kubernetes.Quantity.asApproximateFloat() double
kubernetes.Quantity.isGreaterThan(kubernetes.Quantity) bool
kubernetes.Quantity.isLessThan(kubernetes.Quantity) bool
kubernetes.Quantity.compareTo(kubernetes.Quantity) int
kubernetes.Quantity.add(kubernetes.Quantity) kubernetes.Quantity
kubernetes.Quantity.add(int) kubernetes.Quantity
kubernetes.Quantity.sub(kubernetes.Quantity) kubernetes.Quantity
kubernetes.Quantity.sub(int) kubernetes.Quantity
semver(string) kubernetes.Semver
semver(string,bool) kubernetes.Semver
isSemver(string) bool
isSemver(string,bool) bool
kubernetes.Semver.isGreaterThan(kubernetes.Semver) bool
kubernetes.Semver.isLessThan(kubernetes.Semver) bool
kubernetes.Semver.compareTo(kubernetes.Semver) int
kubernetes.Semver.major() int
kubernetes.Semver.minor() int
kubernetes.Semver.patch() int
format.named(string) opt(kubernetes.NamedFormat)
format.dns1123Label() kubernetes.NamedFormat
format.dns1123Subdomain() kubernetes.NamedFormat
format.dns1035Label() kubernetes.NamedFormat
format.dns1123LabelPrefix() kubernetes.NamedFormat
format.dns1123SubdomainPrefix() kubernetes.NamedFormat
format.dns1035LabelPrefix() kubernetes.NamedFormat
format.qualifiedName() kubernetes.NamedFormat
format.labelValue() kubernetes.NamedFormat
format.uri() kubernetes.NamedFormat
format.uuid() kubernetes.NamedFormat
format.byte() kubernetes.NamedFormat
format.date() kubernetes.NamedFormat
format.datetime() kubernetes.NamedFormat
kubernetes.NamedFormat.validate(string) opt(list(string))
jsonpatch.escapeKey(string) string
kubernetes.authorization.Authorizer.path(string) kubernetes.authorization.PathCheck
kubernetes.authorization.Authorizer.group(string) kubernetes.authorization.GroupCheck
kubernetes.authorization.Authorizer.serviceAccount(string,string) kubernetes.authorization.Authorizer
kubernetes.authorization.PathCheck.check(string) kubernetes.authorization.Decision
kubernetes.authorization.GroupCheck.resource(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.subresource(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.namespace(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.name(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.fieldSelector(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.labelSelector(string) kubernetes.authorization.ResourceCheck
kubernetes.authorization.ResourceCheck.check(string) kubernetes.authorization.Decision
kubernetes.authorization.Decision.allowed() bool
kubernetes.authorization.Decision.reason() string
kubernetes.authorization.Decision.errored() bool
kubernetes.authorization.Decision.error() string
";

/// Names before the dot that are namespaces of functions, not types.
const NAMESPACES: [&str; 6] = ["optional", "sets", "strings", "ip", "format", "jsonpatch"];

fn comparisons() -> Vec<Signature> {
    use Type::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    let same = [Bool, Int, Uint, Double, String, Bytes, Timestamp, Duration].map(|t| (t.clone(), t));
    let mixed = [(Int, Double), (Int, Uint), (Uint, Double), (Uint, Int), (Double, Int), (Double, Uint)];
    let all = same.into_iter().chain(mixed);
    all.map(|(a, b)| Signature { method: false, params: vec![a, b], result: Bool }).collect()
}

/// A line of the tables. They are ours, and a test reads all of them.
fn signature(line: &'static str) -> (&'static str, Signature) {
    let (head, result) = line.rsplit_once(' ').unwrap_or((line, "dyn"));
    let close = head.len() - 1;
    let open = opening(head, close);
    let (path, args) = (&head[..open], &head[open + 1..close]);
    let mut params: Vec<Type> = split(args).into_iter().map(parse).collect();
    let mut name = path;
    let mut method = false;
    // The last dot outside of brackets.
    if let Some(dot) = path.rfind('.')
        && !NAMESPACES.contains(&&path[..dot])
    {
        params.insert(0, parse(&path[..dot]));
        name = &path[dot + 1..];
        method = true;
    }
    (name, Signature { method, params, result: parse(result) })
}

/// Where the bracket opens that closes at a place.
fn opening(text: &str, close: usize) -> usize {
    let mut depth = 0;
    for (at, c) in text[..=close].char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    0
}

/// Parts between commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        parts.push(&text[from..]);
    }
    parts
}

fn parse(text: &str) -> Type {
    if let Some((head, inside)) = text.split_once('(') {
        let inside = &inside[..inside.len() - 1];
        let mut of = split(inside).into_iter().map(parse);
        let mut next = || Arc::new(of.next().unwrap_or(Type::Dyn));
        return match head {
            "list" => Type::List(next()),
            "map" => Type::Map(next(), next()),
            "opt" => Type::Optional(next()),
            _ => Type::Type(next()),
        };
    }
    match text {
        "dyn" => Type::Dyn,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        name if name.len() == 1 => Type::Param(name.chars().next().unwrap_or('A')),
        name => Type::opaque(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_meant() {
        let shown = |name: &str| -> Vec<String> {
            FUNCTIONS[name]
                .iter()
                .map(|s| {
                    let params: Vec<String> = s.params.iter().map(Type::to_string).collect();
                    format!("{} {}: {}", s.method, params.join(", "), s.result)
                })
                .collect()
        };
        assert_eq!(shown("join"), ["true list(string): string", "true list(string), string: string"]);
        assert_eq!(shown("sets.contains"), ["false list(A), list(A): bool"]);
        assert_eq!(shown("getQuery"), ["true kubernetes.URL: map(string, list(string))"]);
        assert_eq!(shown("containsCIDR")[1], "true net.CIDR, net.CIDR: bool");
        assert_eq!(shown("orValue"), ["true optional_type(A), A: A"]);
        assert_eq!(shown("_[_]")[1], "false map(A, B), A: B");
        assert_eq!(shown("_<_").len(), 14);
    }
}
