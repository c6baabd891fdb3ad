//! Reads the modules of a crate and which module uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// The path of a module from the root of its crate; the root's is empty.
pub(crate) type Module = Vec<String>;

/// Which modules of one crate use which others of it.
#[derive(Default)]
pub(crate) struct Imports {
    /// Each module that is a file.
    pub(crate) modules: BTreeSet<Module>,
    /// Pairs of (the module that uses, the module that defines what is used).
    pub(crate) uses: BTreeSet<(Module, Module)>,
}

/// Reads all files below `folder`, the library's. `main.rs` is a crate of its own on top of it.
///
/// # Panics
///
/// Panics if a file cannot be read or parsed.
pub(crate) fn imports(folder: &Path) -> Imports {
    let mut scopes = BTreeMap::new();
    read_folder(folder, &mut Module::new(), &mut scopes);
    let tests: BTreeSet<Module> =
        scopes.values().flat_map(|scope| scope.tests.iter().cloned()).collect();
    scopes.retain(|module, _| !(0..=module.len()).any(|depth| tests.contains(&module[..depth])));
    let mut imports = Imports { modules: scopes.keys().cloned().collect(), ..Imports::default() };
    for (module, scope) in &scopes {
        for path in &scope.paths {
            if let Some(target) = resolve(&scopes, module, path, 0) {
                imports.uses.insert((module.clone(), target));
            }
        }
    }
    imports
}

/// What a module says about names.
#[derive(Default)]
struct Scope {
    /// Names that `use` brings into the module, with the paths that they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// All paths into the crate.
    paths: BTreeSet<Vec<String>>,
    /// The child modules that are compiled for tests alone.
    tests: BTreeSet<Module>,
}

fn read_folder(folder: &Path, module: &mut Module, scopes: &mut BTreeMap<Module, Scope>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("the folder exists")
        .map(|e| e.expect("readable").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_root = ["mod", "lib"].contains(&name.as_str());
        if path.is_dir() {
            module.push(name);
            read_folder(&path, module, scopes);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            let module =
                if is_root { module.clone() } else { [module.as_slice(), &[name]].concat() };
            let text = fs::read_to_string(&path).expect("readable");
            let file = syn::parse_file(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut reader = Reader { module: module.clone(), depth: 0, scope: Scope::default() };
            reader.visit_file(&file);
            scopes.insert(module, reader.scope);
        }
    }
}

/// Follows a path to the module that defines what it names; `None` if it leaves the crate.
fn resolve(
    scopes: &BTreeMap<Module, Scope>,
    from: &Module,
    path: &[String],
    hops: usize,
) -> Option<Module> {
    // A name can be re-exported in a circle only by mistake, which the compiler finds.
    if hops > 16 {
        return None;
    }
    let mut at = from.clone();
    let mut names = path;
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            names = &path[1..];
        }
        "self" => names = &path[1..],
        "super" => {
            while names.first().is_some_and(|name| name == "super") {
                at.pop()?;
                names = &names[1..];
            }
        }
        first => {
            let is_child = scopes.contains_key(&[from.as_slice(), &[first.to_owned()]].concat());
            if !is_child {
                return None;
            }
        }
    }
    for (index, name) in names.iter().enumerate() {
        let child = [at.as_slice(), std::slice::from_ref(name)].concat();
        if scopes.contains_key(&child) {
            at = child;
            continue;
        }
        let binding = scopes.get(&at).and_then(|scope| scope.names.get(name));
        if let Some(target) = binding {
            let rest = [target.as_slice(), &names[index + 1..]].concat();
            return resolve(scopes, &at, &rest, hops + 1);
        }
        break;
    }
    Some(at)
}

struct Reader {
    module: Module,
    /// How many inline modules surround the item at hand; their `super` stays in this file.
    depth: usize,
    scope: Scope,
}

impl Reader {
    fn add(&mut self, mut path: Vec<String>) {
        let inner = path.iter().take_while(|name| *name == "super").count().min(self.depth);
        path.drain(..inner);
        if path.len() > 1 {
            self.scope.paths.insert(path);
        }
    }

    fn add_tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.add_tree(&inner.tree, path);
                path.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.bind(path.last().cloned(), path.clone());
            }
            syn::UseTree::Name(name) => {
                self.bind(
                    Some(name.ident.to_string()),
                    [path.as_slice(), &[name.ident.to_string()]].concat(),
                );
            }
            syn::UseTree::Rename(rename) => {
                let target = [path.as_slice(), &[rename.ident.to_string()]].concat();
                self.bind(Some(rename.rename.to_string()), target);
            }
            syn::UseTree::Glob(_) => self.add(path.clone()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, path);
                }
            }
        }
    }

    fn bind(&mut self, name: Option<String>, path: Vec<String>) {
        if let Some(name) = name
            && self.depth == 0
            && path != [name.clone()]
        {
            self.scope.names.insert(name, path.clone());
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        } else if let syn::Item::Mod(child) = item {
            self.scope.tests.insert([self.module.as_slice(), &[child.ident.to_string()]].concat());
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            syn::visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.depth += 1;
        syn::visit::visit_item_mod(self, module);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// The arguments of a macro are tokens without structure; paths in them are found by their first word.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text: String = call.tokens.to_string().replace("::", " :: ");
        let words: Vec<&str> = text
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .filter(|word| !word.is_empty())
            .collect();
        for start in 0..words.len() {
            let is_start = ["crate", "super", "self"].contains(&words[start])
                && (start == 0 || words[start - 1] != "::");
            if is_start && words.get(start + 1) == Some(&"::") {
                let mut path = vec![words[start].to_owned()];
                let mut rest = words[start + 1..].chunks_exact(2);
                while let Some(["::", name]) = rest.next() {
                    path.push((*name).to_owned());
                }
                self.add(path);
            }
        }
        syn::visit::visit_macro(self, call);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
