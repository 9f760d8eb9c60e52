//! From a type's definition to its `Module` implementation.

use crate::options;
use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{Data, DeriveInput, Error, Fields, Generics, Ident, Path, Result, TypePath, WherePredicate, parse_quote};

/// The implementation for `input`.
pub fn module(input: &DeriveInput) -> Result<TokenStream> {
    let options = options::of_type(&input.attrs)?;
    let krate = match &options.krate {
        Some(path) => quote!(#path),
        None => locate()?,
    };
    let arms = arms(&input.data)?;
    let mut generics = input.generics.clone();
    let bounds = Bounds::of(&arms, &generics, &krate);
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    let (name, plain) = (&input.ident, input.ident.unraw().to_string());
    let kind = options.kind.map_or(quote!(#plain), |path| quote!(#path));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let [visit, visit_mut] = [false, true].map(|exclusive| {
        let arms = arms.iter().map(|a| a.tokens(&krate, exclusive));
        if arms.len() == 0 { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::module::Module for #name #type_generics #where_clause {
            fn visit(&self, __visitor: &mut dyn #krate::module::Visitor) {
                #krate::module::Visitor::layer(__visitor, #kind);
                #visit
            }
            fn visit_mut(&mut self, __visitor: &mut dyn #krate::module::VisitorMut) {
                #visit_mut
            }
        }
    })
}

/// Where the traits are for the crate that is being compiled.
fn locate() -> Result<TokenStream> {
    let named = |name: &str| Ident::new(name, Span::call_site());
    if let Ok(found) = crate_name("gradus-nn") {
        // The library refers to itself by its own name, so that its examples and tests can as well.
        let name = match found {
            FoundCrate::Itself => named("gradus_nn"),
            FoundCrate::Name(n) => named(&n),
        };
        return Ok(quote!(::#name));
    }
    match crate_name("gradus") {
        Ok(FoundCrate::Itself) => Ok(quote!(::gradus::nn)),
        Ok(FoundCrate::Name(n)) => {
            let name = named(&n);
            Ok(quote!(::#name::nn))
        }
        Err(_) => Err(Error::new(
            Span::call_site(),
            "neither `gradus` nor `gradus-nn` is a dependency of this crate: add one, or say where the traits are \
             with #[module(crate = \"path\")]",
        )),
    }
}

/// One arm of the `match` over a type's variants; a struct has one.
struct Arm {
    constructor: Path,
    fields: Vec<Field>,
}

struct Field {
    /// Its name or index.
    member: syn::Member,
    ty: syn::Type,
    step: Step,
}

/// How a field is reached.
enum Step {
    Skip,
    /// Under a name of its own.
    Named(String),
    /// Under the name of the whole.
    Transparent,
}

fn arms(data: &Data) -> Result<Vec<Arm>> {
    match data {
        Data::Struct(s) => Ok(vec![Arm::new(parse_quote!(Self), &s.fields, false)?]),
        Data::Enum(e) => {
            let arm = |v: &syn::Variant| {
                options::of_variant(&v.attrs)?;
                let name = &v.ident;
                Arm::new(parse_quote!(Self::#name), &v.fields, true)
            };
            e.variants.iter().map(arm).collect()
        }
        Data::Union(u) => Err(Error::new(
            u.union_token.span,
            "Module cannot be derived for a union: which of its fields is live is not known",
        )),
    }
}

impl Arm {
    fn new(constructor: Path, fields: &Fields, variant: bool) -> Result<Arm> {
        let lone = variant && matches!(fields, Fields::Unnamed(f) if f.unnamed.len() == 1);
        let field = |(i, f): (usize, &syn::Field)| {
            let options = options::of_field(&f.attrs)?;
            let step = match (options.skip, options.rename) {
                (true, _) => Step::Skip,
                (false, Some(name)) => Step::Named(name.value()),
                (false, None) if lone => Step::Transparent,
                (false, None) => Step::Named(f.ident.as_ref().map_or(i.to_string(), |n| n.unraw().to_string())),
            };
            let member = f.ident.clone().map_or(syn::Member::from(i), syn::Member::from);
            Ok(Field { member, ty: f.ty.clone(), step })
        };
        let fields: Vec<Field> = fields.iter().enumerate().map(field).collect::<Result<_>>()?;
        let mut names = HashSet::new();
        for f in &fields {
            if let Step::Named(name) = &f.step
                && !names.insert(name)
            {
                return Err(Error::new_spanned(&f.member, format!("two fields are visited as `{name}`")));
            }
        }
        Ok(Arm { constructor, fields })
    }

    fn tokens(&self, krate: &TokenStream, exclusive: bool) -> TokenStream {
        let suffix = if exclusive { "_mut" } else { "" };
        let (step, whole) = (format_ident!("visit_field{suffix}"), format_ident!("visit{suffix}"));
        let shown = || self.fields.iter().enumerate().filter(|(_, f)| !matches!(f.step, Step::Skip));
        let patterns = shown().map(|(i, f)| {
            let (member, bound) = (&f.member, format_ident!("__field{i}"));
            quote!(#member: #bound)
        });
        let calls = shown().map(|(i, f)| {
            let bound = format_ident!("__field{i}");
            match &f.step {
                Step::Named(name) => quote!(#krate::module::#step(__visitor, #name, #bound);),
                _ => quote!(#krate::module::Module::#whole(#bound, __visitor);),
            }
        });
        let constructor = &self.constructor;
        quote!(#constructor { #(#patterns,)* .. } => { #(#calls)* })
    }
}

/// The bounds that make the fields modules.
struct Bounds<'a> {
    params: HashSet<&'a Ident>,
    /// Type parameters and projections from them (`T`, `T::Item`), as they occur in fields.
    found: Vec<TypePath>,
    seen: HashSet<String>,
}

impl Bounds<'_> {
    fn of(arms: &[Arm], generics: &Generics, krate: &TokenStream) -> Vec<WherePredicate> {
        let params = generics.type_params().map(|p| &p.ident).collect();
        let mut bounds = Bounds { params, found: vec![], seen: HashSet::new() };
        let fields = || arms.iter().flat_map(|a| &a.fields);
        fields().filter(|f| !matches!(f.step, Step::Skip)).for_each(|f| bounds.visit_type(&f.ty));
        let modules = bounds.found.len();
        // A module can be used from several threads, hence so can what it does not show.
        fields().filter(|f| matches!(f.step, Step::Skip)).for_each(|f| bounds.visit_type(&f.ty));
        let bound = |(i, path): (usize, &TypePath)| match i < modules {
            true => parse_quote!(#path: #krate::module::Module),
            false => parse_quote!(#path: ::core::marker::Send + ::core::marker::Sync),
        };
        bounds.found.iter().enumerate().map(bound).collect()
    }
}

impl<'ast> Visit<'ast> for Bounds<'_> {
    fn visit_type_path(&mut self, path: &'ast TypePath) {
        let first = path.path.segments.first();
        let is_param = path.qself.is_none() && first.is_some_and(|s| self.params.contains(&s.ident));
        if is_param && self.seen.insert(quote!(#path).to_string()) {
            self.found.push(path.clone());
        }
        syn::visit::visit_type_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(code: &str) -> Result<String> {
        module(&syn::parse_str(code).unwrap()).map(|t| t.to_string())
    }

    #[test]
    fn mistakes_are_explained() {
        for (code, message) in [
            ("#[module(crate = \"n\")] union U { a: u8 }", "cannot be derived for a union"),
            (
                "#[module(crate = \"n\")] struct S { #[module(skipp)] a: u8 }",
                "unknown option of a field: possible are `skip`",
            ),
            (
                "#[module(crate = \"n\")] struct S { #[module(skip, rename = \"b\")] a: u8 }",
                "choose `skip` or `rename`",
            ),
            ("#[module(crate = \"n\")] struct S { #[module(rename = \"\")] a: u8 }", "must not be empty"),
            (
                "#[module(crate = \"n\")] struct S { #[module(rename = \"b\")] a: u8, b: u8 }",
                "two fields are visited as `b`",
            ),
            ("#[module(crate = \"n\")] enum E { #[module(skip)] A(u8) }", "a variant has no options"),
            ("#[module(path = \"n\")] struct S;", "unknown option of a type"),
            ("struct S;", "neither `gradus` nor `gradus-nn` is a dependency"),
        ] {
            let error = derive(code).expect_err(code).to_string();
            assert!(error.contains(message), "{code}: {error}");
        }
    }

    #[test]
    fn each_type_parameter_is_bound_once() {
        let code = derive(
            "#[module(crate = \"n\")] struct S<M, T, K> { a: M, b: Vec<M>, #[module(skip)] t: (T, M), k: [K::Out; 2] }",
        )
        .unwrap();
        assert_eq!(code.matches("M : n :: module :: Module").count(), 1);
        assert_eq!(code.matches("K :: Out : n :: module :: Module").count(), 1);
        assert_eq!(code.matches("T : :: core :: marker :: Send").count(), 1);
    }

    #[test]
    fn names_are_fields_and_indices() {
        let code =
            derive("#[module(crate = \"n\")] struct S { r#type: u8, #[module(rename = \"x.y\")] b: u8 }").unwrap();
        assert!(code.contains("\"type\"") && code.contains("\"x.y\"") && !code.contains("\"b\""));
        assert!(derive("#[module(crate = \"n\")] struct S(u8, u8);").unwrap().contains("\"1\""));
        let code = derive("#[module(crate = \"n\")] enum E { A(u8), B { x: u8 }, C }").unwrap();
        assert!(!code.contains("\"0\"") && code.contains("\"x\""));
    }
}
