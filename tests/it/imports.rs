//! Imports point one way, as ARCHITECTURE.md draws it, and no two modules import each other. Read from the source:
//! `use` declarations, and every path that begins with `crate`, `super` or `self`, in macros as well. Tests may import
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree, Visibility};

/// The layers of the picture, from the outermost inwards. Modules of one layer import none of each other.
const LAYERS: [&[&str]; 7] = [
    &["cli"],
    &["api"],
    &["app"],
    &["triggers"],
    &["tokens", "delivery", "kafka", "limits", "pages"],
    &["store"],
    &["domain"],
];

/// Modules beside the layers, each with the modules that it may import.
const BESIDE: [(&str, &[&str]); 4] =
    [("proto", &[]), ("environment", &["domain"]), ("secret_file", &[]), ("telemetry", &[])];

/// What `domain` may import: it gets time and random values as arguments.
const OF_DOMAIN: [&str; 1] = ["proto"];

#[test]
fn imports_point_downwards_in_the_picture() {
    let imports = Imports::of_this_crate();
    let top = imports.edges().remove(&Module::new()).expect("modules that import");
    let wrong = top.iter().filter(|((from, to), _)| !is_downwards(from, to));
    let wrong: Vec<_> = wrong.map(|((from, to), named)| format!("{from} imports {to}: {named:?}")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let placed = LAYERS.concat().into_iter().chain(BESIDE.map(|(name, _)| name));
    let placed: BTreeSet<_> = placed.map(|name| vec![name.to_owned()]).collect();
    let modules: BTreeSet<_> = imports.modules.iter().filter(|module| module.len() == 1).cloned().collect();
    assert_eq!(modules, placed, "each module has its place in the picture");
}

#[test]
fn no_modules_import_each_other() {
    for (parent, edges) in Imports::of_this_crate().edges() {
        let in_circles: BTreeSet<_> = circles(&edges).into_iter().flatten().collect();
        let between = edges.iter().filter(|((from, to), _)| in_circles.contains(from) && in_circles.contains(to));
        let between: Vec<_> = between.map(|((from, to), named)| format!("{from} -> {to}: {named:?}")).collect();
        assert!(between.is_empty(), "modules of {} import each other: {between:#?}", parent.join("::"));
    }
}

#[test]
fn the_sign_in_machine_alone_asks_factors_and_its_parts_know_nothing_of_each_other() {
    let imports = Imports::of_this_crate();
    let module = |path: &str| -> Module { path.split("::").map(str::to_owned).collect() };
    let factors = module("domain::auth::factor");
    let asking = imports.named.iter().filter(|(from, to)| to.starts_with(&factors) && !from.starts_with(&factors));
    // The machine has a part for custom challenges.
    let asking: BTreeSet<_> =
        asking.map(|(from, _)| from.iter().take(3).cloned().collect::<Vec<_>>().join("::")).collect();
    assert_eq!(asking, ["app::auth::machine".to_owned()].into());
    let edges = imports.edges();
    for parts in ["app::auth::flows", "app::auth::challenges", "domain::auth::factor"] {
        let between = edges.get(&module(parts)).into_iter().flatten().collect::<Vec<_>>();
        assert!(between.is_empty(), "within {parts}: {between:#?}");
    }
}

fn is_downwards(from: &str, to: &str) -> bool {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let beside = |name: &str| BESIDE.iter().find(|(beside, _)| *beside == name);
    match (layer(from), layer(to)) {
        (Some(_), None) if from == "domain" => OF_DOMAIN.contains(&to),
        (Some(_), None) => beside(to).is_some(),
        (Some(from), Some(to)) => from < to,
        (None, _) => beside(from).is_some_and(|(_, imported)| imported.contains(&to)),
    }
}

/// A module by the names of its path: `store::commit` is `["store", "commit"]`, and the crate itself is empty.
type Module = Vec<String>;

/// Paths, by the pair of sibling modules between which they lead.
type Edges = BTreeMap<(String, String), BTreeSet<String>>;

/// The paths that the modules of a crate name.
#[derive(Default)]
struct Imports {
    modules: BTreeSet<Module>,
    /// Re-exports by `pub use`: from the path that others name to the original one.
    given_on: BTreeMap<Module, Module>,
    /// The paths that each module names.
    named: BTreeSet<(Module, Module)>,
}

impl Imports {
    fn of_this_crate() -> &'static Self {
        static READ: LazyLock<Imports> = LazyLock::new(|| {
            let mut imports = Imports::default();
            imports.read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Module::new());
            imports
        });
        &READ
    }

    fn read_folder(&mut self, folder: &Path, module: &mut Module) {
        for entry in std::fs::read_dir(folder).expect("a folder of the source") {
            let path = entry.expect("its entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let is_root = ["lib", "main", "mod"].contains(&name.as_str());
            if name == "tests" {
                continue;
            }
            if !is_root {
                module.push(name);
            }
            if path.is_dir() {
                self.read_folder(&path, module);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.read(module, &std::fs::read_to_string(&path).expect("a text"));
            }
            if !is_root {
                module.pop();
            }
        }
    }

    fn read(&mut self, module: &Module, text: &str) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{module:?}: {error}"));
        self.modules.insert(module.clone());
        Reader { imports: self, module: module.clone() }.visit_file(&file);
    }

    /// The module that defines a path, after re-exports.
    fn home(&self, path: &Module) -> Module {
        let mut path = path.clone();
        let mut seen = BTreeSet::new();
        while seen.insert(path.clone()) {
            let given_on =
                (1..=path.len()).rev().find_map(|length| Some((length, self.given_on.get(&path[..length])?)));
            let Some((length, target)) = given_on else { break };
            path = target.iter().chain(&path[length..]).cloned().collect();
        }
        while !path.is_empty() && !self.modules.contains(&path) {
            path.pop();
        }
        path
    }

    /// Which sibling modules name each other's paths, by their parent. A parent and its child may name each other.
    fn edges(&self) -> BTreeMap<Module, Edges> {
        let mut edges: BTreeMap<Module, Edges> = BTreeMap::new();
        for (from, path) in &self.named {
            let to = self.home(path);
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let between = edges.entry(from[..shared].to_vec()).or_default();
                let named = format!("{} names {}", from.join("::"), path.join("::"));
                between.entry((one.clone(), other.clone())).or_default().insert(named);
            }
        }
        edges
    }
}

/// Sets of modules in which each leads to all others.
fn circles(edges: &Edges) -> BTreeSet<BTreeSet<String>> {
    let reached = |start: &String| {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let next = edges.keys().filter(|(from, _)| from == at).map(|(_, to)| to);
            open.extend(next.filter(|to| reached.insert((*to).clone())));
        }
        reached
    };
    let all: BTreeMap<_, _> = edges.keys().map(|(from, _)| (from, reached(from))).collect();
    let leads_back = |from: &String, to: &String| all.get(from).is_some_and(|reached| reached.contains(to));
    let within = all.keys().filter(|name| leads_back(name, name));
    within.map(|name| all[*name].iter().filter(|other| leads_back(other, name)).cloned().collect()).collect()
}

/// Collects the paths that one module names.
struct Reader<'a> {
    imports: &'a mut Imports,
    module: Module,
}

impl Reader<'_> {
    /// A path from the crate's root; `None` if it begins in another crate.
    fn absolute(&self, segments: &[String]) -> Option<Module> {
        let (first, rest) = segments.split_first()?;
        let mut path = match first.as_str() {
            "crate" => Module::new(),
            "self" => self.module.clone(),
            "super" => self.module.split_last()?.1.to_vec(),
            _ => return None,
        };
        for segment in rest {
            if segment == "super" {
                path.pop()?;
            } else {
                path.push(segment.clone());
            }
        }
        Some(path)
    }

    fn name(&mut self, segments: &[String]) {
        if let Some(path) = self.absolute(segments) {
            self.imports.named.insert((self.module.clone(), path));
        }
    }

    fn tree(&mut self, tree: &UseTree, path: &mut Vec<String>, is_given_on: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, is_given_on);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, path, is_given_on)),
            UseTree::Name(name) => self.leaf(path, &name.ident.to_string(), None, is_given_on),
            UseTree::Rename(name) => {
                self.leaf(path, &name.ident.to_string(), Some(name.rename.to_string()), is_given_on);
            }
            UseTree::Glob(_) => self.name(path),
        }
    }

    fn leaf(&mut self, path: &[String], name: &str, renamed: Option<String>, is_given_on: bool) {
        let mut segments = path.to_vec();
        if name != "self" {
            segments.push(name.to_owned());
        }
        self.name(&segments);
        if is_given_on {
            let known_as = renamed.or_else(|| segments.last().cloned()).expect("a name");
            // Any other path begins at a child module, or in another crate, whose modules are none of these.
            let of_child = || self.module.iter().chain(&segments).cloned().collect();
            let target = self.absolute(&segments).unwrap_or_else(of_child);
            let shown: Module = self.module.iter().chain([&known_as]).cloned().collect();
            // `pub use name::name` leads into the module of that name, which is known already.
            if !target.starts_with(&shown) {
                self.imports.given_on.insert(shown, target);
            }
        }
    }

    /// Paths among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.name(&std::mem::take(&mut segments));
                    }
                    segments.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.name(&std::mem::take(&mut segments));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.name(&segments);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&item.tree, &mut Vec::new(), !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.name(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let is_cfg = attribute.path().is_ident("cfg");
    is_cfg && matches!(&attribute.meta, Meta::List(list) if list.tokens.to_string() == "test")
}

#[test]
fn every_way_to_name_a_module_is_found() {
    let named = |text: &str| {
        let mut imports = Imports::default();
        for module in ["a", "b", "c"] {
            imports.read(&vec![module.to_owned()], "");
        }
        imports.read(&Module::new(), "pub use c::Given; pub use crate::c::Other as Renamed;");
        imports.read(&vec!["a".to_owned()], text);
        let top = imports.edges().remove(&Module::new()).unwrap_or_default();
        top.into_keys().map(|(from, to)| format!("{from}{to}")).collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        ("use crate::b::Item;", "ab"),
        ("use crate::{b::{self, Item}, c};", "ab ac"),
        ("use super::b;", "ab"),
        ("use crate::b::*;", "ab"),
        ("fn f() -> crate::b::Item { Vec::<super::c::Item>::new() }", "ab ac"),
        ("fn f() { assert!(crate::b::is(), \"{}\", [super::c::NAME]); }", "ab ac"),
        ("mod inner { use super::super::b::Item; }", "ab"),
        ("use crate::Given;", "ac"),
        ("use crate::Renamed;", "ac"),
        ("use crate::a::Own; use other::b::Item;", ""),
        ("pub use b::b; fn f() { self::b::b(); }", ""),
        ("#[cfg(test)] mod tests { use crate::b::Item; }", ""),
    ] {
        assert_eq!(named(text), expected, "{text}");
    }
}

#[test]
fn a_circle_is_found_with_all_its_modules_and_nothing_that_only_leads_to_it() {
    let edge = |text: &str| ((text[..1].to_owned(), text[1..].to_owned()), BTreeSet::new());
    let edges: Edges = ["ab", "bc", "ca", "da", "ae", "fg", "gf"].map(edge).into();
    let found: Vec<_> = circles(&edges).into_iter().map(|circle| circle.into_iter().collect::<String>()).collect();
    assert_eq!(found, ["abc", "fg"]);
}
