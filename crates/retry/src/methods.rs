use std::{error::Error, fmt, sync::Arc};

/// Names of gRPC methods, and of whole services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods(Option<Arc<[Box<str>]>>);

impl Methods {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn with<M: AsRef<str>>(
        self,
        methods: impl IntoIterator<Item = M>,
    ) -> Result<Self, InvalidMethod> {
        let mut names: Vec<Box<str>> =
            self.0.iter().flat_map(|names| names.iter().cloned()).collect();
        for method in methods {
            names.push(name(method.as_ref())?.into());
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self(Some(names.into())))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this path is that of a method that is named, or is of a service that is.
    #[inline]
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.as_ref().is_some_and(|names| lookup(names, path))
    }
}

fn lookup(names: &[Box<str>], path: &str) -> bool {
    let is_named = |name: &str| names.binary_search_by(|named| (**named).cmp(name)).is_ok();
    let Some(name) = path.strip_prefix('/') else { return false };
    let service = name.split_once('/').map(|(service, _)| service);
    is_named(name) || service.is_some_and(is_named)
}

fn name(text: &str) -> Result<&str, InvalidMethod> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let mut parts = name.split('/');
    let service = parts.next().unwrap_or_default();
    let method = parts.next();
    let valid = is_name(service)
        && method.is_none_or(|method| !method.contains('.') && is_name(method))
        && parts.next().is_none();
    if valid { Ok(name) } else { Err(InvalidMethod(text.into())) }
}

fn is_name(text: &str) -> bool {
    let is_identifier = |part: &str| {
        let mut letters = part.bytes();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
    };
    text.split('.').all(is_identifier)
}

/// This is not the name of a gRPC method, nor of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMethod(Box<str>);

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "invalid method {text:?}: expected a gRPC method as package.Service/Method, or a service as \
             package.Service"
        )
    }
}

impl Error for InvalidMethod {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn methods_and_whole_services_are_found_by_the_path() {
        let methods = Methods::new().with(["/menu.Menu/Today", "shop.v1.Search"]).unwrap();
        let methods = methods.with(["Plain/Get"]).unwrap();
        for path in
            ["/menu.Menu/Today", "/shop.v1.Search/Find", "/shop.v1.Search/Next", "/Plain/Get"]
        {
            assert!(methods.contains(path), "{path}");
        }
        for path in [
            "/menu.Menu/Order",
            "/menu.Menu/Today/",
            "menu.Menu/Today",
            "/shop.v1.SearchX/Find",
            "/Plain",
            "",
            "/",
        ] {
            assert!(!methods.contains(path), "{path}");
        }
        assert!(!Methods::new().contains("/menu.Menu/Today"));
    }

    #[test]
    fn what_is_no_name_is_told() {
        for text in [
            "",
            "/",
            "menu.Menu/",
            "menu..Menu/Today",
            "a/b/c",
            "/menu.Menu/To day",
            "1a/B",
            "menu.Menu/a.b",
            "*",
        ] {
            let error = Methods::new().with([text]).unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
            assert!(error.to_string().contains("package.Service/Method"), "{error}");
        }
    }
}
