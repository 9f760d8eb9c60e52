//! Dotted settings over a TOML table: one mechanism for recipe files and for `--set key=value`.

use crate::error::{Result, TrainError, did_you_mean};
use toml::{Table, Value};

/// Sections of a recipe: structs whose every field has a default.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }
    )*};
}
pub(crate) use settings;

/// Sets `key` (dotted) in `table` to `value`; the key must exist and the types must agree.
///
/// # Errors
/// An unknown key, with the nearest one and the list; or a value of another type.
pub(crate) fn set(table: &mut Table, key: &str, value: Value) -> Result<()> {
    let known: Vec<String> = leaves(table).into_iter().map(|(k, _)| k).collect();
    let Some(slot) = find_mut(table, key).filter(|v| !v.is_table()) else {
        return Err(unknown(key, &known));
    };
    *slot = convert(slot, value)
        .map_err(|(want, got)| TrainError::Recipe(format!("setting `{key}`: expected {want}, got {got}")))?;
    Ok(())
}

/// Reads `key=value` as given on the command line; the value's type follows the setting it replaces.
///
/// # Errors
/// If there is no `=`, and those of [`set`].
pub(crate) fn set_from_text(table: &mut Table, assignment: &str) -> Result<()> {
    let (key, text) = split_assignment(assignment)?;
    let wants_text = matches!(find_mut(table, key), Some(Value::String(_)));
    set(table, key, parse_value(text, wants_text))
}

/// The key and the text of `key=value`.
///
/// # Errors
/// If there is no `=`.
pub(crate) fn split_assignment(assignment: &str) -> Result<(&str, &str)> {
    let (key, text) = assignment.split_once('=').ok_or_else(|| {
        TrainError::Recipe(format!("setting `{assignment}`: expected key=value, as in optimizer.lr=0.01"))
    })?;
    Ok((key.trim(), text.trim()))
}

/// Every setting of a table as dotted key and value, in order.
pub(crate) fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => out.extend(leaves(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v))),
            leaf => out.push((key.clone(), leaf.clone())),
        }
    }
    out
}

fn unknown(key: &str, known: &[String]) -> TrainError {
    // A bare last part ("lr" for "optimizer.lr") is the likeliest slip, so it is looked for first.
    let hint = match known.iter().find(|k| k.rsplit('.').next() == Some(key)) {
        Some(full) => format!(" (did you mean `{full}`?)"),
        None => did_you_mean(key, known.iter().map(String::as_str)),
    };
    TrainError::Recipe(format!("unknown setting `{key}`{hint}. Settings: {}", known.join(", ")))
}

fn find_mut<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((head, rest)) => find_mut(table.get_mut(head)?.as_table_mut()?, rest),
    }
}

fn parse_value(text: &str, wants_text: bool) -> Value {
    let parsed = || toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value");
    match parsed() {
        Some(value) if !wants_text || value.is_str() => value,
        _ => Value::String(text.to_string()),
    }
}

/// `value` as the type of `slot`, or what was expected and what was given.
fn convert(slot: &Value, value: Value) -> Result<Value, (String, String)> {
    match (slot, value) {
        (Value::Float(_), Value::Integer(i)) => Ok(Value::Float(i as f64)),
        (Value::Array(old), Value::Array(new)) => {
            let Some(sample) = old.first() else { return Ok(Value::Array(new)) };
            let given = show(&Value::Array(new.clone()));
            let items: Result<Vec<Value>, _> = new.into_iter().map(|v| convert(sample, v)).collect();
            items.map(Value::Array).map_err(|_| (kind(slot), given))
        }
        (old, new) if old.same_type(&new) => Ok(new),
        (old, new) => Err((kind(old), show(&new))),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::String(_) => "text".into(),
        Value::Integer(_) => "a whole number".into(),
        Value::Float(_) => "a number".into(),
        Value::Boolean(_) => "true or false".into(),
        Value::Datetime(_) => "a date".into(),
        Value::Table(_) => "a table".into(),
        Value::Array(items) => match items.first() {
            Some(Value::Integer(_)) => "a list of whole numbers such as [32, 64]".into(),
            Some(Value::Float(_)) => "a list of numbers such as [0.5]".into(),
            _ => "a list".into(),
        },
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(s) => format!("the text \"{s}\""),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        toml::from_str("epochs = 3\nname = \"x\"\n[optimizer]\nlr = 0.1\n[model]\nhidden = [8, 4]").unwrap()
    }

    fn message(assignment: &str) -> String {
        set_from_text(&mut table(), assignment).unwrap_err().to_string()
    }

    #[test]
    fn values_take_the_type_of_the_setting() {
        let mut t = table();
        for s in ["optimizer.lr=1", "name=5", "model.hidden=[16]", "epochs = 7"] {
            set_from_text(&mut t, s).unwrap();
        }
        assert_eq!(t["optimizer"]["lr"], Value::Float(1.0));
        assert_eq!(t["name"], Value::String("5".into()));
        assert_eq!(t["model"]["hidden"], Value::Array(vec![Value::Integer(16)]));
        assert_eq!(t["epochs"], Value::Integer(7));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_lists_all() {
        assert_eq!(
            message("optimiser.lr=1"),
            "unknown setting `optimiser.lr` (did you mean `optimizer.lr`?). Settings: epochs, model.hidden, name, optimizer.lr"
        );
        assert!(message("lr=1").contains("did you mean `optimizer.lr`?"));
        assert!(message("optimizer=1").starts_with("unknown setting `optimizer`"));
    }

    #[test]
    fn a_wrong_type_names_key_expected_and_given() {
        assert_eq!(message("epochs=many"), "setting `epochs`: expected a whole number, got the text \"many\"");
        assert_eq!(message("epochs=1.5"), "setting `epochs`: expected a whole number, got `1.5`");
        assert_eq!(message("optimizer.lr=true"), "setting `optimizer.lr`: expected a number, got `true`");
        assert_eq!(
            message("model.hidden=[1, \"a\"]"),
            "setting `model.hidden`: expected a list of whole numbers such as [32, 64], got `[1, \"a\"]`"
        );
        assert!(message("epochs").contains("expected key=value"));
    }
}
