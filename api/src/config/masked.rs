//! What may be shown of a connection URL.

/// A connection URL without its password. What is no URL may hide one anywhere and is not shown at all.
pub fn masked(url: &str) -> String {
    const MASK: &str = "***";
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("postgres")) else {
        return MASK.to_owned();
    };
    let shown = match rest.rsplit_once('@') {
        Some((login, place)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{place}"),
            None => format!("{login}@{place}"),
        },
        None => rest.to_owned(),
    };
    let shown = match shown.split_once('?') {
        Some((place, options)) => {
            let mask = |option: &str| match option.split_once('=') {
                Some((name, _)) if name.contains("password") => format!("{name}={MASK}"),
                _ => option.to_owned(),
            };
            let options: Vec<String> = options.split('&').map(mask).collect();
            format!("{place}?{}", options.join("&"))
        }
        None => shown,
    };
    format!("{scheme}://{shown}")
}
