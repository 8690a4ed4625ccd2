//! Namespaces: functions that fill an object with what they export.

use oxc_ast::ast::*;
use oxc_ast_visit::Visit;
use oxc_span::GetSpan;

use super::strip::Strip;

impl Strip<'_> {
    /// Whether code is left when types are gone.
    pub(super) fn has_values(it: &TSNamespaceDeclaration<'_>) -> bool {
        let block = match &it.body {
            TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => return Self::has_values(inner),
            TSNamespaceDeclarationBody::TSModuleBlock(block) => block,
        };
        block.body.iter().any(|statement| {
            let declaration = match statement {
                Statement::ExportDeclaration(it) => Some(&it.declaration),
                it => it.as_declaration(),
            };
            match declaration {
                Some(Declaration::TSTypeAliasDeclaration(_) | Declaration::TSInterfaceDeclaration(_)) => {
                    false
                }
                Some(Declaration::TSNamespaceDeclaration(it)) => !it.declare && Self::has_values(it),
                _ => true,
            }
        })
    }

    /// `outer`: the namespace that exports it.
    pub(super) fn namespace(&mut self, it: &TSNamespaceDeclaration<'_>, outer: Option<&str>) {
        let name = it.id.name.as_str();
        let (open, close) = match &it.body {
            TSNamespaceDeclarationBody::TSModuleBlock(block) => (block.span.start + 1, block.span.end - 1),
            TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => (inner.span.start, inner.span.end),
        };
        let var = match outer {
            None if self.imports.has_code(name) => ";".to_owned(),
            None => format!("var {name}; "),
            Some(_) => format!("let {name}; "),
        };
        let head = format!("{var}(function ({name}) {{");
        self.edits.replace(it.span.start, open, head);
        let object = match outer {
            None => format!("{name} || ({name} = {{}})"),
            Some(outer) => format!("{name} = {outer}.{name} || ({outer}.{name} = {{}})"),
        };
        match &it.body {
            TSNamespaceDeclarationBody::TSModuleBlock(block) => {
                for statement in &block.body {
                    self.namespace_member(statement, name);
                }
                self.edits.replace(close, it.span.end, format!("}})({object});"));
            }
            TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => {
                self.namespace(inner, Some(name));
                self.edits.insert(it.span.end, format!("}})({object});"));
            }
        }
    }

    fn namespace_member(&mut self, it: &Statement<'_>, outer: &str) {
        let Statement::ExportDeclaration(it) = it else {
            if it.is_module_declaration() {
                return self.refuse(
                    it.span().start,
                    "a namespace exports declarations alone, and imports nothing",
                );
            }
            return self.visit_statement(it);
        };
        self.edits.end(it.span.end);
        if self.is_erased(&it.declaration, it.span) {
            return;
        }
        let mut names = Vec::new();
        let own = &it.declaration;
        match own {
            Declaration::TSNamespaceDeclaration(inner) => {
                self.edits.blank(it.span.start, inner.span.start);
                return self.namespace(inner, Some(outer));
            }
            Declaration::VariableDeclaration(variables) => {
                if variables.kind != VariableDeclarationKind::Const {
                    self.refuse(
                        it.span.start,
                        "a namespace can't export variables that change: export a const",
                    );
                }
                for declarator in &variables.declarations {
                    names.extend(
                        declarator
                            .id
                            .get_binding_identifiers()
                            .iter()
                            .map(|id| id.name.to_string()),
                    );
                }
            }
            Declaration::FunctionDeclaration(function) => {
                names.extend(function.id.as_ref().map(|id| id.name.to_string()))
            }
            Declaration::ClassDeclaration(class) => {
                names.extend(class.id.as_ref().map(|id| id.name.to_string()))
            }
            Declaration::TSEnumDeclaration(members) => names.push(members.id.name.to_string()),
            _ => return self.refuse(it.span.start, "a namespace can't export this"),
        }
        self.edits.blank(it.span.start, own.span().start);
        self.visit_declaration(own);
        let exports: String = names
            .iter()
            .map(|name| format!(" {outer}.{name} = {name};"))
            .collect();
        self.edits.insert(it.span.end, format!(";{exports}"));
    }
}
