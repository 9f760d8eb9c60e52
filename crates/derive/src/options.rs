//! The `#[module(...)]` attributes.

use syn::{Attribute, Error, LitStr, Path, Result};

/// What is asked of one field.
#[derive(Default)]
pub struct FieldOptions {
    pub skip: bool,
    pub rename: Option<LitStr>,
}

/// Reads the attributes of a field.
pub fn of_field(attrs: &[Attribute]) -> Result<FieldOptions> {
    let mut found = FieldOptions::default();
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                found.skip = true;
            } else if meta.path.is_ident("rename") {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() || name.value().split('.').any(str::is_empty) {
                    return Err(Error::new(name.span(), "a name must not be empty, nor any part between its dots"));
                }
                found.rename = Some(name);
            } else {
                return Err(meta.error("unknown option of a field: possible are `skip` and `rename = \"name\"`"));
            }
            Ok(())
        })?;
        if let (true, Some(name)) = (found.skip, &found.rename) {
            return Err(Error::new(name.span(), "a skipped field has no name: choose `skip` or `rename`"));
        }
    }
    Ok(found)
}

/// What is asked of the type.
#[derive(Default)]
pub struct TypeOptions {
    /// Where the traits are.
    pub krate: Option<Path>,
    /// The constant that names the type.
    pub kind: Option<Path>,
}

/// Reads the attributes of the type.
pub fn of_type(attrs: &[Attribute]) -> Result<TypeOptions> {
    let mut found = TypeOptions::default();
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            let target = if meta.path.is_ident("crate") {
                &mut found.krate
            } else if meta.path.is_ident("kind") {
                &mut found.kind
            } else {
                return Err(
                    meta.error("unknown option of a type: possible are `crate = \"path\"` and `kind = \"path\"`")
                );
            };
            *target = Some(meta.value()?.parse::<LitStr>()?.parse_with(Path::parse_mod_style)?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Refuses attributes on an enum's variant, where there is nothing to choose.
pub fn of_variant(attrs: &[Attribute]) -> Result<()> {
    match attrs.iter().find(|a| a.path().is_ident("module")) {
        Some(a) => Err(Error::new_spanned(a, "a variant has no options: put them on its fields")),
        None => Ok(()),
    }
}
