//! Normalizes text for searching.

use unicode_normalization::UnicodeNormalization;

/// Maximum number of words in a search; further words are ignored.
const MOST_WORDS: usize = 8;

/// Normalizes the text so that spellings which look equal compare equal: lower-cases it, composes decomposed Hangul (as
/// macOS writes it) and narrows full-width letters (Unicode's NFKC). `None` if the text is already normalized.
pub(super) fn folded(text: &str) -> Option<String> {
    let folded = fold(text);
    (folded != text).then_some(folded)
}

/// One SQL LIKE pattern per word; a text matches if it contains the word. `!` escapes special characters.
pub(super) fn patterns(words: &str) -> Vec<String> {
    let folded = fold(words);
    let words = folded.split_whitespace().take(MOST_WORDS);
    words.map(pattern).collect()
}

fn pattern(word: &str) -> String {
    let mut pattern = String::with_capacity(word.len() + 2);
    pattern.push('%');
    for c in word.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn fold(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    // Lower-casing can leave a letter decomposed, for example İ.
    lower.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        assert_eq!(folded("안녕"), None);
        let in_parts = "\u{110B}\u{1161}\u{11AB}\u{1102}\u{1167}\u{11BC}";
        assert_eq!(folded(in_parts), Some("안녕".to_owned()));
        assert_eq!(folded("ＡＢＣ Straße"), Some("abc straße".to_owned()));
        assert_eq!(folded(""), None);
    }

    #[test]
    fn each_word_is_looked_for_as_it_is() {
        assert_eq!(patterns("  100%  A_b! "), ["%100!%%", "%a!_b!!%"]);
        assert_eq!(patterns(" \n"), Vec::<String>::new());
    }
}
