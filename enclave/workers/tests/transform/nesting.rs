use super::prepare;

/// Code that is nested: what it starts with, what opens a level, what is inside, what closes a level.
const KINDS: [(&str, &str, &str, &str); 44] = [
    ("x = ", "(", "1", ")"),
    ("x = ", "((a)=>", "1", ")"),
    ("x = ", "(a,", "1", ")"),
    ("x = ", "[", "", "]"),
    ("x = ", "{a:", "1", "}"),
    ("x = ", "{a(){return ", "1", "}}"),
    ("", "{", "", "}"),
    ("x = ", "!", "1", ""),
    ("x = ", "- ", "1", ""),
    ("x = ", "a=>", "1", ""),
    ("x = ", "(a)=>{", "", "}"),
    ("x = ", "async a=>", "1", ""),
    ("x = ", "async(a=", "1", ")"),
    ("", "if(a)", ";", ""),
    ("", "if(a);else ", ";", ""),
    ("", "for(;;)", ";", ""),
    ("", "while(a)", ";", ""),
    ("", "do ", ";", " while(a);"),
    ("", "try{", "", "}finally{}"),
    ("x = ", "a?", "1", ":b"),
    ("x = ", "a?b:", "c", ""),
    ("x = ", "a?(b", "", "):c"),
    ("x = ", "`${", "1", "}`"),
    ("x = ", "f(", "", ")"),
    ("x = ", "f<T>(", "", ")"),
    ("x = ", "new ", "a", ""),
    ("x = ", "typeof ", "a", ""),
    ("x = ", "function(){return ", "1", "}"),
    ("x = ", "class{a=", "1", "}"),
    ("x = ", "class extends ", "a", "{}"),
    ("x = ", "a=", "1", ""),
    ("x = ", "a**", "1", ""),
    ("x = a", "+1", "", ""),
    ("x = a", ".b", "", ""),
    ("x = a", "()", "", ""),
    ("x = a", "!", "", ""),
    ("x = a", " as T", "", ""),
    ("x = ", "<T>", "1", ""),
    ("type A = ", "B<", "C", ">"),
    ("type A = ", "keyof ", "B", ""),
    ("type A = ", "[", "B", "]"),
    ("type A = ", "{a:", "B", "}"),
    ("type A = ", "B extends C?D:", "E", ""),
    ("type A = ", "(a:", "B", ")=>C"),
];

#[test]
fn deep_code_is_refused_or_taken_and_never_overruns_the_stack() {
    for (start, open, middle, close) in KINDS {
        for levels in [100, 2_000, 60_000] {
            for close in [close, ""] {
                let source = format!("{start}{}{middle}{}", open.repeat(levels), close.repeat(levels));
                let taken = prepare("deep.ts", &source)
                    .map(drop)
                    .map_err(|failure| failure.message);
                match levels {
                    100 if !close.is_empty() => assert_eq!(taken, Ok(()), "{open}"),
                    60_000 => assert!(taken.unwrap_err().contains("operators and brackets"), "{open}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_long_module_that_is_not_nested_is_taken() {
    let source = "export function f(a: number): number { return a + 1 }\n".repeat(5000);
    assert!(prepare("long.ts", &source).is_ok());
}
