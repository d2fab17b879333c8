//! Reading bytes by a writer's schema, to their end.

use super::schema::{Id, Kind, Schema};
use crate::contract::checks::{Stop, Way};

/// Most values of a message: those of some types take no byte.
const STEPS: u64 = 300_000;
/// Deepest nesting of values.
const DEPTH: usize = 100;

/// Reads a message.
pub struct Datum<'a> {
    schema: &'a Schema,
    rest: &'a [u8],
    steps: u64,
    /// Where it is.
    pub way: Way,
}

type Read<T = ()> = Result<T, Stop>;

const CUT: Stop = Stop::Broken("encoding");

impl<'a> Datum<'a> {
    pub fn new(schema: &'a Schema, message: &'a [u8]) -> Self {
        Self { schema, rest: message, steps: 0, way: Way::default() }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// It is not what the schema says, or takes too long.
    pub fn read(&mut self) -> Read {
        self.value(self.schema.root, DEPTH)?;
        if self.rest.is_empty() { Ok(()) } else { Err(Stop::Broken("trailing")) }
    }

    fn value(&mut self, id: Id, depth: usize) -> Read {
        let depth = depth.checked_sub(1).ok_or(Stop::TooComplex)?;
        self.steps += 1;
        if self.steps > STEPS {
            return Err(Stop::TooComplex);
        }
        let schema = self.schema;
        match &schema.types[id].kind {
            Kind::Null => Ok(()),
            Kind::Boolean => match self.take(1)? {
                [0 | 1] => Ok(()),
                _ => Err(CUT),
            },
            Kind::Int => {
                let number = self.long()?;
                i32::try_from(number).map(drop).map_err(|_| Stop::Broken("type"))
            }
            Kind::Long => self.long().map(drop),
            Kind::Float => self.take(4).map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Bytes => self.bytes().map(drop),
            Kind::String => {
                let text = self.bytes()?;
                std::str::from_utf8(text).map(drop).map_err(|_| CUT)
            }
            Kind::Fixed(size) => self.take(usize::try_from(*size).map_err(|_| CUT)?).map(drop),
            Kind::Enum { symbols, .. } => self.index(symbols.len(), "enum-symbol").map(drop),
            Kind::Union(branches) => {
                let at = self.index(branches.len(), "union")?;
                self.value(branches[at], depth)
            }
            Kind::Record(fields) => {
                for field in fields {
                    self.way.enter(&field.name);
                    self.value(field.schema, depth)?;
                    self.way.leave();
                }
                Ok(())
            }
            Kind::Array(items) => self.blocks(*items, false, depth),
            Kind::Map(values) => self.blocks(*values, true, depth),
        }
    }

    /// The blocks of a list or a map. A negative count is followed by the size of the block.
    fn blocks(&mut self, inner: Id, keys: bool, depth: usize) -> Read {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 && self.long()? < 0 {
                return Err(CUT);
            }
            self.way.enter_other();
            for _ in 0..count.unsigned_abs() {
                if keys {
                    let key = self.bytes()?;
                    std::str::from_utf8(key).map_err(|_| CUT)?;
                }
                self.value(inner, depth)?;
            }
            self.way.leave();
        }
    }

    fn index(&mut self, most: usize, rule: &'static str) -> Read<usize> {
        let at = usize::try_from(self.long()?).ok();
        at.filter(|at| *at < most).ok_or(Stop::Broken(rule))
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = usize::try_from(self.long()?).map_err(|_| CUT)?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number, seven bits a byte and zigzag.
    fn long(&mut self) -> Read<i64> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            // Of the tenth byte one bit is left.
            if shift == 63 && bits > 1 {
                return Err(CUT);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(CUT)
    }
}
