//! Imports and exports. As TypeScript has it, an imported name that only types use isn't imported, and a module of which
//! nothing else is imported isn't loaded; `import "module"` always is.

use std::collections::HashSet;

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};

use super::strip::Strip;

/// Imports, and exports of local names, until all uses are known.
#[derive(Default)]
pub(super) struct Imports {
    imports: Vec<Import>,
    exports: Vec<Export>,
    aliases: Vec<(Span, String)>,
    /// Names of top-level types, and of top-level values.
    types: HashSet<String>,
    values: HashSet<String>,
    /// Those of them that are functions or classes, to which a namespace may be added.
    with_code: HashSet<String>,
    /// Enums and namespaces that are exported already.
    exported: HashSet<String>,
}

impl Imports {
    /// Whether it is a function's or a class's name.
    pub(super) fn has_code(&self, name: &str) -> bool {
        self.with_code.contains(name)
    }
}

struct Import {
    span: Span,
    /// Where the module's name starts.
    source: u32,
    default: Option<(Span, String)>,
    namespace: Option<(Span, String)>,
    named: Vec<(Span, String)>,
    /// Whether a name was for types alone.
    cut: bool,
}

struct Export {
    span: Span,
    /// With what follows the names.
    end: u32,
    all: usize,
    kept: Vec<(Span, Option<String>)>,
}

impl<'s> Strip<'s> {
    /// Notes what the statements of the top level declare.
    pub(super) fn declare(&mut self, statements: &[Statement<'_>]) {
        for statement in statements {
            let declaration = match statement {
                Statement::ExportDeclaration(it) => Some(&it.declaration),
                it => it.as_declaration(),
            };
            match declaration {
                Some(Declaration::TSTypeAliasDeclaration(it)) => self.declare_type(&it.id),
                Some(Declaration::TSInterfaceDeclaration(it)) => self.declare_type(&it.id),
                Some(Declaration::TSNamespaceDeclaration(it)) if it.declare || !Self::has_values(it) => {
                    self.declare_type(&it.id);
                }
                Some(Declaration::TSNamespaceDeclaration(it)) => self.declare_value(&it.id),
                Some(Declaration::TSEnumDeclaration(it)) if !it.declare => self.declare_value(&it.id),
                Some(Declaration::TSImportEqualsDeclaration(it)) => self.declare_value(&it.id),
                Some(Declaration::ClassDeclaration(it)) if !it.declare => self.declare_code(it.id.as_ref()),
                Some(Declaration::FunctionDeclaration(it)) if !it.declare => {
                    self.declare_code(it.id.as_ref())
                }
                Some(Declaration::VariableDeclaration(it)) => {
                    for declarator in &it.declarations {
                        for id in declarator.id.get_binding_identifiers() {
                            self.declare_value(id);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn declare_type(&mut self, id: &BindingIdentifier<'_>) {
        self.imports.types.insert(id.name.to_string());
    }

    fn declare_value(&mut self, id: &BindingIdentifier<'_>) {
        self.imports.values.insert(id.name.to_string());
    }

    fn declare_code(&mut self, id: Option<&BindingIdentifier<'_>>) {
        if let Some(id) = id {
            self.declare_value(id);
            self.imports.with_code.insert(id.name.to_string());
        }
    }

    fn is_type_only(&self, name: &str) -> bool {
        self.imports.types.contains(name) && !self.imports.values.contains(name)
    }

    /// Takes imports and exports; false for all else.
    pub(super) fn is_import_or_export(&mut self, it: &Statement<'_>) -> bool {
        match it {
            Statement::ImportDeclaration(it) => self.import(it),
            Statement::ExportAllDeclaration(it) => {
                if it.export_kind == ImportOrExportKind::Type {
                    self.edits.nothing(it.span);
                }
            }
            Statement::ExportNamedDeclaration(it) => {
                let end = it.span.end;
                self.export(it.span, end, &it.specifiers, it.export_kind, true);
            }
            Statement::ExportFromDeclaration(it) => {
                self.export(
                    it.span,
                    it.source.span.start,
                    &it.specifiers,
                    it.export_kind,
                    false,
                );
            }
            Statement::ExportDeclaration(it) => {
                if !self.is_erased(&it.declaration, it.span) {
                    self.exported(it);
                }
            }
            Statement::ExportDefaultDeclaration(it) => self.export_default(it),
            Statement::TSExportAssignment(it) => {
                self.refuse(it.span.start, "export = isn't supported: use export default");
            }
            Statement::TSNamespaceExportDeclaration(it) => self.edits.nothing(it.span),
            _ => return false,
        }
        true
    }

    fn exported(&mut self, it: &ExportDeclaration<'_>) {
        if let Declaration::TSImportEqualsDeclaration(alias) = &it.declaration {
            return self.alias(alias, it.span);
        }
        let merged = match &it.declaration {
            Declaration::TSEnumDeclaration(it) => Some(&it.id),
            Declaration::TSNamespaceDeclaration(it) => Some(&it.id),
            _ => None,
        };
        if let Some(id) = merged {
            let first = self.imports.exported.insert(id.name.to_string());
            if !first || self.imports.has_code(id.name.as_str()) {
                // Its parts go into what is exported already.
                self.edits.blank(it.span.start, it.declaration.span().start);
            }
        }
        self.visit_declaration(&it.declaration);
    }

    fn export_default(&mut self, it: &ExportDefaultDeclaration<'_>) {
        match &it.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => self.edits.nothing(it.span),
            ExportDefaultDeclarationKind::FunctionDeclaration(function) if function.body.is_none() => {
                self.edits.nothing(it.span);
            }
            ExportDefaultDeclarationKind::Identifier(id) if self.is_type_only(id.name.as_str()) => {
                self.edits.nothing(it.span);
            }
            declaration => walk::walk_export_default_declaration_kind(self, declaration),
        }
    }

    fn import(&mut self, it: &ImportDeclaration<'_>) {
        if it.import_kind == ImportOrExportKind::Type {
            for specifier in it.specifiers.iter().flatten() {
                self.imports.types.insert(specifier.local().name.to_string());
            }
            return self.edits.nothing(it.span);
        }
        let Some(specifiers) = it.specifiers.as_ref().filter(|specifiers| !specifiers.is_empty()) else {
            return;
        };
        let mut import = Import {
            span: it.span,
            source: it.source.span.start,
            default: None,
            namespace: None,
            named: Vec::new(),
            cut: false,
        };
        for specifier in specifiers {
            let name = (specifier.span(), specifier.local().name.to_string());
            match specifier {
                ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => import.default = Some(name),
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => import.namespace = Some(name),
                ImportDeclarationSpecifier::ImportSpecifier(it)
                    if it.import_kind == ImportOrExportKind::Type =>
                {
                    self.imports.types.insert(name.1);
                    import.cut = true;
                }
                ImportDeclarationSpecifier::ImportSpecifier(_) => import.named.push(name),
            }
        }
        self.imports.imports.push(import);
    }

    fn export(
        &mut self,
        span: Span,
        end: u32,
        specifiers: &[ExportSpecifier<'_>],
        kind: ImportOrExportKind,
        local: bool,
    ) {
        if kind == ImportOrExportKind::Type {
            return self.edits.nothing(span);
        }
        let kept = specifiers.iter();
        let kept = kept.filter(|it| it.export_kind != ImportOrExportKind::Type);
        let name = |it: &ExportSpecifier<'_>| it.local.name().to_string();
        let kept: Vec<_> = kept
            .map(|it| (it.span, Some(name(it)).filter(|_| local)))
            .collect();
        self.used.extend(kept.iter().filter_map(|(_, name)| name.clone()));
        self.imports.exports.push(Export {
            span,
            end,
            all: specifiers.len(),
            kept,
        });
    }

    /// `import a = b.c`.
    pub(super) fn alias(&mut self, it: &TSImportEqualsDeclaration<'_>, span: Span) {
        if it.import_kind == ImportOrExportKind::Type {
            return self.edits.nothing(span);
        }
        let mut name = match &it.module_reference {
            TSModuleReference::ExternalModuleReference(_) => {
                return self.refuse(span.start, "import = require() isn't supported: use import from");
            }
            TSModuleReference::IdentifierReference(id) => return self.used_alias(it, span, &id.name),
            TSModuleReference::QualifiedName(name) => name,
        };
        loop {
            match &name.left {
                TSTypeName::QualifiedName(left) => name = left,
                TSTypeName::IdentifierReference(id) => return self.used_alias(it, span, &id.name),
                TSTypeName::ThisExpression(_) => return,
            }
        }
    }

    fn used_alias(&mut self, it: &TSImportEqualsDeclaration<'_>, span: Span, root: &str) {
        self.used.insert(root.to_owned());
        let exported = span.start != it.span.start;
        let name = if exported {
            String::new()
        } else {
            it.id.name.to_string()
        };
        self.imports.aliases.push((it.span, name));
    }

    /// Cuts what isn't used, now that all uses are known.
    pub(super) fn finish_imports(&mut self) {
        for (span, name) in std::mem::take(&mut self.imports.aliases) {
            if name.is_empty() || self.used.contains(&name) {
                self.edits
                    .replace(span.start, span.start + "import".len() as u32, "var");
            } else {
                self.edits.nothing(span);
            }
        }
        for export in std::mem::take(&mut self.imports.exports) {
            self.finish_export(export);
        }
        for mut import in std::mem::take(&mut self.imports.imports) {
            let unused = |(_, name): &(Span, String)| !self.used.contains(name);
            import.cut |= import.default.take_if(|name| unused(name)).is_some();
            import.cut |= import.namespace.take_if(|name| unused(name)).is_some();
            let all = import.named.len();
            import.named.retain(|name| !unused(name));
            import.cut |= import.named.len() < all;
            self.finish_import(&import);
        }
    }

    fn finish_import(&mut self, import: &Import) {
        if !import.cut {
            return;
        }
        let text = |(span, _): &(Span, String)| self.edits.text(*span).to_owned();
        let mut names: Vec<_> = import.default.iter().chain(&import.namespace).map(text).collect();
        if !import.named.is_empty() {
            let named: Vec<_> = import.named.iter().map(text).collect();
            names.push(format!("{{ {} }}", named.join(", ")));
        }
        if names.is_empty() {
            return self.edits.nothing(import.span);
        }
        let head = format!("import {} from ", names.join(", "));
        self.edits.replace(import.span.start, import.source, head);
    }

    fn finish_export(&mut self, mut export: Export) {
        export
            .kept
            .retain(|(_, name)| !name.as_ref().is_some_and(|name| self.is_type_only(name)));
        if export.kept.len() == export.all {
            return;
        }
        if export.kept.is_empty() {
            return self.edits.nothing(export.span);
        }
        let names: Vec<_> = export
            .kept
            .iter()
            .map(|(span, _)| self.edits.text(*span))
            .collect();
        let from = if export.end == export.span.end {
            ";"
        } else {
            " from "
        };
        let head = format!("export {{ {} }}{from}", names.join(", "));
        self.edits.replace(export.span.start, export.end, head);
    }
}
