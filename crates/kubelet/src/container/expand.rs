//! `$(NAME)` in commands, arguments and environment values.
//! Source: <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>

/// Replaces `$(NAME)` where `lookup` knows the name; `$$` is a dollar sign; everything else stays.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('(')
            && let Some(end) = inner.find(')')
        {
            let name = &inner[..end];
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&rest[dollar..=dollar + 2 + end]),
            }
            rest = &inner[end + 1..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn known_names_are_replaced() {
        let lookup = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, expected) in [
            ("$(A)x", "1x"),
            ("$$(A)", "$(A)"),
            ("$(B)", "$(B)"),
            ("a$", "a$"),
            ("$(A", "$(A"),
            ("$A $(A)$(A)", "$A 11"),
            ("$$$$", "$$"),
        ] {
            assert_eq!(expand(text, &lookup), expected, "{text}");
        }
    }
}
