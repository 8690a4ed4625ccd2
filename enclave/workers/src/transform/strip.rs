//! The walk through a module.

use std::collections::HashSet;

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};

use super::edits::{Edits, Refusal, is_line_end};
use super::imports::Imports;
use super::trivia;

/// What is known of a module so far.
pub(super) struct Strip<'s> {
    pub(super) edits: Edits<'s>,
    pub(super) imports: Imports,
    /// Names that code (not types) uses.
    pub(super) used: HashSet<String>,
    /// What can't be taken; the first counts.
    refused: Option<Refusal>,
}

/// JavaScript of a TypeScript module.
pub(super) fn strip(source: &str, program: &Program<'_>) -> Result<String, Refusal> {
    let mut strip = Strip {
        edits: Edits::new(source),
        imports: Imports::default(),
        used: HashSet::new(),
        refused: None,
    };
    strip.declare(&program.body);
    strip.visit_program(program);
    strip.finish_imports();
    match strip.refused {
        Some(refusal) => Err(refusal),
        None => strip.edits.apply(),
    }
}

impl<'s> Strip<'s> {
    pub(super) fn source(&self) -> &'s str {
        self.edits.source()
    }

    pub(super) fn refuse(&mut self, at: u32, why: impl Into<String>) {
        if self.refused.is_none() {
            self.refused = Some(Refusal::new(at, why));
        }
    }

    /// Blanks from `start` to the token that ends `token`, if it is the next one.
    pub(super) fn blank_token(&mut self, start: u32, token: &str) {
        if let Some(end) = trivia::after(self.source(), start, token) {
            self.edits.blank(end - token.len() as u32, end);
        }
    }

    /// A declaration, alone or exported: whether nothing of it is left (`whole` is blanked then).
    pub(super) fn is_erased(&mut self, declaration: &Declaration<'_>, whole: Span) -> bool {
        let erased = match declaration {
            Declaration::TSTypeAliasDeclaration(_)
            | Declaration::TSInterfaceDeclaration(_)
            | Declaration::TSGlobalDeclaration(_)
            | Declaration::TSExternalModuleDeclaration(_) => true,
            Declaration::VariableDeclaration(it) => it.declare,
            Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
            Declaration::ClassDeclaration(it) => it.declare,
            Declaration::TSEnumDeclaration(it) => it.declare,
            Declaration::TSNamespaceDeclaration(it) => it.declare || !Self::has_values(it),
            Declaration::TSImportEqualsDeclaration(_) => false,
        };
        if erased {
            self.edits.nothing(whole);
        }
        erased
    }

    /// The type of a return value, before an arrow: no line may end between `)` and `=>`.
    fn arrow_return_type(&mut self, params: Span, annotation: &TSTypeAnnotation<'_>) {
        let gap = self.edits.text(Span::new(params.end, annotation.span.end));
        if gap.contains(is_line_end) {
            let last = annotation.span.end - gap.chars().last().map_or(0, |c| c.len_utf8() as u32);
            self.edits.blank(params.end - 1, last);
            self.edits.replace(last, annotation.span.end, ")");
        } else {
            self.edits.blank(annotation.span.start, annotation.span.end);
        }
    }

    /// The type parameters of an arrow function: no line may end before its `(` after `async` or `return`.
    fn arrow_type_parameters(&mut self, it: &TSTypeParameterDeclaration<'_>, params: Span) {
        let gap = Span::new(it.span.start, params.start);
        if self.edits.text(gap).contains(is_line_end) {
            self.edits.replace(it.span.start, it.span.start + 1, "(");
            self.edits.blank(it.span.start + 1, params.start);
            self.edits.blank(params.start, params.start + 1);
        } else {
            self.edits.blank(it.span.start, it.span.end);
        }
    }

    /// `operand as T`.
    fn cast(&mut self, operand: &Expression<'_>, end: u32) {
        self.visit_expression(operand);
        self.edits.blank(operand.span().end, end);
    }
}

impl<'a> Visit<'a> for Strip<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        self.edits.end(it.span().end);
        if self.is_import_or_export(it) {
            return;
        }
        if let Some(declaration) = it.as_declaration() {
            if !self.is_erased(declaration, it.span()) {
                self.visit_declaration(declaration);
            }
            return;
        }
        walk::walk_statement(self, it);
    }

    fn visit_declaration(&mut self, it: &Declaration<'a>) {
        match it {
            Declaration::TSEnumDeclaration(it) => self.enumeration(it),
            Declaration::TSNamespaceDeclaration(it) => self.namespace(it, None),
            Declaration::TSImportEqualsDeclaration(it) => self.alias(it, it.span),
            it => walk::walk_declaration(self, it),
        }
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        if !self.used.contains(it.name.as_str()) {
            self.used.insert(it.name.to_string());
        }
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span.start, "decorators aren't supported");
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        self.class(it);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.blank_token(it.id.span().end, "!");
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.optional {
            self.blank_token(it.pattern.span().end, "?");
        }
        self.modifiers(it.span.start, it.pattern.span().start, false);
        walk::walk_formal_parameter(self, it);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        if let Some(parameters) = &it.type_parameters {
            self.arrow_type_parameters(parameters, it.params.span);
        }
        self.visit_formal_parameters(&it.params);
        if let Some(annotation) = &it.return_type {
            self.arrow_return_type(it.params.span, annotation);
        }
        self.visit_arrow_function_body(&it.body);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.cast(&it.expression, it.span.end);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.cast(&it.expression, it.span.end);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.cast(&it.expression, it.span.end);
    }

    fn visit_ts_instantiation_expression(&mut self, it: &TSInstantiationExpression<'a>) {
        self.cast(&it.expression, it.span.end);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        // In brackets, because `=> <T>{}` would become a block and `return <T\n>x` two statements.
        self.edits.replace(it.span.start, it.span.start + 1, "(");
        self.edits.blank(it.span.start + 1, it.expression.span().start);
        self.visit_expression(&it.expression);
        self.edits.insert(it.span.end, ")");
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        let comma = trivia::after(self.source(), it.span.end, ",");
        self.edits.blank(it.span.start, comma.unwrap_or(it.span.end));
    }

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.edits.blank(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.edits.blank(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.edits.blank(it.span.start, it.span.end);
    }

    fn visit_ts_type(&mut self, _: &TSType<'a>) {}
}
