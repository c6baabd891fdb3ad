//! The headers of a frame.

/// Headers in the order in which they were written. Names may repeat; the first one is used (STOMP 1.2, "Repeated
/// Header Entries").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(String, String)>,
}

/// The memory of an entry besides its letters, in bytes.
const ENTRY: usize = size_of::<(String, String)>();

impl Headers {
    /// Creates an empty set of headers.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Appends a header. If the name exists already, the earlier entry is still the one that is used.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.push((name.into(), value.into()));
    }

    /// Makes `value` the only entry of that name, in the position of the first, or at the end.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let place = self.entries.iter().position(|(n, _)| n == name);
        let Some(place) = place else {
            self.push(name, value);
            return;
        };
        self.entries[place].1 = value.into();
        let mut index = 0;
        self.entries.retain(|(n, _)| {
            index += 1;
            index - 1 <= place || n != name
        });
    }

    /// Removes every header of that name.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(n, _)| n != name);
    }

    /// Keeps only headers whose names satisfy `passes`.
    pub fn retain(&mut self, passes: impl Fn(&str) -> bool) {
        self.entries.retain(|(name, _)| passes(name));
    }

    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// All entries in their order, repeated ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The number of entries, repeated ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory that they take, in bytes.
    pub fn weight(&self) -> usize {
        self.iter().map(|(name, value)| ENTRY + name.len() + value.len()).sum()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn trim(&mut self) {
        for (name, value) in &mut self.entries {
            *name = name.trim().to_owned();
            *value = value.trim().to_owned();
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Headers {
        Headers { entries: entries.into_iter().map(|(n, v)| (n.into(), v.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_repeated_headers_counts() {
        let headers: Headers = [("foo", "World"), ("foo", "Hello")].into_iter().collect();

        assert_eq!(headers.get("foo"), Some("World"));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn set_replaces_in_place_and_removes_repetitions() {
        let mut headers: Headers =
            [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")].into_iter().collect();

        headers.set("a", "5");
        headers.set("d", "6");

        let entries: Vec<_> = headers.iter().collect();
        assert_eq!(entries, [("a", "5"), ("b", "2"), ("c", "4"), ("d", "6")]);
    }
}
