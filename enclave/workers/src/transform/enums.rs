//! Enums: functions that fill an object, member by member, each on its own line. Members are variables there too, because
//! the values of others may name them.

use std::collections::HashSet;

use oxc_ast::ast::*;
use oxc_ast_visit::Visit;
use oxc_span::GetSpan;

use super::strip::Strip;

/// What the object is called inside: no name of a worker's.
const OBJECT: &str = "__enum$";

impl Strip<'_> {
    pub(super) fn enumeration(&mut self, it: &TSEnumDeclaration<'_>) {
        let name = it.id.name.as_str();
        let open = it.body.span.start + 1;
        let head = format!("var {name}; (function ({OBJECT}) {{");
        self.edits.replace(it.span.start, open, head);

        let outer = std::mem::take(&mut self.used);
        for member in &it.body.members {
            member
                .initializer
                .iter()
                .for_each(|value| self.visit_expression(value));
        }
        let named = std::mem::replace(&mut self.used, outer);
        let mut strings = HashSet::new();
        let mut before = None;
        for member in &it.body.members {
            let key = member.id.static_name().to_string();
            let text = member
                .initializer
                .as_ref()
                .is_some_and(|value| is_string(value, &strings));
            if text {
                strings.insert(key.clone());
            }
            self.enum_member(member, &key, before.as_deref(), text, named.contains(&key));
            before = Some(key);
        }
        self.used.extend(named);
        let foot = format!("}})({name} || ({name} = {{}}));");
        self.edits.replace(it.body.span.end - 1, it.span.end, foot);
    }

    fn enum_member(
        &mut self,
        it: &TSEnumMember<'_>,
        key: &str,
        before: Option<&str>,
        text: bool,
        named: bool,
    ) {
        let place = format!("{OBJECT}[{}]", quoted(key));
        let var = if named && is_variable(key) {
            format!("var {key} = ")
        } else {
            String::new()
        };
        let reverse = if text {
            String::new()
        } else {
            format!(" {OBJECT}[{place}] = {};", quoted(key))
        };
        match &it.initializer {
            Some(value) => {
                self.edits
                    .replace(it.span.start, value.span().start, format!("{var}{place} = ("));
                self.edits.insert(value.span().end, format!(");{reverse}"));
            }
            None => {
                let value = before.map_or("0".to_owned(), |key| format!("{OBJECT}[{}] + 1", quoted(key)));
                let code = format!("{var}{place} = {value};{reverse}");
                self.edits.replace(it.span.start, it.span.end, code);
            }
        }
        self.blank_token(it.span.end, ",");
    }
}

/// Whether it is text without being run: such members have no way back from the value to the name.
fn is_string(value: &Expression<'_>, strings: &HashSet<String>) -> bool {
    match value {
        Expression::StringLiteral(_) | Expression::TemplateLiteral(_) => true,
        Expression::Identifier(id) => strings.contains(id.name.as_str()),
        Expression::ParenthesizedExpression(it) => is_string(&it.expression, strings),
        Expression::BinaryExpression(it) => {
            it.operator == BinaryOperator::Addition
                && (is_string(&it.left, strings) || is_string(&it.right, strings))
        }
        _ => false,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a member's name may be a variable's: code names no others.
fn is_variable(name: &str) -> bool {
    let start = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    name.starts_with(start)
        && name.chars().all(|c| start(c) || c.is_numeric())
        && !matches!(
            name,
            "eval" | "arguments" | "await" | "undefined" | "NaN" | "Infinity"
        )
}
