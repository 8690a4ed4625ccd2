//! Classes: modifiers, members without code, and parameters that are properties.

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::GetSpan;

use super::strip::Strip;
use super::trivia;

/// What only the compiler looks at.
const MODIFIERS: [&str; 7] = [
    "public",
    "private",
    "protected",
    "readonly",
    "override",
    "abstract",
    "declare",
];

impl Strip<'_> {
    pub(super) fn class(&mut self, it: &Class<'_>) {
        for decorator in &it.decorators {
            self.refuse(decorator.span.start, "decorators aren't supported");
        }
        if it.r#abstract {
            self.blank_token(it.span.start, "abstract");
        }
        if let Some(parameters) = &it.type_parameters {
            self.edits.blank(parameters.span.start, parameters.span.end);
        }
        if let Some(heritage) = &it.heritage {
            self.visit_class_heritage(heritage);
        }
        if let Some(last) = it.implements.last()
            && let Some(keyword) = self.implements(it)
        {
            self.edits.blank(keyword, last.span.end);
        }
        for member in &it.body.body {
            if let ClassElement::MethodDefinition(method) = member
                && method.kind == MethodDefinitionKind::Constructor
            {
                self.parameter_properties(&method.value, it);
            }
            self.member(member);
        }
    }

    /// Where `implements` starts.
    fn implements(&self, it: &Class<'_>) -> Option<u32> {
        let heritage = it.heritage.as_ref().map(|heritage| {
            let arguments = heritage.type_arguments.as_ref();
            arguments.map_or(heritage.expression.span().end, |arguments| arguments.span.end)
        });
        let parameters = it.type_parameters.as_ref().map(|parameters| parameters.span.end);
        let before = heritage.or(parameters).or(it.id.as_ref().map(|id| id.span.end));
        let class = || {
            let start = trivia::after(self.source(), it.span.start, "abstract").unwrap_or(it.span.start);
            trivia::after(self.source(), start, "class")
        };
        let end = trivia::after(self.source(), before.or_else(class)?, "implements")?;
        Some(end - "implements".len() as u32)
    }

    fn member(&mut self, it: &ClassElement<'_>) {
        self.edits.end(it.span().end);
        let erased = match it {
            ClassElement::TSIndexSignature(_) => true,
            ClassElement::MethodDefinition(it) => {
                it.r#type == MethodDefinitionType::TSAbstractMethodDefinition || it.value.body.is_none()
            }
            ClassElement::PropertyDefinition(it) => {
                it.declare || it.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition
            }
            ClassElement::AccessorProperty(it) => {
                it.r#type == AccessorPropertyType::TSAbstractAccessorProperty
            }
            ClassElement::StaticBlock(_) => false,
        };
        if erased {
            return self.edits.nothing(it.span());
        }
        if let Some(key) = it.property_key() {
            self.modifiers(it.span().start, key.span().start, true);
            let bracket = trivia::after(self.source(), key.span().end, "]").filter(|_| it.computed());
            let end = bracket.unwrap_or(key.span().end);
            // Optional, or certainly there. Neither can be the value's first token: that follows `=` or `(`.
            self.blank_token(end, "?");
            self.blank_token(end, "!");
        }
        walk::walk_class_element(self, it);
    }

    /// Blanks the modifiers among the words from `start` to `end`. Of a class member the first word leaves a semicolon:
    /// what follows it (`[`, `*`) may go on with the property before.
    pub(super) fn modifiers(&mut self, start: u32, end: u32, member: bool) {
        for (at, word) in trivia::words(self.source(), start, end) {
            let after = at + word.len() as u32;
            if !MODIFIERS.contains(&word) {
                continue;
            }
            if member && at == start {
                self.edits.replace(at, at + 1, ";");
                self.edits.blank(at + 1, after);
            } else {
                self.edits.blank(at, after);
            }
        }
    }

    /// `class {` gets `a;` and `constructor(private a: T) {` gets `this.a = a;`.
    fn parameter_properties(&mut self, it: &Function<'_>, class: &Class<'_>) {
        let properties = it.params.items.iter();
        let properties =
            properties.filter(|param| param.accessibility.is_some() || param.readonly || param.r#override);
        let (mut fields, mut code) = (String::new(), String::new());
        for param in properties {
            let Some(name) = param.pattern.get_identifier_name() else {
                return self.refuse(param.span.start, "a parameter property must be a name");
            };
            fields.push_str(&format!(" {name};"));
            code.push_str(&format!(" this.{name} = {name};"));
        }
        let Some(body) = it.body.as_ref().filter(|_| !code.is_empty()) else {
            return;
        };
        let place = if class.heritage.is_some() {
            let call = body.statements.iter().find(|it| is_super_call(it));
            call.map(|it| it.span().end)
        } else {
            let directive = body.directives.last();
            Some(directive.map_or(body.span.start + 1, |directive| directive.span.end))
        };
        let Some(place) = place else {
            let why = "a constructor with parameter properties must call super() in a statement of its own";
            return self.refuse(it.span.start, why);
        };
        self.edits.insert(class.body.span.start + 1, fields);
        self.edits.insert(place, format!(";{code}"));
    }
}

fn is_super_call(it: &Statement<'_>) -> bool {
    let Statement::ExpressionStatement(it) = it else {
        return false;
    };
    matches!(&it.expression, Expression::CallExpression(call) if call.callee.is_super())
}
