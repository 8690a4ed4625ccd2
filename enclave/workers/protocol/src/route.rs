//! Routes: which worker answers a path below `/w`.
//!
//! A route is a path whose parts are text, `:name` (one part, not empty) or, at its end, text and `*` (anything, slashes
//! too). All else stands for itself: nothing in a route is a pattern of another language. Matching reads each byte of the
//! path a bounded number of times.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use thiserror::Error;

/// Longest route, in bytes as they are matched.
pub const MAX_ROUTE: usize = 1024;
/// Most parts of a route.
pub const MAX_ROUTE_PARTS: usize = 64;

/// Why text isn't a route.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// Doesn't start with `/`.
    #[error("route {0:?} doesn't start with /")]
    Relative(String),
    /// Longer than [`MAX_ROUTE`], or of more than [`MAX_ROUTE_PARTS`] parts.
    #[error("a route has at most {MAX_ROUTE} bytes and {MAX_ROUTE_PARTS} parts")]
    TooLong,
    /// Has what no request's path has.
    #[error("route {0:?} has a part that no path has: ?, #, a control character, an empty part, . or ..")]
    Path(String),
    /// `:` with something that is no name.
    #[error("route {0:?} has a parameter without a name of letters, digits and _, or a name twice")]
    Parameter(String),
    /// `*` anywhere but at the end.
    #[error("route {0:?} has a * that isn't at its end")]
    Wildcard(String),
}

impl RouteError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "route_invalid"
    }
}

/// What paths a worker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    text: String,
    parts: Vec<Part>,
    /// What must start the rest, if there is a `*`.
    rest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

impl Route {
    /// Reads a route. `*` alone is `/*`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let shown = || text.chars().take(MAX_ROUTE).collect::<String>();
        let whole = if text == "*" { "/*" } else { text };
        let path = whole
            .strip_prefix('/')
            .ok_or_else(|| RouteError::Relative(shown()))?;
        if whole.len() > MAX_ROUTE {
            return Err(RouteError::TooLong);
        }
        let (path, rest) = match path.strip_suffix('*') {
            Some(path) => match path.rsplit_once('/') {
                Some((path, rest)) => (Some(path), Some(rest)),
                None => (None, Some(path)),
            },
            None => (Some(path), None),
        };
        let all = || path.into_iter().flat_map(|path| path.split('/'));
        let count = all().count();
        if all().chain(rest).any(|part| part.contains('*')) {
            return Err(RouteError::Wildcard(shown()));
        }
        // The end of a path may be empty: `/` and `/a/` are paths.
        let empty = |(i, part): (usize, &str)| part.is_empty() && (i + 1 < count || rest.is_some());
        if all().enumerate().any(empty) || all().any(|part| matches!(part, "." | "..")) {
            return Err(RouteError::Path(shown()));
        }
        if text.contains(|c: char| c.is_control() || "?#\\".contains(c)) {
            return Err(RouteError::Path(shown()));
        }
        let parts = all().map(Part::parse).collect::<Option<Vec<_>>>();
        let parts = parts.ok_or_else(|| RouteError::Parameter(shown()))?;
        let mut names: Vec<_> = parts.iter().filter_map(Part::name).collect();
        names.sort_unstable();
        if rest.is_some_and(|rest| rest.starts_with(':')) || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(RouteError::Parameter(shown()));
        }
        let route = Self {
            text: whole.to_owned(),
            parts,
            rest: rest.map(encode),
        };
        if route.shape().len() > MAX_ROUTE || route.parts.len() > MAX_ROUTE_PARTS {
            return Err(RouteError::TooLong);
        }
        Ok(route)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the parameters' names, and percent-encoded: routes of the same shape match the same paths.
    pub fn shape(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Parameter(_) => ":",
        });
        let rest = self.rest.as_ref().map(|rest| format!("{rest}*"));
        parts
            .chain(rest.as_deref())
            .map(|part| format!("/{part}"))
            .collect()
    }

    /// The parameters' names and values if `path` matches: the path of a parsed URL, so percent-encoded, without the
    /// query. Values stay encoded.
    pub fn matches<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut left = Some(path.strip_prefix('/')?);
        let mut found = Vec::new();
        for part in &self.parts {
            let (value, after) = first_part(left?);
            left = after;
            match part {
                Part::Text(text) if text == value => {}
                Part::Parameter(name) if !value.is_empty() => found.push((name.as_str(), value)),
                _ => return None,
            }
        }
        match (&self.rest, left) {
            (None, None) => Some(found),
            (Some(start), Some(left)) => left.starts_with(start.as_str()).then_some(found),
            _ => None,
        }
    }
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let Some(name) = text.strip_prefix(':') else {
            return Some(Part::Text(encode(text)));
        };
        let first = name.bytes().next()?;
        let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (fits && !first.is_ascii_digit()).then(|| Part::Parameter(name.to_owned()))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Part::Text(_) => None,
            Part::Parameter(name) => Some(name),
        }
    }
}

/// The first part of a path without its leading slash, and what follows the next slash.
fn first_part(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((part, left)) => (part, Some(left)),
        None => (path, None),
    }
}

/// As a URL's path has it: the path percent-encode set of the URL standard.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"#<>?^`{}".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Routes of many workers. Of those that match a path the most exact one is found: one without `*` before one with; then,
/// from the left, text before a parameter; then the `*` after more parts, then the one after more text.
#[derive(Debug, Clone)]
pub struct RouteTable<T> {
    root: Node<T>,
}

#[derive(Debug, Clone)]
struct Node<T> {
    texts: BTreeMap<String, Node<T>>,
    parameter: Option<Box<Node<T>>>,
    here: Option<T>,
    rests: BTreeMap<String, T>,
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self { root: Node::new() }
    }
}

impl<T> RouteTable<T> {
    /// Without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    ///
    /// # Errors
    /// The value of the route of the same [shape](Route::shape) that is there; it stays.
    pub fn insert(&mut self, route: &Route, value: T) -> Result<(), &T> {
        let mut node = &mut self.root;
        for part in &route.parts {
            node = match part {
                Part::Text(text) => node.texts.entry(text.clone()).or_insert_with(Node::new),
                Part::Parameter(_) => node.parameter.get_or_insert_with(|| Box::new(Node::new())),
            };
        }
        match &route.rest {
            None => match &mut node.here {
                Some(there) => Err(there),
                here => {
                    *here = Some(value);
                    Ok(())
                }
            },
            Some(rest) => match node.rests.entry(rest.clone()) {
                Entry::Occupied(there) => Err(there.into_mut()),
                Entry::Vacant(here) => {
                    here.insert(value);
                    Ok(())
                }
            },
        }
    }

    /// The value of the route of the same shape.
    pub fn get(&self, route: &Route) -> Option<&T> {
        let mut node = &self.root;
        for part in &route.parts {
            node = match part {
                Part::Text(text) => node.texts.get(text)?,
                Part::Parameter(_) => node.parameter.as_deref()?,
            };
        }
        match &route.rest {
            None => node.here.as_ref(),
            Some(rest) => node.rests.get(rest),
        }
    }

    /// Takes the route of the same shape away.
    pub fn remove(&mut self, route: &Route) -> Option<T> {
        self.root.remove(&route.parts, route.rest.as_deref())
    }

    /// The value of the most exact route that matches `path`, as [`Route::matches`] takes it.
    pub fn find(&self, path: &str) -> Option<&T> {
        let path = path.strip_prefix('/')?;
        self.root
            .whole(Some(path))
            .or_else(|| self.root.start(Some(path)))
    }
}

impl<T> Node<T> {
    fn new() -> Self {
        Self {
            texts: BTreeMap::new(),
            parameter: None,
            here: None,
            rests: BTreeMap::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.parameter.is_none() && self.here.is_none() && self.rests.is_empty()
    }

    /// By depth first: as deep as a route has parts.
    fn remove(&mut self, parts: &[Part], rest: Option<&str>) -> Option<T> {
        let Some((part, parts)) = parts.split_first() else {
            return match rest {
                None => self.here.take(),
                Some(rest) => self.rests.remove(rest),
            };
        };
        match part {
            Part::Text(text) => {
                let node = self.texts.get_mut(text)?;
                let removed = node.remove(parts, rest);
                if node.is_empty() {
                    self.texts.remove(text);
                }
                removed
            }
            Part::Parameter(_) => {
                let node = self.parameter.as_mut()?;
                let removed = node.remove(parts, rest);
                if node.is_empty() {
                    self.parameter = None;
                }
                removed
            }
        }
    }

    /// Nodes below this one that have the next part: each is looked at once for a path.
    fn next<'a>(&'a self, part: &str) -> impl Iterator<Item = &'a Node<T>> {
        let parameter = self.parameter.as_deref().filter(|_| !part.is_empty());
        self.texts.get(part).into_iter().chain(parameter)
    }

    fn whole(&self, left: Option<&str>) -> Option<&T> {
        let Some(left) = left else {
            return self.here.as_ref();
        };
        let (part, after) = first_part(left);
        self.next(part).find_map(|node| node.whole(after))
    }

    fn start(&self, left: Option<&str>) -> Option<&T> {
        let left = left?;
        let (part, after) = first_part(left);
        let deeper = self.next(part).find_map(|node| node.start(after));
        deeper.or_else(|| {
            // The longest start in the tree: those that start `left` lie before it, the longest last.
            let mut before = self
                .rests
                .range::<str, _>((Bound::Unbounded, Bound::Included(left)));
            let longest = before.rfind(|(start, _)| left.starts_with(start.as_str()));
            longest.map(|(_, value)| value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(route: &str, path: &str) -> Option<String> {
        let route = Route::parse(route).unwrap();
        let found = route.matches(path)?;
        Some(
            found
                .iter()
                .map(|(name, value)| format!("{name}={value} "))
                .collect(),
        )
    }

    #[test]
    fn text_stands_for_itself() {
        assert!(parameters("/", "/").is_some());
        assert!(parameters("/esc.pe", "/esc.pe").is_some());
        assert!(parameters("/esc.pe", "/escXpe").is_none());
        assert!(parameters("/(a+)+$", "/(a+)+$").is_some());
        assert!(parameters("/(a+)+$", "/aaaa").is_none());
        assert!(parameters("/a/", "/a").is_none() && parameters("/a", "/a/").is_none());
        assert!(parameters("/a", "/A").is_none() && parameters("/a", "a").is_none());
        assert!(parameters("/für {x}", "/f%C3%BCr%20%7Bx%7D").is_some());
    }

    #[test]
    fn parameters_are_one_part() {
        assert_eq!(
            parameters("/users/:id/:tab_2", "/users/7/%2F").unwrap(),
            "id=7 tab_2=%2F "
        );
        assert!(parameters("/users/:id", "/users/").is_none());
        assert!(parameters("/users/:id", "/users/7/8").is_none());
        assert!(parameters("/users/:id", "/users/7/").is_none());
    }

    #[test]
    fn an_asterisk_is_the_rest() {
        assert!(parameters("/api/*", "/api/").is_some() && parameters("/api/*", "/api/a/b").is_some());
        assert!(parameters("/api/*", "/api").is_none());
        assert!(parameters("/api*", "/api").is_some() && parameters("/api*", "/apis/x").is_some());
        assert_eq!(parameters("/:a/x*", "/1/xy/z").unwrap(), "a=1 ");
        assert!(parameters("*", "/").is_some() && parameters("*", "/any/thing").is_some());
    }

    #[test]
    fn what_is_no_route_is_refused() {
        let long = format!("/{}", "a".repeat(MAX_ROUTE));
        let deep = "/a".repeat(MAX_ROUTE_PARTS + 1);
        type IsRight = fn(&RouteError) -> bool;
        let cases: [(&str, IsRight); 18] = [
            ("", |e| matches!(e, RouteError::Relative(_))),
            ("a", |e| matches!(e, RouteError::Relative(_))),
            ("**", |e| matches!(e, RouteError::Relative(_))),
            ("/a*b", |e| matches!(e, RouteError::Wildcard(_))),
            ("/*/a", |e| matches!(e, RouteError::Wildcard(_))),
            ("/**", |e| matches!(e, RouteError::Wildcard(_))),
            ("/a//b", |e| matches!(e, RouteError::Path(_))),
            ("//*", |e| matches!(e, RouteError::Path(_))),
            ("/a/../b", |e| matches!(e, RouteError::Path(_))),
            ("/a?b", |e| matches!(e, RouteError::Path(_))),
            ("/a#b", |e| matches!(e, RouteError::Path(_))),
            ("/a\nb", |e| matches!(e, RouteError::Path(_))),
            ("/:", |e| matches!(e, RouteError::Parameter(_))),
            ("/:a-b", |e| matches!(e, RouteError::Parameter(_))),
            ("/:a/:a", |e| matches!(e, RouteError::Parameter(_))),
            ("/:a*", |e| matches!(e, RouteError::Parameter(_))),
            (&long, |e| matches!(e, RouteError::TooLong)),
            (&deep, |e| matches!(e, RouteError::TooLong)),
        ];
        for (text, expected) in cases {
            let error = Route::parse(text).unwrap_err();
            assert!(expected(&error), "{text}: {error:?}");
            assert_eq!(error.code(), "route_invalid");
        }
    }

    #[test]
    fn the_most_exact_route_is_found() {
        let mut table = RouteTable::new();
        let routes = [
            "*", "/a/*", "/a/b*", "/a/bc*", "/:x/b", "/a/:y", "/a/b", "/:x/:y", "/:x/c/*",
        ];
        for text in routes {
            table.insert(&Route::parse(text).unwrap(), text).unwrap();
        }
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/z/b", "/:x/b"),
            ("/a/z", "/a/:y"),
            ("/y/z", "/:x/:y"),
            ("/a/b/c", "/a/b*"),
            ("/a/bcd/e", "/a/bc*"),
            ("/a/bd/e", "/a/b*"),
            ("/a/c/d", "/a/*"),
            ("/z/c/d", "/:x/c/*"),
            ("/a/d/e", "/a/*"),
            ("/a/", "/a/*"),
            ("/", "*"),
        ] {
            assert_eq!(table.find(path).copied(), Some(expected), "{path}");
        }
        assert_eq!(table.find("a"), None);
    }

    #[test]
    fn routes_of_one_shape_are_one_place() {
        let route = |text| Route::parse(text).unwrap();
        let mut table = RouteTable::new();
        table.insert(&route("/:a/x*"), 1).unwrap();
        assert_eq!(table.insert(&route("/:b/x*"), 2), Err(&1));
        assert_eq!(table.get(&route("/:b/x*")), Some(&1));
        assert_eq!(
            (route("/:a/x*").shape(), route("/ü").shape()),
            ("/:/x*".into(), "/%C3%BC".into())
        );
        assert_eq!(table.remove(&route("/:c/x*")), Some(1));
        assert_eq!(table.remove(&route("/:c/x*")), None);
        assert_eq!(table.find("/1/xy"), None);
        assert!(table.root.is_empty());
    }
}
