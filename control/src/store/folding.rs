//! Text as it is searched.

use unicode_normalization::UnicodeNormalization;

/// Most words of a search; the rest are left out.
const MOST_WORDS: usize = 8;

/// The text without what makes no difference to who searches: letters are small, and Hangul in parts (as macOS writes
/// it) is put together, full-width letters are narrow (Unicode's NFKC). None when that is the text itself.
pub(super) fn folded(text: &str) -> Option<String> {
    let folded = fold(text);
    (folded != text).then_some(folded)
}

/// What a text must be like (SQL's LIKE, with `!` before a letter that stands for itself) to contain each word.
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
    // Lower-casing may leave letters in parts, as that of İ.
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
