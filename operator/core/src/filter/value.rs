//! Values of AMQP 1.0 that a message holds.

use num_bigint::BigInt;
use serde::Deserialize;
use serde_json::Value as Json;

/// A value of AMQP 1.0.
///
/// As JSON it is `{"<type>": value}`: `{"ulong": 5}`, `{"symbol": "text/plain"}`, `{"timestamp": 1700000000000}`,
/// `{"binary": "00FF"}`, `{"uuid": "…"}`, `{"double": "NaN"}`. A JSON value alone is null, a boolean, a long (an ulong if it
/// is too large), a double, a string or a list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Json")]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// 8 bits without sign.
    Ubyte(u8),
    /// 16 bits without sign.
    Ushort(u16),
    /// 32 bits without sign.
    Uint(u32),
    /// 64 bits without sign.
    Ulong(u64),
    /// 8 bits.
    Byte(i8),
    /// 16 bits.
    Short(i16),
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// Floating point of 32 bits.
    Float(f32),
    /// Floating point of 64 bits.
    Double(f64),
    /// Decimal floating point: its 4, 8 or 16 bytes. The broker does not look into it.
    Decimal(Vec<u8>),
    /// A Unicode character.
    Char(char),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// 16 bytes.
    Uuid([u8; 16]),
    /// Bytes.
    Binary(Vec<u8>),
    /// Text.
    String(String),
    /// ASCII text of a closed set.
    Symbol(String),
    /// Values one after another.
    List(Vec<Value>),
    /// Values of one type.
    Array(Vec<Value>),
}

/// A value as an expression sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// Absent, null, or of a type that filters do not know.
    Unknown,
    Boolean(bool),
    Number(super::number::Number),
    /// Strings, symbols, binaries and UUIDs: the broker compares them as bytes.
    Bytes(Vec<u8>),
}

impl From<&Value> for Operand {
    fn from(value: &Value) -> Self {
        let integer = |integer: BigInt| Self::Number(integer.into());
        match value {
            // Of a double that is not finite, the broker keeps the bytes, and does not take them for a number.
            Value::Null | Value::Decimal(_) | Value::List(_) | Value::Array(_) => Self::Unknown,
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Ubyte(number) => integer((*number).into()),
            Value::Ushort(number) => integer((*number).into()),
            Value::Uint(number) => integer((*number).into()),
            Value::Ulong(number) => integer((*number).into()),
            Value::Byte(number) => integer((*number).into()),
            Value::Short(number) => integer((*number).into()),
            Value::Int(number) => integer((*number).into()),
            Value::Long(number) | Value::Timestamp(number) => integer((*number).into()),
            Value::Char(char) => integer(u32::from(*char).into()),
            Value::Float(float) => Self::float(f64::from(*float)),
            Value::Double(float) => Self::float(*float),
            Value::Uuid(bytes) => Self::Bytes(bytes.to_vec()),
            Value::Binary(bytes) => Self::Bytes(bytes.clone()),
            Value::String(text) | Value::Symbol(text) => Self::Bytes(text.clone().into_bytes()),
        }
    }
}

impl Operand {
    fn float(float: f64) -> Self {
        if float.is_finite() { Self::Number(float.into()) } else { Self::Unknown }
    }
}

impl TryFrom<Json> for Value {
    type Error = String;

    fn try_from(json: Json) -> Result<Self, String> {
        match json {
            Json::Null => Ok(Self::Null),
            Json::Bool(boolean) => Ok(Self::Boolean(boolean)),
            Json::String(text) => Ok(Self::String(text)),
            Json::Array(items) => list(items).map(Self::List),
            Json::Number(number) => {
                let long = number.as_i64().map(Self::Long).or_else(|| number.as_u64().map(Self::Ulong));
                long.or_else(|| number.as_f64().map(Self::Double)).ok_or_else(|| format!("{number} is out of range"))
            }
            Json::Object(object) => {
                let mut entries = object.into_iter();
                match (entries.next(), entries.next()) {
                    (Some((kind, value)), None) => typed(&kind, value),
                    _ => Err("a typed value is an object with one entry, such as {\"ulong\": 5}".to_owned()),
                }
            }
        }
    }
}

fn list(items: Vec<Json>) -> Result<Vec<Value>, String> {
    items.into_iter().map(Value::try_from).collect()
}

fn typed(kind: &str, json: Json) -> Result<Value, String> {
    fn of<T: serde::de::DeserializeOwned>(kind: &str, json: Json) -> Result<T, String> {
        serde_json::from_value(json).map_err(|error| format!("{kind}: {error}"))
    }
    Ok(match kind {
        "boolean" => Value::Boolean(of(kind, json)?),
        "ubyte" => Value::Ubyte(of(kind, json)?),
        "ushort" => Value::Ushort(of(kind, json)?),
        "uint" => Value::Uint(of(kind, json)?),
        "ulong" => Value::Ulong(of(kind, json)?),
        "byte" => Value::Byte(of(kind, json)?),
        "short" => Value::Short(of(kind, json)?),
        "int" => Value::Int(of(kind, json)?),
        "long" => Value::Long(of(kind, json)?),
        // JSON has no number for infinity, and none for what is not a number.
        "float" | "double" => match (kind, json) {
            ("float", Json::String(text)) => Value::Float(text.parse().map_err(|error| format!("{kind}: {error}"))?),
            (_, Json::String(text)) => Value::Double(text.parse().map_err(|error| format!("{kind}: {error}"))?),
            ("float", json) => Value::Float(of(kind, json)?),
            (_, json) => Value::Double(of(kind, json)?),
        },
        "decimal" => {
            let bytes = bytes(&of::<String>(kind, json)?)?;
            if ![4, 8, 16].contains(&bytes.len()) {
                return Err("a decimal has 4, 8 or 16 bytes".to_owned());
            }
            Value::Decimal(bytes)
        }
        "char" => Value::Char(of(kind, json)?),
        "timestamp" => Value::Timestamp(of(kind, json)?),
        "uuid" => {
            let bytes = bytes(&of::<String>(kind, json)?.replace('-', ""))?;
            Value::Uuid(bytes.try_into().map_err(|_| "a UUID has 16 bytes".to_owned())?)
        }
        "binary" => Value::Binary(bytes(&of::<String>(kind, json)?)?),
        "string" => Value::String(of(kind, json)?),
        "symbol" => Value::Symbol(of(kind, json)?),
        "list" => Value::List(list(of(kind, json)?)?),
        "array" => Value::Array(list(of(kind, json)?)?),
        other => return Err(format!("there is no type {other}")),
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{hex} is not an even number of hexadecimal digits");
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(json: Json) -> Result<Value, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn json_has_types_where_they_are_written() {
        for (json, expected) in [
            (json!(null), Value::Null),
            (json!(-5), Value::Long(-5)),
            (json!(u64::MAX), Value::Ulong(u64::MAX)),
            (json!(1.5), Value::Double(1.5)),
            (json!("a"), Value::String("a".to_owned())),
            (json!({"ubyte": 255}), Value::Ubyte(255)),
            (json!({"float": "-inf"}), Value::Float(f32::NEG_INFINITY)),
            (json!({"binary": "00fF"}), Value::Binary(vec![0, 255])),
            (json!({"uuid": "00000000-0000-0000-0000-0000000000ff"}), Value::Uuid(255u128.to_be_bytes())),
            (json!({"array": [{"int": 1}]}), Value::Array(vec![Value::Int(1)])),
        ] {
            assert_eq!(value(json.clone()).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn json_of_a_wrong_type_is_refused() {
        for json in [json!({"ubyte": 256}), json!({"octet": 1}), json!({}), json!({"uuid": "00"}), json!({"binary": "0"})] {
            assert!(value(json.clone()).is_err(), "{json}");
        }
    }
}
