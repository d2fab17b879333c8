//! Reading bytes of a message, field by field.

use std::collections::BTreeSet;

use super::file::{Field, File, Label, Message, Type};
use crate::contract::checks::{Stop, Way};

/// Most fields and values of a message, with those within.
const STEPS: u64 = 300_000;
/// Deepest nesting: that of Protobuf's own readers.
const DEPTH: usize = 100;
/// Largest number of a field.
const MOST_NUMBER: u64 = 536_870_911;

const CUT: Stop = Stop::Broken("encoding");

type Read<T = ()> = Result<T, Stop>;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Varint,
    Eight,
    Length,
    Group,
    Four,
}

/// A value as it is written.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Plain,
}

/// Reads a message by a file.
pub struct Reader<'a> {
    file: &'a File,
    strict: bool,
    steps: u64,
    /// Where it is.
    pub way: Way,
}

impl<'a> Reader<'a> {
    pub fn new(file: &'a File, strict: bool) -> Self {
        Self { file, strict, steps: 0, way: Way::default() }
    }

    /// Reads a message of this name.
    ///
    /// # Errors
    /// It is not what the file says, or takes too long.
    pub fn read(&mut self, name: &str, bytes: &[u8]) -> Read {
        self.message(name, bytes, DEPTH)
    }

    fn message(&mut self, name: &str, mut rest: &[u8], depth: usize) -> Read {
        let depth = depth.checked_sub(1).ok_or(Stop::TooComplex)?;
        let file = self.file;
        // A type of another file: what is in it is not known.
        let Some(message) = file.messages.get(name) else { return Ok(()) };
        let mut seen = BTreeSet::new();
        while !rest.is_empty() {
            self.step()?;
            let (number, wire) = tag(&mut rest)?;
            let field = i64::try_from(number).ok().and_then(|number| message.fields.get(&number));
            let Some(field) = field else {
                self.unknown(number)?;
                skip(&mut rest, number, wire, depth)?;
                continue;
            };
            self.way.enter(&field.name);
            seen.insert(field.number);
            if let (Type::Group(inner), Wire::Group) = (&field.ty, wire) {
                let within = group(&mut rest, number, depth)?;
                self.message(inner, within, depth)?;
            } else {
                let value = value(&mut rest, wire)?;
                self.field(field, wire, value, depth)?;
            }
            self.way.leave();
        }
        self.required(message, &seen)
    }

    fn step(&mut self) -> Read {
        self.steps += 1;
        if self.steps > STEPS { Err(Stop::TooComplex) } else { Ok(()) }
    }

    fn required(&mut self, message: &Message, seen: &BTreeSet<i64>) -> Read {
        let missing = message.fields.values().find(|field| field.label == Label::Required && !seen.contains(&field.number));
        let Some(field) = missing else { return Ok(()) };
        self.way.enter(&field.name);
        Err(Stop::Broken("required"))
    }

    /// A field that the message does not have: readers pass over it.
    fn unknown(&mut self, number: u64) -> Read {
        let extended = |(name, message): (&String, &Message)| {
            name.starts_with("extend ") && message.fields.keys().any(|known| u64::try_from(*known) == Ok(number))
        };
        if !self.strict || self.file.messages.iter().any(extended) {
            return Ok(());
        }
        self.way.enter_other();
        Err(Stop::Broken("unknown-field"))
    }

    fn field(&mut self, field: &Field, wire: Wire, value: Value<'_>, depth: usize) -> Read {
        let repeated = field.label == Label::Repeated;
        if repeated {
            self.way.enter_other();
        }
        match (&field.ty, value) {
            (Type::Map(key, inner), Value::Bytes(bytes)) => {
                self.way.enter_other();
                self.entry(key, inner, bytes, depth)?;
                self.way.leave();
            }
            (Type::Map(..) | Type::Group(_), _) => return Err(Stop::Broken("type")),
            // Several numbers may be written together, however the field was declared.
            (ty, Value::Bytes(bytes)) if repeated && self.wire(ty).is_some_and(|own| own != Wire::Length) => {
                self.packed(ty, bytes)?;
            }
            (ty, value) => self.single(ty, wire, value, depth)?,
        }
        if repeated {
            self.way.leave();
        }
        Ok(())
    }

    fn single(&mut self, ty: &Type, wire: Wire, value: Value<'_>, depth: usize) -> Read {
        if self.wire(ty).is_some_and(|own| own != wire) {
            return Err(Stop::Broken("type"));
        }
        match (ty, value) {
            (Type::Scalar(name), Value::Bytes(bytes)) if name == "string" => {
                std::str::from_utf8(bytes).map(drop).map_err(|_| CUT)
            }
            (Type::Named(name), Value::Bytes(bytes)) => self.message(name, bytes, depth),
            (Type::Named(name), Value::Number(number)) => self.of_enum(name, number),
            _ => Ok(()),
        }
    }

    /// One entry of a map: a message with a key and a value.
    fn entry(&mut self, key: &Type, inner: &Type, mut rest: &[u8], depth: usize) -> Read {
        let depth = depth.checked_sub(1).ok_or(Stop::TooComplex)?;
        while !rest.is_empty() {
            self.step()?;
            let (number, wire) = tag(&mut rest)?;
            match number {
                1 | 2 => {
                    let value = value(&mut rest, wire)?;
                    self.single(if number == 1 { key } else { inner }, wire, value, depth)?;
                }
                _ => skip(&mut rest, number, wire, depth)?,
            }
        }
        Ok(())
    }

    fn packed(&mut self, ty: &Type, mut rest: &[u8]) -> Read {
        while !rest.is_empty() {
            self.step()?;
            match (self.wire(ty), ty) {
                (Some(Wire::Four), _) => drop(take(&mut rest, 4)?),
                (Some(Wire::Eight), _) => drop(take(&mut rest, 8)?),
                (_, Type::Named(name)) => {
                    let number = varint(&mut rest)?;
                    self.of_enum(name, number)?;
                }
                _ => drop(varint(&mut rest)?),
            }
        }
        Ok(())
    }

    /// A number that the enum has no name for: proto3 keeps it, and proto2 takes the field for missing.
    fn of_enum(&self, name: &str, number: u64) -> Read {
        let Some(known) = self.file.enums.get(name).filter(|_| self.strict) else { return Ok(()) };
        // An enum has 32 bits; the others of a negative number are all set.
        let is_known = known.values.iter().any(|(_, value)| value.cast_unsigned() == number);
        if is_known { Ok(()) } else { Err(Stop::Broken("enum-value")) }
    }

    /// How values of a type are written. Nothing for a type of another file, which may be an enum or a message.
    fn wire(&self, ty: &Type) -> Option<Wire> {
        Some(match ty {
            Type::Scalar(name) => match name.as_str() {
                "string" | "bytes" => Wire::Length,
                "double" | "fixed64" | "sfixed64" => Wire::Eight,
                "float" | "fixed32" | "sfixed32" => Wire::Four,
                _ => Wire::Varint,
            },
            Type::Named(name) if self.file.messages.contains_key(name) => Wire::Length,
            Type::Named(name) if self.file.enums.contains_key(name) => Wire::Varint,
            Type::Named(_) => return None,
            Type::Map(..) => Wire::Length,
            Type::Group(_) => Wire::Group,
        })
    }
}

fn tag(rest: &mut &[u8]) -> Read<(u64, Wire)> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Varint,
        1 => Wire::Eight,
        2 => Wire::Length,
        3 => Wire::Group,
        5 => Wire::Four,
        _ => return Err(CUT),
    };
    let number = tag >> 3;
    if (1..=MOST_NUMBER).contains(&number) { Ok((number, wire)) } else { Err(CUT) }
}

fn value<'a>(rest: &mut &'a [u8], wire: Wire) -> Read<Value<'a>> {
    Ok(match wire {
        Wire::Varint => Value::Number(varint(rest)?),
        Wire::Length => {
            let length = usize::try_from(varint(rest)?).map_err(|_| CUT)?;
            Value::Bytes(take(rest, length)?)
        }
        Wire::Eight | Wire::Four => {
            take(rest, if wire == Wire::Four { 4 } else { 8 })?;
            Value::Plain
        }
        // Where none is declared it has another type.
        Wire::Group => return Err(Stop::Broken("type")),
    })
}

fn skip(rest: &mut &[u8], number: u64, wire: Wire, depth: usize) -> Read {
    if wire == Wire::Group { group(rest, number, depth).map(drop) } else { value(rest, wire).map(drop) }
}

/// What is in a group, up to its end.
fn group<'a>(rest: &mut &'a [u8], number: u64, depth: usize) -> Read<&'a [u8]> {
    let depth = depth.checked_sub(1).ok_or(Stop::TooComplex)?;
    let whole = *rest;
    loop {
        let left = rest.len();
        let mut ahead = *rest;
        if varint(&mut ahead)? == number << 3 | 4 {
            *rest = ahead;
            return Ok(&whole[..whole.len() - left]);
        }
        let (inner, wire) = tag(rest)?;
        skip(rest, inner, wire, depth)?;
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Read<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or(CUT)?;
    *rest = left;
    Ok(taken)
}

/// A number, seven bits a byte; what is beyond 64 bits is dropped, as readers do.
fn varint(rest: &mut &[u8]) -> Read<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(CUT)
}
