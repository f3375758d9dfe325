//! Names of images, brought to the form that docker and containerd use.

use crate::{Result, RuntimeError};

/// The registry of names that have none.
const DOMAIN_DEFAULT: &str = "docker.io";

/// A name in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Registry and repository, for instance `docker.io/library/busybox`.
    pub repository: String,
    /// Tag; `latest` if neither tag nor digest were given.
    pub tag: Option<String>,
    /// Digest, `sha256:...`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a name as people write it.
    pub fn parse(name: &str) -> Result<Self> {
        let bad = |message: &str| RuntimeError::InvalidImageName {
            name: name.to_owned(),
            message: message.to_owned(),
        };
        if name.is_empty() {
            return Err(bad("repository name must have at least one component"));
        }
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("invalid reference format"));
        }
        let (path, tag) = match rest.rsplit_once(':') {
            // A colon before a slash is a port.
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("invalid reference format"));
        }
        let (domain, path) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOMAIN_DEFAULT, path),
        };
        let domain = if domain == "index.docker.io" { DOMAIN_DEFAULT } else { domain };
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(bad("invalid reference format: repository name must be lowercase"));
        }
        if !path.split('/').all(is_component) || path.len() > 255 || !is_domain(domain) {
            return Err(bad("invalid reference format"));
        }
        let official = domain == DOMAIN_DEFAULT && !path.contains('/');
        let repository = format!("{domain}/{}{path}", if official { "library/" } else { "" });
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference { repository, tag, digest: digest.map(str::to_owned) })
    }

    /// `repository:tag`, if it has a tag.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.repository))
    }

    /// `repository@digest`, if it has a digest.
    pub fn digested(&self) -> Option<String> {
        self.digest.as_ref().map(|digest| format!("{}@{digest}", self.repository))
    }
}

/// Whether this is `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Lower-case words joined by `.`, `_`, `__` or hyphens.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').unwrap_or((domain, "0"));
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        for (name, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("team/app", "docker.io/team/app:latest"),
            ("index.docker.io/team/app", "docker.io/team/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("registry.k8s.io/e2e-test-images/agnhost:2.53", "registry.k8s.io/e2e-test-images/agnhost:2.53"),
            ("registry.k8s.io/pause", "registry.k8s.io/pause:latest"),
        ] {
            assert_eq!(Reference::parse(name).unwrap().tagged().as_deref(), Some(full), "{name}");
        }
        let digest = format!("sha256:{}", "a".repeat(64));
        let both = Reference::parse(&format!("app:v1@{digest}")).unwrap();
        assert_eq!(both.tag.as_deref(), Some("v1"));
        assert_eq!(both.digested(), Some(format!("docker.io/library/app@{digest}")));
        assert_eq!(Reference::parse(&format!("app@{digest}")).unwrap().tagged(), None);
    }

    #[test]
    fn bad_names_are_refused() {
        for name in
            ["", "Busybox", "a b", "app:", "app:-x", "-app", "a//b", "app@sha256:12", "a..b", "x.y:zz/app"]
        {
            assert!(matches!(Reference::parse(name), Err(RuntimeError::InvalidImageName { .. })), "{name}");
        }
    }
}
