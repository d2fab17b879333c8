//! Whether a filter is true for a message.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::ast::{Comparison, Expression, Node, Operator};
use super::message::Message;
use super::number::Overflow;
use super::value::Operand;

/// A condition's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told: a value is missing or of a wrong type.
    Unknown,
}

impl Expression {
    /// The value of this filter for a message. `now` is what UTC() gives.
    ///
    /// Arithmetic whose result is no finite float makes the whole filter unknown, whatever OR it is part of, unless it is
    /// never reached: AND and OR do not look at their right side where the left one decides.
    pub fn evaluate(&self, message: &Message, now: Timestamp) -> Truth {
        match (Evaluation { message, now }).operand(&self.0) {
            Ok(Operand::Boolean(true)) => Truth::True,
            Ok(Operand::Boolean(false)) => Truth::False,
            Ok(_) | Err(Overflow) => Truth::Unknown,
        }
    }

    /// Whether the message passes: only where the filter is true.
    pub fn matches(&self, message: &Message, now: Timestamp) -> bool {
        self.evaluate(message, now) == Truth::True
    }
}

struct Evaluation<'a> {
    message: &'a Message,
    now: Timestamp,
}

impl Evaluation<'_> {
    fn operand(&self, node: &Node) -> Result<Operand, Overflow> {
        Ok(match node {
            Node::Boolean(boolean) => Operand::Boolean(*boolean),
            Node::Integer(integer) => Operand::Number(integer.clone().into()),
            Node::Float(float) => Operand::Number((*float).into()),
            Node::Text(text) => Operand::Bytes(text.clone().into_bytes()),
            Node::Binary(bytes) => Operand::Bytes(bytes.clone()),
            Node::Name(name) => self.message.operand(name),
            Node::Utc => Operand::Number(num_bigint::BigInt::from(self.now.as_millisecond()).into()),
            Node::Not(inner) => truth(self.truth(inner)?.map(|truth| !truth)),
            Node::And(left, right) => match self.truth(left)? {
                Some(false) => Operand::Boolean(false),
                left => match (left, self.truth(right)?) {
                    (_, Some(false)) => Operand::Boolean(false),
                    (Some(true), Some(true)) => Operand::Boolean(true),
                    _ => Operand::Unknown,
                },
            },
            Node::Or(left, right) => match self.truth(left)? {
                Some(true) => Operand::Boolean(true),
                left => match (left, self.truth(right)?) {
                    (_, Some(true)) => Operand::Boolean(true),
                    (Some(false), Some(false)) => Operand::Boolean(false),
                    _ => Operand::Unknown,
                },
            },
            Node::Compare(comparison, left, right) => truth(compare(*comparison, &self.operand(left)?, &self.operand(right)?)),
            Node::Arithmetic(operator, left, right) => arithmetic(*operator, &self.operand(left)?, &self.operand(right)?)?,
            Node::Plus(inner) => match self.operand(inner)? {
                number @ Operand::Number(_) => number,
                _ => Operand::Unknown,
            },
            Node::Minus(inner) => match self.operand(inner)? {
                Operand::Number(number) => Operand::Number(number.negate()),
                _ => Operand::Unknown,
            },
            Node::In(value, list) => self.is_in(&self.operand(value)?, list)?,
            Node::Like(value, pattern) => match self.operand(value)? {
                Operand::Bytes(bytes) => truth(pattern.matches(&bytes)),
                _ => Operand::Unknown,
            },
            Node::IsNull(name) => Operand::Boolean(self.message.operand(name) == Operand::Unknown),
        })
    }

    /// A condition's value. What is no boolean is unknown.
    fn truth(&self, node: &Node) -> Result<Option<bool>, Overflow> {
        Ok(if let Operand::Boolean(boolean) = self.operand(node)? { Some(boolean) } else { None })
    }

    fn is_in(&self, value: &Operand, list: &[Node]) -> Result<Operand, Overflow> {
        if *value == Operand::Unknown {
            return Ok(Operand::Unknown);
        }
        for item in list {
            // Something unknown in the list is equal to nothing; by SQL the result would be unknown.
            if equal(value, &self.operand(item)?) {
                return Ok(Operand::Boolean(true));
            }
        }
        Ok(Operand::Boolean(false))
    }
}

fn truth(value: Option<bool>) -> Operand {
    value.map_or(Operand::Unknown, Operand::Boolean)
}

fn compare(comparison: Comparison, left: &Operand, right: &Operand) -> Option<bool> {
    if *left == Operand::Unknown || *right == Operand::Unknown {
        return None;
    }
    let order = match (left, right) {
        (Operand::Number(left), Operand::Number(right)) => Some(left.compare(right)),
        (Operand::Bytes(left), Operand::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    };
    Some(match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::NotEqual => !equal(left, right),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
    })
}

/// Values of unlike types are not equal.
fn equal(left: &Operand, right: &Operand) -> bool {
    match (left, right) {
        (Operand::Number(left), Operand::Number(right)) => left.compare(right).is_eq(),
        (left, right) => left == right,
    }
}

fn arithmetic(operator: Operator, left: &Operand, right: &Operand) -> Result<Operand, Overflow> {
    let (Operand::Number(left), Operand::Number(right)) = (left, right) else { return Ok(Operand::Unknown) };
    Ok(left.calculate(operator, right)?.map_or(Operand::Unknown, Operand::Number))
}
