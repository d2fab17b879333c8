//! What the names of types refer to.

use super::file::{File, Type};
use crate::contract::SchemaError;

/// Puts in place of each name that of what it refers to, within the package; with a dot before it what is of another file.
pub fn resolve(file: &mut File) -> Result<(), SchemaError> {
    let known: std::collections::HashSet<String> = file.messages.keys().chain(file.enums.keys()).cloned().collect();
    let (package, imports) = (file.package.clone(), file.imports);
    let find = |scope: &str, name: &str| -> Result<String, SchemaError> {
        let found = match name.strip_prefix('.') {
            Some(absolute) => local(absolute, &package).filter(|name| known.contains(*name)).map(str::to_owned),
            None => scopes(scope)
                .map(|scope| join(scope, name))
                .find(|name| known.contains(name))
                .or_else(|| local(name, &package).filter(|name| known.contains(*name)).map(str::to_owned)),
        };
        match found {
            Some(found) => Ok(found),
            None if imports => Ok(format!(".{}", name.trim_start_matches('.'))),
            None => Err(SchemaError::at(scope, format!("no type {name} is defined or imported"))),
        }
    };
    let places: Vec<(String, i64)> =
        file.messages.iter().flat_map(|(name, message)| message.fields.keys().map(|number| (name.clone(), *number))).collect();
    for (message, number) in places {
        let Some(field) = file.messages.get_mut(&message).and_then(|found| found.fields.get_mut(&number)) else { continue };
        match &mut field.ty {
            Type::Named(name) => *name = find(&message, name)?,
            Type::Map(_, value) => {
                if let Type::Named(name) = value.as_mut() {
                    *name = find(&message, name)?;
                }
            }
            Type::Scalar(_) | Type::Group(_) => {}
        }
    }
    Ok(())
}

/// From the innermost outwards: `A.B`, `A` and the package.
fn scopes(scope: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(scope), |scope| match scope.rsplit_once('.') {
        Some((outer, _)) => Some(outer),
        None if scope.is_empty() => None,
        None => Some(""),
    })
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn local<'a>(name: &'a str, package: &str) -> Option<&'a str> {
    if package.is_empty() { Some(name) } else { name.strip_prefix(package)?.strip_prefix('.') }
}
