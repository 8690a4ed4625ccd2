//! A command line without a shell: words by POSIX's rules of quoting (XCU §2.2), and nothing else of its language.

/// The words of `line`; `None` where a quote isn't closed, or a backslash ends it.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            '\n' => {}
                            special @ ('$' | '`' | '"' | '\\') => word.push(special),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => match letters.next()? {
                '\n' => {}
                other => word.get_or_insert_default().push(other),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for line in [
            "a b  c\td\ne",
            r#"a 'b c' "d e" f\ g"#,
            r#"'' "" a''b"#,
            r#""\$x \`y \" \\ \n""#,
            r"'\n' \\ \'",
            "a\\\nb \"c\\\nd\"",
        ] {
            let by_shell = std::process::Command::new("sh")
                .args(["-c", &format!("printf '%s\\0' {line}")])
                .output()
                .unwrap();
            // The newline of the first line would end the shell's command.
            if line.starts_with("a b") {
                assert_eq!(split(line).unwrap(), ["a", "b", "c", "d", "e"]);
                continue;
            }
            let expected = String::from_utf8(by_shell.stdout).unwrap();
            let expected: Vec<_> = expected.strip_suffix('\0').unwrap().split('\0').collect();
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
        assert_eq!(split("  \t"), Some(Vec::new()));
    }

    #[test]
    fn an_unfinished_line_has_no_words() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
